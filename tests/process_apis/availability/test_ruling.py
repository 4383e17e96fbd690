from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.canonical.stock import ClaimLine, ClaimOverride, ClaimRequest
from gateway.kernel.errors import Conflict, Invalid
from process_apis.availability.models import Allotment, ChannelTerms, ItemTerms, LocationTerms
from process_apis.availability.ruling import RuleChange

pytestmark = pytest.mark.integration
ROOT = "/process/availability/v1"


async def sells(world, channel, sku="A"):
    item = [world.id[sku]]
    told = await world.availability.availability("acme", channel=channel, items=item, from_record=True)
    return told[0].available_to_sell


async def rule(world, channel, **terms):
    await world.availability.set_rule("acme", channel, ChannelTerms(**terms), actor="test")


async def refused(world, order, *lines, **more):
    with pytest.raises(Conflict) as told:
        await world.claim(order, *lines, **more)
    assert told.value.code == "stock.insufficient"


async def test_what_a_higher_priority_protects_is_refused_to_lower_ones_and_promised_to_itself(world):
    await world.stock("A", 10)
    await rule(world, "gold", priority=1, protected=Decimal(4))
    assert [await sells(world, channel) for channel in ("gold", "web")] == [10, 6]
    await refused(world, "ord_1", ("A", 7))
    await world.claim("ord_2", ("A", 3), channel="gold")
    assert [await sells(world, channel) for channel in ("gold", "web")] == [7, 6]
    await world.claim("ord_3", ("A", 6))
    await refused(world, "ord_4", ("A", 1))
    await world.claim("ord_5", ("A", 1), channel="gold")
    assert await world.broken_invariants() == []


async def test_an_allotment_is_drawn_by_promises_given_back_by_releases_and_used_up_by_shipments(world):
    await world.stock("A", 20)
    spring = {world.id["A"]: ItemTerms(allotment=Allotment(name="spring", amount=Decimal(8)))}
    await rule(world, "fair", items=spring)
    assert [await sells(world, channel) for channel in ("fair", "web")] == [20, 12]
    await world.claim("ord_1", ("A", 5), channel="fair")
    await world.claim("ord_2", ("A", 2), channel="fair")
    assert await sells(world, "web") == 12
    await world.release("ord_2")
    assert await sells(world, "web") == 12
    await world.record(world.movement("p1", 5, "pick_confirmed", 5, order="ord_1"),
                       world.movement("s1", 6, "shipment_confirmed", 5, order="ord_1"))  # fmt: skip
    assert [await sells(world, channel) for channel in ("fair", "web")] == [15, 12], "3 of 8 are left to the fair"
    autumn = {world.id["A"]: ItemTerms(allotment=Allotment(name="autumn", amount=Decimal(9)))}
    await rule(world, "fair", items=autumn)
    assert await sells(world, "web") == 6
    await world.claim("ord_3", ("A", 4), channel="fair")
    assert await sells(world, "web") == 6
    await world.release("ord_1")
    assert await world.broken_invariants() == []


async def test_a_late_pick_of_what_was_released_draws_the_allotment_again(world):
    await world.stock("A", 10)
    await rule(world, "fair", items={world.id["A"]: ItemTerms(allotment=Allotment(name="a", amount=Decimal(6)))})
    await world.claim("ord_1", ("A", 4), channel="fair")
    await world.release("ord_1")
    assert await sells(world, "web") == 4
    await world.record(world.movement("p1", 5, "pick_confirmed", 3, order="ord_1"))
    assert await sells(world, "web") == 10 - 3 - (6 - 3)
    assert await world.broken_invariants() == []


async def test_an_override_promises_what_is_kept_for_others(world):
    await world.stock("A", 5)
    await rule(world, "gold", priority=1, protected=Decimal(5))
    await refused(world, "ord_1", ("A", 1))
    line = ClaimLine(line=1, item=world.id["A"], amount=Decimal(5))
    why = ClaimOverride(actor="ann", reason="a hospital")
    asked = ClaimRequest(
        action="o", order="ord_2", channel="web", lines=[line], correlation_id="c", override=why
    )  # fmt: skip
    await world.availability.claims.reserve("acme", asked)
    assert (await world.figures())["reserved"] == 5
    assert await world.broken_invariants() == []


