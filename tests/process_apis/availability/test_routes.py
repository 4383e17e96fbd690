"""The process APIs behind the real router, called over ASGI; what the door adds is tested with the door."""

from __future__ import annotations

import dataclasses
import json
from datetime import date, timedelta

import pytest
from msgspec import structs

from gateway.canonical.shipping_times import ShippingTimes
from gateway.kernel.context import Zone
from gateway.kernel.errors import Invalid
from process_apis.availability.condensing import begin, condense_next
from process_apis.availability.sources import may_speak_for
from tests.process_apis.availability.conftest import CALLER, LOCATIONS

pytestmark = pytest.mark.integration

MOVEMENT = {
    "event_id": "e1",
    "sequence": 5,
    "type": "stock_adjusted",
    "occurred_at": "2026-11-01T00:00:00Z",
    "item": "X-A",
    "location": "N",
    "amount": "12.0",
    "uom": "EA",
}


async def test_movements_are_recorded_and_every_other_line_is_told(http, world):
    body = {
        "source": "wms_n",
        "movements": [MOVEMENT, MOVEMENT | {"event_id": "e2", "item": "X-NO"}, MOVEMENT | {"event_id": "e3"}],
    }
    answer = await http.post("/process/availability/v1/movements", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["recorded"] == 2
    assert [(line["event_id"], line["outcome"], line["cause"]) for line in answer.json()["others"]] == [
        ("e2", "parked", "stock.item_unknown")
    ]
    again = await http.post("/process/availability/v1/movements", json=body)
    assert {line["outcome"] for line in again.json()["others"]} == {"duplicate", "parked"}
    assert await world.positions() == {"sellable": 24}


async def test_a_source_is_spoken_for_by_whom_it_was_granted(http, world):
    foreign = {"source": "wms_s", "movements": [MOVEMENT]}
    refused = await http.post("/process/availability/v1/movements", json=foreign)
    assert (refused.status_code, refused.json()["code"]) == (403, "stock.source_foreign")
    assert "source:wms_s" in refused.json()["detail"]
    event = {
        "specversion": "1.0", "id": "e9", "source": "wms_s", "time": "2026-11-01T00:00:00Z",
        "type": "crossdock.stock.snapshot_reported.v1",
        "data": {"sequence": 1, "full": True, "locations": ["S"], "figures": []},
    }  # fmt: skip
    batch = json.dumps([event | {"source": "wms_n"}, event])
    refused = await http.post(
        "/process/availability/v1/events",
        content=batch,
        headers={"content-type": "application/cloudevents-batch+json"},
    )
    assert refused.status_code == 403
    assert await world.store.fetchval("select count(*) from availability.snapshot") == 0
    for granted in (
        dataclasses.replace(CALLER.principal, scopes=frozenset({"source:*"})),
        dataclasses.replace(CALLER.principal, subject="wms_s"),
        dataclasses.replace(CALLER.principal, zones=frozenset({Zone.SYSTEM})),
    ):
        may_speak_for(granted, ["wms_s"])


async def test_open_demand_is_told_by_its_source(http, world):
    await world.stock("A", 10)
    body = {
        "source": "erp", "sequence": 3, "full": True,
        "lines": [{"reference": "S1", "item": "X-A", "location": "WH-N", "amount": "4", "uom": "EA"}],
    }  # fmt: skip
    answer = await http.post("/process/availability/v1/demand", json=body)
    assert (answer.status_code, answer.json()["recorded"]) == (200, 1)
    assert (await world.figures())["external"] == 4
    foreign = await http.post("/process/availability/v1/demand", json=body | {"source": "wms_s"})
    assert foreign.json()["code"] == "stock.source_foreign"


async def test_figures_positions_and_reasons_are_readable(http, world):
    await world.stock("A", 10)
    await world.claim("ord_1", ("A", 3))
    item = world.id["A"]
    await world.stock("B", 35)
    cases = await http.get(f"/process/availability/v1/availability?item={item},{world.id['B']},{world.id['K']}&uom=CS")
    told = [each["in_unit"] and each["in_unit"]["available_to_sell"] for each in cases.json()["items"]]
    assert told == ["0", "2", None]
    answer = await http.get(f"/process/availability/v1/availability?item={item},itm_unknown&channel=web")
    (figure,) = answer.json()["items"]
    assert (figure["available_to_sell"], figure["uom"], figure["confidence"]) == ("7", "EA", "stale")
    assert figure["locations"][0] == {
        "location": "loc_n", "on_hand": "10", "sellable": "10", "reserved": "3", "allocated": "0", "external": "0",
        "available": "7", "from_components": "0", "leaving": None,
    }  # fmt: skip
    answer = await http.get(f"/process/availability/v1/positions?item={item}")
    assert [(row["bucket"], row["amount"]) for row in answer.json()["positions"]] == [("sellable", "10")]
    answer = await http.get(f"/process/availability/v1/explain?item={item}&location=loc_n")
    told = answer.json()
    assert [row["event_id"] for row in told["movements"]] == ["opening-A-wms_n"]
    assert [(row["order"], row["amount"], row["state"]) for row in told["claims"]] == [("ord_1", "3", "reserved")]


async def test_asking_for_nothing_or_too_much_is_rejected(http):
    many = ",".join(["itm"] * 51)
    for item in (",", many):
        answer = await http.get(f"/process/availability/v1/availability?item={item}")
        assert answer.json()["code"] == "availability.too_many_items"


async def test_bodies_that_do_not_fit_are_refused(http):
    for change in (
        {"amount": "1e3"},
        {"amount": "1\n"},
        {"amount": 12},
        {"type": "stolen"},
        {"extra": 1},
        {"sequence": -1},
    ):
        with pytest.raises(Invalid):
            await http.post(
                "/process/availability/v1/movements",
                content=json.dumps({"source": "wms_n", "movements": [MOVEMENT | change]}),
            )


async def test_items_are_found_by_id_by_sku_and_in_pages(http, world):
    answer = await http.get(f"/process/items/v1/items/{world.id['A']}")
    assert answer.json()["packs"] == [{"uom": "CS", "factor": "12"}]
    assert (await http.get("/process/items/v1/items?sku=A")).json()["items"] == [answer.json()]
    page = (await http.get("/process/items/v1/items?limit=2")).json()
    rest = (await http.get(f"/process/items/v1/items?limit=2&cursor={page['next_cursor']}")).json()
    assert [len(page["items"]), len(rest["items"]), rest["next_cursor"]] == [2, 1, None]
    missing = await http.get("/process/items/v1/items/itm_no")
    assert (missing.status_code, missing.json()["code"]) == (404, "item.not_found")


async def test_cloud_events_are_recorded_once_singly_and_in_batches(http, world):
    figure = {"item": "X-A", "location": "N", "amount": "7", "uom": "EA"}
    counted = {
        "specversion": "1.0",
        "type": "crossdock.stock.snapshot_reported.v1",
        "source": "wms_n",
        "id": "s1",
        "time": "2026-11-01T00:00:09Z",
        "data": {"sequence": 9, "full": True, "locations": ["N"], "figures": [figure]},
    }
    moved = counted | {
        "type": "crossdock.stock.movement_reported.v1",
        "id": "e1",
        "data": {"movement": "stock_adjusted", "sequence": 10, "lines": [figure, figure | {"line": 1, "item": "X-NO"}]},
    }
    path = "/process/availability/v1/events"
    single = {"content-type": "application/cloudevents+json; charset=utf-8"}
    batched = {"content-type": "application/cloudevents-batch+json"}
    first = await http.post(path, content=json.dumps(counted), headers=single)
    assert (first.status_code, first.json()) == (200, {"recorded": 1, "others": []})
    second = await http.post(path, content=json.dumps([moved, counted]), headers=batched)
    assert second.json()["recorded"] == 1
    told = {(line["source"], line["event_id"], line["line"], line["outcome"]) for line in second.json()["others"]}
    assert told == {("wms_n", "e1", 1, "parked"), ("wms_n", "s1", -1, "duplicate")}
    assert await world.positions() == {"sellable": 14}
    wrong = await http.post(path, content=json.dumps([moved]), headers=single)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "stock.events_content_mode")


