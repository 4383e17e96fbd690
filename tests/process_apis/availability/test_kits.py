from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.canonical.stock import ClaimLine, ClaimRequest
from gateway.kernel.errors import Conflict
from gateway.store.log_reader import BEGINNING, LogReader
from process_apis.availability import kit_news
from process_apis.availability.models import ChannelTerms, DatedRequest, ItemTerms
from process_apis.availability.subscriptions import subscriptions

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)


@pytest.fixture
async def kits(world):
    """KIT = 2 A + 1 B; loc_n has one KIT, 5 A and 9 B, loc_s 4 A and 1 B."""
    await world.make_kit(("A", 2), ("B", 1))
    for sku, source, amount in (("KIT", "wms_n", 1), ("A", "wms_n", 5), ("B", "wms_n", 9), ("A", "wms_s", 4)):
        await world.stock(sku, amount, source)
    await world.stock("B", 1, "wms_s")
    return world


async def figure(world, sku="KIT", **more):
    [answer] = await world.availability.availability("acme", channel="web", items=[world.id[sku]], **more)
    return answer


async def made(world, claims):
    names = {item: sku for sku, item in world.id.items()}
    return sorted((names[each.item], each.location, int(each.amount), each.kit and names[each.kit]) for each in claims)


async def test_a_kit_is_its_own_stock_and_what_its_components_make_at_each_location(kits):
    answer = await figure(kits, locations=True)
    assert (answer.available_to_sell, answer.from_components) == (4, 3)
    assert [(each.location, each.available_to_sell, each.from_components) for each in answer.locations] == [
        ("loc_n", 3, 2), ("loc_s", 1, 1),
    ]  # fmt: skip
    both = [kits.id["KIT"], kits.id["A"]]
    answers = await kits.availability.availability("acme", channel="web", items=both, from_record=True)
    assert [each.available_to_sell for each in answers] == [4, 9]
    assert not answers[0].locations


async def test_each_physical_item_keeps_to_its_own_terms(kits):
    own = {kits.id["B"]: ItemTerms(buffer=Decimal(8))}
    await kits.availability.set_rule("acme", "web", ChannelTerms(items=own), actor="a")
    [found] = await kits.availability.explained("acme", channel="web", items=[kits.id["KIT"]])
    assert (found.answer.available_to_sell, found.kit.kits, found.kit.limited_by) == (3, 2, kits.id["B"])
    assert [(each.location, each.kits, each.limited_by) for each in found.kit.places] == [
        ("loc_n", 2, kits.id["A"]), ("loc_s", 1, kits.id["B"]),
    ]  # fmt: skip
    with pytest.raises(Conflict):
        await kits.claim("ord_1", ("KIT", 4))
    await kits.claim("ord_1", ("KIT", 3))
    barred = {kits.id["KIT"]: ItemTerms(excluded=True)}
    await kits.availability.set_rule("acme", "web", ChannelTerms(items=barred), actor="a")
    assert (await figure(kits)).available_to_sell == 0


async def test_a_claim_takes_kits_as_such_first_and_explodes_the_rest_in_one_transaction(kits):
    claims = await kits.claim("ord_1", ("KIT", 4), ("B", 1))
    assert await made(kits, claims) == [
        ("A", "loc_n", 4, "KIT"), ("A", "loc_s", 2, "KIT"), ("B", "loc_n", 1, None), ("B", "loc_n", 2, "KIT"),
        ("B", "loc_s", 1, "KIT"), ("KIT", "loc_n", 1, None),
    ]  # fmt: skip
    again = await kits.claim("ord_1", ("KIT", 4), ("B", 1))
    assert again == claims
    assert ((await figure(kits)).available_to_sell, (await figure(kits, "A")).available_to_sell) == (0, 3)
    with pytest.raises(Conflict) as refused:
        await kits.claim("ord_2", ("KIT", 1))
    assert refused.value.context["lines"] == [{"line": 1, "item": kits.id["KIT"], "amount": "1"}]
    assert await kits.allocate("ord_1") == await kits.allocate("ord_1")
    await kits.release("ord_1", lines=[1])
    assert ((await figure(kits)).available_to_sell, (await figure(kits, "B")).available_to_sell) == (4, 9)
    assert await kits.broken_invariants() == []


@pytest.mark.long
async def test_partial_promises_are_whole_kits(kits):
    lines = [ClaimLine(line=line, item=kits.id[sku], amount=Decimal(9)) for line, sku in ((1, "KIT"), (2, "A"))]
    request = ClaimRequest(action="a", order="ord_1", channel="web", correlation_id="c", fill="partial", lines=lines)
    claims = await kits.availability.claims.reserve("acme", request)
    assert sum(each.amount for each in claims if each.item == kits.id["A"]) == 9
    assert (await figure(kits)).available_to_sell == 0
    assert await kits.broken_invariants() == []