@pytest.mark.long
async def test_several_channels_at_once_never_take_what_is_allotted_to_one(world):
    await world.stock("A", 60)
    await rule(world, "fair", items={world.id["A"]: ItemTerms(allotment=Allotment(name="a", amount=Decimal(20)))})

    async def buy(channel, number):
        line = ClaimLine(line=1, item=world.id["A"], amount=Decimal(1))
        order = f"{channel}_{number}"
        asked = ClaimRequest(action=order, order=order, channel=channel, lines=[line], correlation_id="c")
        try:
            await world.availability.claims.reserve("acme", asked)
        except Conflict as error:
            return 0 if error.code == "stock.insufficient" else 1_000
        return 1

    channels = ("web", "shop")
    won = await asyncio.gather(*(buy(channel, number) for number in range(40) for channel in channels))
    assert sum(won) == 40, "what is not allotted is sold to the last unit"
    assert sum(await asyncio.gather(*(buy("fair", number) for number in range(30)))) == 20
    assert (await world.figures())["reserved"] == 60
    assert await world.broken_invariants() == []


async def test_a_version_that_ends_gives_way_to_the_one_before(world):
    await world.stock("A", 10)
    await rule(world, "web", buffer=Decimal(1))
    ends = world.clock.now() + timedelta(days=1)
    change = RuleChange(channel="web", terms=ChannelTerms(buffer=Decimal(9)), actor="ann", effective_until=ends)
    assert (await world.availability.change_rule("acme", change)).version == 2
    assert await sells(world, "web") == 1
    world.clock.ahead = timedelta(days=2)
    assert await sells(world, "web") == 9
    await world.claim("ord_1", ("A", 9))
    await refused(world, "ord_2", ("A", 1))


@pytest.mark.long
async def test_of_two_who_change_a_rule_at_once_one_is_told_to_read_again(world):
    def change(number):
        return RuleChange(channel="web", terms=ChannelTerms(buffer=Decimal(number)), actor="ann", expected=0)

    told = await asyncio.gather(
        *(world.availability.change_rule("acme", change(number)) for number in range(5)), return_exceptions=True
    )
    refusals = [each for each in told if isinstance(each, Conflict)]
    assert (len(refusals), {each.code for each in refusals}) == (4, {"rule.changed"})
    assert len(await world.availability.rules.versions("acme", "web", before=None, limit=10)) == 1


async def test_terms_that_name_what_is_not_here_are_refused_with_pointers(world):
    terms = ChannelTerms(
        locations=(LocationTerms(location="loc_x"),),
        items={"itm_no": ItemTerms(locations=(LocationTerms(location="loc_y"),))},
    )
    with pytest.raises(Invalid) as told:
        await world.availability.set_rule("acme", "web", terms, actor="test")
    assert told.value.code == "rule.invalid"
    assert sorted(str(problem.pointer) for problem in told.value.problems) == [
        "/terms/items/0/item", "/terms/items/0/locations/0/location", "/terms/locations/0/location",
    ]  # fmt: skip
    assert await world.availability.rules.in_force("acme", after=None, limit=10) == []