ROOT = "/process/availability/v1"


async def test_a_basket_becomes_an_order_and_ends_by_commands_that_may_be_repeated(http, world):
    await world.stock("A", 10)

    async def command(kind, expected=200, **body):
        answers = [await http.post(f"{ROOT}/{kind}", json=body) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [expected] * 2, answers[0].text
        assert answers[0].json() == answers[1].json()
        return answers[0].json()

    lines = [{"line": 1, "item": world.id["A"], "amount": "4"}]
    basket = {"action": "a1", "order": "cart/1", "channel": "web", "lines": lines, "expires_in": 60}
    [made] = (await command("claims", 201, **basket))["claims"]
    assert (made["line"], made["location"], made["amount"], made["state"]) == (1, "loc_n", "4", "reserved")
    await command("claim-extensions", action="a2", order="cart/1", expires_in=600)
    [moved] = (await command("claim-transfers", action="a3", order="cart/1", to="so/1"))["claims"]
    assert moved["id"] != made["id"]
    assert (await command("claim-allocations", action="a4", order="so/1"))["claims"][0]["state"] == "allocated"
    assert (await command("claim-releases", action="a5", order="so/1", lines=[2]))["claims"] == []
    assert (await command("claim-cancellations", action="a6", order="so/1"))["claims"][0]["amount"] == "4"
    held = (await http.get(f"{ROOT}/claims", params={"order": "so/1"})).json()["claims"]
    assert [(claim["state"], claim["released"]) for claim in held] == [("released", "4")]
    late = await http.post(f"{ROOT}/claims", json=basket | {"action": "a7", "order": "so/1"})
    assert (late.status_code, late.json()["code"]) == (409, "claim.order_cancelled")
    assert await world.broken_invariants() == []


async def test_too_much_names_the_lines_and_an_override_needs_its_scope(http, world):
    await world.stock("A", 3)
    lines = [{"line": 7, "item": world.id["A"], "amount": "4"}]
    body = {"action": "a1", "order": "so/1", "channel": "web", "lines": lines}
    answer = await http.post(f"{ROOT}/claims", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "stock.insufficient")
    answer = await http.post(f"{ROOT}/claims", json=body | {"override_reason": "now"})
    assert (answer.status_code, answer.json()["code"]) == (403, "claim.override_not_allowed")


async def test_what_an_accepted_order_holds_is_not_for_others_to_change(http, world):
    await world.stock("A", 3)
    body = {"action": "a1", "order": "ord_01"}
    reserved = {"channel": "web", "lines": [{"line": 1, "item": world.id["A"], "amount": "1"}]}
    more = {"claims": reserved, "claim-extensions": {"expires_in": 60}, "claim-transfers": {"to": "so/1"}}
    for kind in (*more, "claim-allocations", "claim-releases", "claim-cancellations"):
        answer = await http.post(f"{ROOT}/{kind}", json=body | more.get(kind, {}))
        assert (answer.status_code, answer.json()["code"]) == (403, "claim.accepted_order"), kind
    answer = await http.post(f"{ROOT}/claim-transfers", json={"action": "a1", "order": "so/1", "to": "ord_01"})
    assert (answer.status_code, answer.json()["code"]) == (403, "claim.accepted_order")


async def test_positions_may_be_asked_for_the_past(http, world):
    await world.record(world.movement("e1", 5, "stock_adjusted", 3), world.movement("e2", 15, "stock_adjusted", 4))
    query = {"item": world.id["A"], "location": "loc_n", "as_happened_at": "2026-11-01T00:00:10Z"}
    answer = await http.get("/process/availability/v1/positions", params=query)
    assert [row["amount"] for row in answer.json()["positions"]] == ["3"], answer.text
    wrong = await http.get("/process/availability/v1/positions", params=query | {"as_known_at": "2026-02-31T00:00:00Z"})
    assert wrong.status_code in (400, 422), wrong.text


async def test_an_explanation_goes_down_to_what_is_condensed_and_no_further(http, world):
    moved = [world.movement(f"e{number}", number, "stock_adjusted", number) for number in (1, 2, 3)]
    await world.record(*moved)
    await begin(world.store, "acme", await world.store.fetchval("select clock_timestamp()"))
    while await condense_next(world.store, "acme"):
        pass
    query = {"item": world.id["A"], "location": "loc_n"}
    answer = await http.get(f"{ROOT}/explain", params=query)
    [movement] = answer.json()["movements"]
    assert (movement["type"], movement["amount"], movement["source"]) == ("carried", "6", "history"), answer.text
    assert movement["reason"] == "3 movements that are no longer kept one by one"
    gone = await http.get(f"{ROOT}/positions", params=query | {"as_known_at": "2026-11-01T00:00:00Z"})
    assert (gone.status_code, gone.json()["code"]) == (410, "stock.history_gone"), gone.text
    assert "history reaches back to" in gone.json()["detail"]


async def test_supply_is_told_read_and_promised_by_date(http, world):
    await world.stock("A", 3)
    due = (world.clock.now().date() + timedelta(days=7)).isoformat()
    told = {
        "document": "PO-1",
        "line": 1,
        "sequence": 1,
        "item": "X-A",
        "location": "WH-N",
        "uom": "CS",
        "ordered": "2",
    }
    body = {"source": "erp", "lines": [told | {"requested": due}, told | {"line": 2, "item": "X-NO"}]}
    answer = await http.post(f"{ROOT}/supply", json=body)
    assert (answer.status_code, answer.json()["recorded"]) == (200, 1), answer.text
    assert [(line["event_id"], line["line"], line["cause"]) for line in answer.json()["others"]] == [
        ("PO-1", 2, "stock.item_unknown")
    ]
    event = {
        "specversion": "1.0",
        "type": "crossdock.stock.supply_reported.v1",
        "source": "erp",
        "id": "s1",
        "time": "2026-11-01T00:00:09Z",
        "data": {"lines": [told | {"requested": due, "acknowledged": due, "sequence": 2}]},
    }
    headers = {"content-type": "application/cloudevents+json"}
    answer = await http.post(f"{ROOT}/events", content=json.dumps(event), headers=headers)
    assert answer.json() == {"recorded": 1, "others": []}, answer.text
    query = {"item": world.id["A"], "channel": "web"}
    [line] = (await http.get(f"{ROOT}/supply", params=query)).json()["lines"]
    assert (line["ordered"], line["to_come"], line["due"], line["acknowledged"]) == ("24", "24", due, due)
    asked = query | {"date": f"{world.clock.now().date().isoformat()},{due}", "amount": "20"}
    [found] = (await http.get(f"{ROOT}/promises", params=asked)).json()["items"]
    assert [each["available_to_promise"] for each in found["promises"]] == ["3", "27"]
    assert found["earliest"] == due
    for wrong in ("2026-02-31", "soon", ",", ",".join([due] * 13), "2999-01-01"):
        answer = await http.get(f"{ROOT}/promises", params=query | {"date": wrong})
        assert answer.json()["code"].startswith("promise."), wrong


async def test_goods_to_come_are_promised_for_their_date_and_late_promises_are_listed(http, world):
    today = world.clock.now().date()
    await world.order_supply("PO-1", 10, days=5)
    lines = [{"line": 1, "item": world.id["A"], "amount": "8"}]
    body = {"action": "a1", "order": "so/1", "channel": "web", "lines": lines}
    early = await http.post(f"{ROOT}/dated-claims", json=body | {"date": (today + timedelta(days=4)).isoformat()})
    assert (early.status_code, early.json()["code"]) == (409, "stock.insufficient")
    due = (today + timedelta(days=5)).isoformat()
    answers = [await http.post(f"{ROOT}/dated-claims", json=body | {"date": due}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    [made] = answers[0].json()["claims"]
    assert (answers[0].status_code, made["state"], made["amount"]) == (201, "promised", "8")
    assert (await http.get(f"{ROOT}/late-claims")).json() == {"claims": [], "next_cursor": None}
    await world.order_supply("PO-1", 10, days=9, sequence=2)
    [claim] = (await http.get(f"{ROOT}/claims", params={"order": "so/1"})).json()["claims"]
    expected = (today + timedelta(days=9)).isoformat()
    assert (claim["state"], claim["due"], claim["expected"]) == ("promised", due, expected)
    page = (await http.get(f"{ROOT}/late-claims", params={"limit": 1})).json()
    assert [(each["order"], each["expected"]) for each in page["claims"]] == [("so/1", expected)]
    assert (await http.get(f"{ROOT}/late-claims", params={"cursor": page["next_cursor"]})).json()["claims"] == []
    far = await http.post(f"{ROOT}/dated-claims", json=body | {"action": "a2", "date": "2999-01-01"})
    assert (far.status_code, far.json()["code"]) == (422, "promise.date_too_far")
    accepted = await http.post(f"{ROOT}/dated-claims", json=body | {"order": "ord_01", "date": due})
    assert accepted.json()["code"] == "claim.accepted_order"


async def test_who_can_be_in_time_serves_before_who_is_preferred_and_what_cannot_says_when_it_comes(http, world):
    for source in ("wms_n", "wms_s"):
        await world.stock("A", 5, source)
    every_day = (1, 2, 3, 4, 5, 6, 7)
    slow = ShippingTimes(working_days=every_day, handling_days=3, transit_days={"US": 6})
    times = {"loc_n": slow, "loc_s": ShippingTimes(working_days=every_day, transit_days={"CA": 1})}
    world.locations.replace("acme", [structs.replace(each, shipping=times[each.location]) for each in LOCATIONS])
    need_by = world.clock.now().date() + timedelta(days=2)
    body = {"channel": "web", "need_by": need_by.isoformat(), "ship_to": "US 97201"}

    async def claimed(order, amount, **more):
        lines = [{"line": 1, "item": world.id["A"], "amount": amount}]
        made = await http.post(f"{ROOT}/claims", json=body | {"action": order, "order": order, "lines": lines} | more)
        assert made.status_code == 201, made.text
        return made.json()

    found = await claimed("so/1", "3")
    assert ([each["location"] for each in found["claims"]], found["late"]) == (["loc_s"], [])
    found = await claimed("so/2", "3")
    [late] = found["late"]
    assert [each["location"] for each in found["claims"]] == ["loc_n"], "no two are left in time"
    assert date.fromisoformat(late["arrives_on"]) - need_by in (timedelta(days=7), timedelta(days=8))
    found = await claimed("so/3", "2", need_by=None)
    assert [each["location"] for each in found["claims"]] == ["loc_n"], "by priority where there is no hurry"
    query = {"item": world.id["A"], "channel": "web"}
    [told] = (await http.get(f"{ROOT}/availability", params=query | {"ship_to": "US 97201"})).json()["items"]
    north, south = (place["leaving"] for place in told["locations"])
    ships, arrives = date.fromisoformat(north["ships_on"]), date.fromisoformat(north["arrives_on"])
    assert arrives - ships == timedelta(days=6)
    assert south["ships_on"] == south["arrives_on"]
    [plain] = (await http.get(f"{ROOT}/availability", params=query)).json()["items"]
    assert [place["leaving"] for place in plain["locations"]] == [None, None]
    assert await world.broken_invariants() == []