async def test_handling_of_components_consumes_the_line_whatever_comes_first(kits):
    early = kits.movement("p1", 20, "pick_confirmed", 2, order="ord_1")
    await kits.record(early)
    await kits.claim("ord_1", ("KIT", 2, "loc_n"))
    await kits.allocate("ord_1")
    assert ((await kits.figures("A"))["allocated"], (await kits.figures("B"))["allocated"]) == (0, 1)
    await kits.record(
        kits.movement("s1", 21, "shipment_confirmed", 2, order="ord_1"),
        kits.movement("s2", 22, "shipment_confirmed", 1, sku="B", order="ord_1"),
        kits.movement("s3", 23, "shipment_confirmed", 1, sku="KIT", order="ord_1"),
    )
    states = await kits.store.fetch("select state from availability.claim where order_id = 'ord_1'")
    assert [row["state"] for row in states] == ["fulfilled"] * 3
    assert ((await kits.positions("A"))["sellable"], (await kits.positions("B"))["sellable"]) == (3, 8)
    assert (await figure(kits)).available_to_sell == 2
    assert await kits.broken_invariants() == []


async def test_what_falls_of_a_reservation_takes_the_rest_of_its_kits_along(kits):
    line = ClaimLine(line=1, item=kits.id["KIT"], amount=Decimal(2), location="loc_n")
    for order in ("cart_1", "cart_2"):
        request = ClaimRequest(
            action=order, order=order, channel="web", lines=[line], correlation_id="c", expires_in=DAY, fill="partial"
        )
        await kits.availability.claims.reserve("acme", request)
    await kits.record(kits.movement("c", 50, "cycle_counted", 3))
    assert await kits.availability.shortages.relieve() == 1
    rows = await kits.store.fetch("select order_id, state, kit is null as own from availability.claim order by claim")
    assert Counter((row["order_id"], row["state"], row["own"]) for row in rows) == {
        ("cart_1", "reserved", True): 1, ("cart_1", "reserved", False): 2, ("cart_2", "released", False): 2,
    }  # fmt: skip
    assert await kits.broken_invariants() == []


@pytest.mark.long
async def test_what_is_short_of_a_component_is_told_in_kits(kits):
    await kits.claim("ord_1", ("KIT", 3, "loc_n"))
    await kits.record(kits.movement("c", 50, "cycle_counted", 1))
    await kits.availability.shortages.relieve()
    async with kits.store.transaction() as connection:
        found = await kits.availability.standing(connection, tenant="acme", order="ord_1")
    assert sorted((each.line, each.location, int(each.amount), int(each.lacking)) for each in found) == [
        (1, "loc_n", 1, 0), (1, "loc_n", 2, 2),
    ]  # fmt: skip
    with pytest.raises(Conflict) as refused:
        await kits.allocate("ord_1")
    [lack] = refused.value.context["lines"]
    assert (lack["item"], lack["amount"]) == (kits.id["KIT"], "2")


@pytest.mark.long
async def test_handing_over_and_expiry_keep_what_was_exploded(kits):
    line = ClaimLine(line=1, item=kits.id["KIT"], amount=Decimal(3))
    request = ClaimRequest(
        action="a", order="cart", channel="web", lines=[line], correlation_id="c", expires_in=timedelta(seconds=5)
    )
    await kits.availability.claims.reserve("acme", request)
    given = await kits.availability.claims.transfer("acme", action="t", order="cart", to="ord_1", correlation_id="c")
    assert {each.per_kit for each in given if each.kit} == {1, 2}
    longer = await kits.availability.claims.extend("acme", action="x", order="ord_1", by=DAY, correlation_id="c")
    assert {each.claim: each.kit for each in longer} == {each.claim: each.kit for each in given}
    await kits.store.execute("update availability.claim set expires_at = now() where order_id = 'ord_1'")
    assert await kits.availability.expire() == 1
    assert (await figure(kits)).available_to_sell == 4
    assert await kits.broken_invariants() == []


@pytest.mark.long
async def test_by_date_the_components_count_with_their_supply_and_no_kit_is_promised_ahead(kits):
    await kits.order_supply("PO-1", 40, days=5)
    today = kits.clock.now().date()
    [seen] = await kits.availability.promises(
        "acme", channel="web", items=[kits.id["KIT"]], dates=[today, today + 6 * DAY], amount=Decimal(9)
    )
    assert [each.available_to_promise for each in seen.promises] == [4, 11]
    assert seen.earliest == today + 5 * DAY
    line = ClaimLine(line=1, item=kits.id["KIT"], amount=Decimal(1))
    request = ClaimRequest(action="d", order="ord_d", channel="web", lines=[line], correlation_id="c")
    with pytest.raises(Conflict) as refused:
        await kits.availability.claim_ahead("acme", DatedRequest(request=request, due=today))
    assert refused.value.code == "claim.kit_dated"


async def test_a_movement_of_a_component_is_told_of_its_kits_and_so_is_a_kit_that_changes(kits, monkeypatch):
    monkeypatch.setattr(kit_news, "_KNOWN_BY_ALL", timedelta())
    by_type = {kind: each for each in subscriptions(kits.availability) for kind in each.types}
    async with kits.store.transaction() as connection:
        stretch = await LogReader().read_after(connection, BEGINNING, limit=1000)
        for each in stretch.events:
            if each.event.type in ("availability.changed", "item.kit_changed"):
                await by_type[each.event.type].handler(connection, each)
    told = [json.loads(row["data"]) for row in await kits.events("availability.kit_changed")]
    of = Counter((each["item"], each["component"]) for each in told)
    assert of == {(kits.id["KIT"], kits.id["A"]): 2, (kits.id["KIT"], kits.id["B"]): 2, (kits.id["KIT"], None): 1}