async def test_rules_are_made_and_read_over_http_with_their_owner_reason_and_history(http, world):
    await world.stock("A", 10)
    terms = {
        "buffer": "2",
        "priority": 5,
        "locations": [{"location": "loc_n", "safety_stock": "1"}],
        "items": [{"item": world.id["B"], "excluded": True}, {"item": world.id["A"], "share": "0.5"}],
    }
    body = {"channel": "web", "terms": terms, "business_owner": "Sales", "reason": "spring", "expected_version": 0}
    made = await http.post(f"{ROOT}/channel-rules", json=body)
    assert made.status_code == 201, made.text
    assert (made.json()["version"], made.json()["made_by"]) == (1, "app")
    assert await sells(world, "web") == 4
    again = await http.post(f"{ROOT}/channel-rules", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "rule.changed")
    later = {"effective_from": "2999-01-01T00:00:00Z", "expected_version": 1}
    assert (await http.post(f"{ROOT}/channel-rules", json=body | later)).json()["version"] == 2
    [held] = (await http.get(f"{ROOT}/channel-rules")).json()["rules"]
    assert held == made.json()
    shares = {each["item"]: (each["share"], each["excluded"]) for each in held["terms"]["items"]}
    assert shares == {world.id["A"]: ("0.5", None), world.id["B"]: (None, True)}
    first = (await http.get(f"{ROOT}/channel-rule-versions", params={"channel": "web", "limit": 1})).json()
    assert ([each["version"] for each in first["versions"]], first["next_before"]) == ([2], 2)
    rest = (await http.get(f"{ROOT}/channel-rule-versions", params={"channel": "web", "before": 2})).json()
    assert (rest["versions"], rest["next_before"]) == ([held], None)
    audited = await world.store.fetchrow(
        "select actor, subject from store.audit where action = 'availability.rule_set'"
    )
    assert dict(audited) == {"actor": "app", "subject": "channel/web"}


async def test_nonsense_over_http_is_422_with_its_place(http):
    body = {"channel": "web", "business_owner": "Sales", "reason": "spring"}
    dates = {"effective_from": "2030-01-02T00:00:00Z", "effective_until": "2030-01-01T00:00:00Z"}
    for change, pointer in (
        ({"terms": {"items": [{"item": "itm_no"}]}}, "/terms/items/0/item"),
        ({"terms": {"items": [{"item": "itm_no"}, {"item": "itm_no"}]}}, "/terms/items/1/item"),
        ({"terms": {"locations": [{"location": "loc_x"}]}}, "/terms/locations/0/location"),
        ({"terms": {}} | dates, "/effective_until"),
    ):
        answer = await http.post(f"{ROOT}/channel-rules", json=body | change)
        assert (answer.status_code, answer.json()["code"]) == (422, "rule.invalid"), answer.text
        assert [problem["pointer"] for problem in answer.json()["errors"]] == [pointer]


async def test_a_preview_tells_the_largest_changes_first_and_sets_nothing(http, world):
    await world.stock("A", 10)
    await world.stock("B", 40)
    await rule(world, "web", priority=9, buffer=Decimal(1))
    await rule(world, "shop", priority=9)
    terms = {"priority": 1, "protected": "4", "items": [{"item": world.id["B"], "protected": "30"}]}
    path, body = f"{ROOT}/channel-rule-previews", {"channel": "gold", "terms": terms}
    told = (await http.post(path, json=body)).json()
    a, b = world.id["A"], world.id["B"]
    changes = [(each["item"], each["channel"], each["before"], each["after"]) for each in told["changes"]]
    assert changes == [
        (b, None, "40", "10"), (b, "shop", "40", "10"), (b, "web", "39", "9"),
        (a, None, "10", "6"), (a, "shop", "10", "6"), (a, "web", "9", "5"),
    ]  # fmt: skip
    totals = {
        name: told[name] for name in ("replaces", "items_examined", "items_changed", "gained", "lost", "complete")
    }
    assert totals == {
        "replaces": 0, "items_examined": 2, "items_changed": 2, "gained": "0", "lost": "102", "complete": True
    }  # fmt: skip
    second = (await http.post(path, json=body | {"offset": 1, "limit": 1})).json()
    assert [each["channel"] for each in second["changes"]] == ["shop"]
    assert await sells(world, "web", "B") == 39
    same = {"priority": 9, "buffer": "1", "items": [{"item": a, "excluded": True}]}
    told = (await http.post(path, json={"channel": "web", "terms": same})).json()
    assert (told["replaces"], told["items_examined"]) == (1, 1), "only items whose own terms differ are looked at"
    assert [(each["item"], each["after"]) for each in told["changes"]] == [(a, "0")]
    wrong = await http.post(path, json={"channel": "web", "terms": {"locations": [{"location": "loc_x"}]}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "rule.invalid")


async def test_an_answer_is_explained_by_every_subtraction_down_to_the_movements(http, world):
    await world.stock("A", 20)
    await world.stock("A", 5, "wms_s")
    places = (LocationTerms(location="loc_n", safety_stock=Decimal(3)), LocationTerms(location="loc_s", eligible=False))
    await rule(world, "web", priority=9, buffer=Decimal(2), locations=places, share=Decimal("0.5"))
    await rule(world, "gold", priority=1, protected=Decimal(4))
    await world.claim("ord_1", ("A", 6, "loc_n"))
    query = {"item": world.id["A"], "channel": "web", "explain": "true"}
    [told] = (await http.get(f"{ROOT}/availability", params=query)).json()["items"]
    why = told["explanation"]
    assert (told["available_to_sell"], why["pool"], why["rule_version"]) == ("2", "11", 1)
    assert [(step["name"], step["amount"], step["of"]) for step in why["steps"]] == [
        ("buffer", "-2", None), ("share", "-7", None),
    ]  # fmt: skip
    north, south = why["places"]
    assert [(step["name"], step["amount"]) for step in north["steps"]] == [("reserved", "-6"), ("safety_stock", "-3")]
    assert (north["part"], [step["name"] for step in south["steps"]], south["part"]) == ("11", ["not_eligible"], "0")
    [moved] = north["movements"]
    assert (moved["type"], moved["amount"], moved["event_id"]) == ("stock_adjusted", "20", "opening-A-wms_n")
    assert (await http.get(north["more"])).json()["movements"][0]["id"] == moved["id"]
    plain = (await http.get(f"{ROOT}/availability", params=query | {"explain": "false"})).json()["items"][0]
    assert plain["explanation"] is None
    assert plain["available_to_sell"] == told["available_to_sell"]
    many = await http.get(f"{ROOT}/availability", params=query | {"item": ",".join(["itm"] * 6)})
    assert many.json()["code"] == "availability.too_many_items"


async def test_lots_near_their_end_are_kept_from_channels_that_want_them_fresher(http, world):
    a, today = world.id["A"], world.clock.now().date()
    await world.record(
        world.movement("l1", 1, "stock_adjusted", 4, lot="OLD"),
        world.movement("l2", 2, "stock_adjusted", 6, lot="NEW"),
        world.movement("l3", 3, "stock_adjusted", 2),
    )
    assert await sells(world, "web") == 12
    last = {"OLD": today + timedelta(days=5), "NEW": today + timedelta(days=90)}
    lots = [{"item": a, "lot": lot, "expires_on": str(day)} for lot, day in last.items()]
    assert (await http.post(f"{ROOT}/lots", json={"lots": lots})).json() == {"kept": 2}
    await rule(world, "retail", min_life_days=30)
    assert [await sells(world, channel) for channel in ("web", "retail")] == [12, 8]
    query = {"item": a, "channel": "retail", "explain": "true"}
    [told] = (await http.get(f"{ROOT}/availability", params=query)).json()["items"]
    steps = told["explanation"]["places"][0]["steps"]
    assert [(step["name"], step["amount"]) for step in steps] == [("lots_too_near_their_end", "-4")]
    preview = {"channel": "retail", "terms": {"min_life_days": 100}}
    told = (await http.post(f"{ROOT}/channel-rule-previews", json=preview)).json()
    assert [(each["before"], each["after"]) for each in told["changes"]] == [("8", "2")]
    await refused(world, "ord_1", ("A", 9), channel="retail")
    await world.claim("ord_1", ("A", 8), channel="retail")
    world.clock.ahead = timedelta(days=6)
    assert await sells(world, "web") == 0, "the old lot is over, and everything else is promised"
    listed = (await http.get(f"{ROOT}/lots", params={"item": a})).json()["lots"]
    assert [(each["lot"], each["expires_on"], each["told_by"]) for each in listed] == [
        ("NEW", str(last["NEW"]), "app"), ("OLD", str(last["OLD"]), "app"),
    ]  # fmt: skip
    wrong = await http.post(f"{ROOT}/lots", json={"lots": [lots[0] | {"item": "itm_no"}]})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "lot.unknown_item")
    assert await world.broken_invariants() == []
