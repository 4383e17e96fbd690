from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.item import GroupMembers, ReportedItem
from gateway.canonical.stock import ClaimLine, ClaimRequest
from gateway.kernel.errors import Conflict
from gateway.kernel.quantity import UnitConversion
from process_apis.availability.models import ChannelRule, ChannelTerms, ClassTerms, ItemTerms, LocationTerms
from process_apis.availability.narrowing import decided_by, for_class, narrowed
from process_apis.availability.selling import terms_for

ROOT = "/process/availability/v1"
MEMBERS = GroupMembers({"fresh": ("a", "b"), "dry": ("c",)})
GROUPS = {"a": "fresh", "b": "fresh", "c": "dry", "d": None}
maybe = st.one_of(st.none(), st.integers(0, 9).map(Decimal))
days = st.one_of(st.none(), st.integers(0, 9))
places = st.lists(st.sampled_from("ns"), unique=True).flatmap(
    lambda some: st.tuples(*[st.builds(LocationTerms, location=st.just(each), eligible=st.booleans()) for each in some])
)
own = st.builds(
    ItemTerms, buffer=maybe, share=maybe, protected=maybe, min_life_days=days, locations=places,
    excluded=st.sampled_from([None, None, False, True]),
)  # fmt: skip
groups = st.dictionaries(st.sampled_from(["fresh", "dry", "none"]), own)
of_class = st.builds(ClassTerms, buffer=maybe, share=maybe, min_life_days=days, locations=places, groups=groups)
terms = st.builds(
    ChannelTerms, buffer=st.just(Decimal(77)), min_life_days=st.just(77), locations=places,
    items=st.dictionaries(st.sampled_from("abd"), own), groups=groups,
    classes=st.dictionaries(st.just("gold"), of_class),
)  # fmt: skip


@given(terms, st.sampled_from("abcd"), st.sampled_from([None, "gold", "other"]))
def test_the_most_specific_terms_that_say_something_hold_attribute_by_attribute(said, item, asking):
    rule = for_class(narrowed(ChannelRule(channel="web", version=1, terms=said), MEMBERS), asking)
    found, group, gold = terms_for(rule.terms, item), GROUPS[item], said.classes.get(asking) or ClassTerms()
    layers = {
        "item": said.items.get(item),
        "class_group": gold.groups.get(group),
        "group": said.groups.get(group),
        "class": gold,
        "channel": said,
    }
    by = decided_by(rule, item, group)
    ranks = list(layers)
    for name in ("buffer", "share", "protected", "min_life_days", "excluded"):
        more_specific = ranks[: ranks.index(by[name])]
        assert all(getattr(layers[each], name, None) is None for each in more_specific)
        wanted = getattr(layers[by[name]], name, None)
        if name == "excluded":
            assert bool(wanted) == (found.only_named and not found.locations and said.only_named is False)
        elif not found.only_named:
            assert getattr(found, name) == wanted
    if not found.only_named:
        named = {place.location: place for each in reversed(ranks) for place in getattr(layers[each], "locations", ())}
        assert {place.location: place for place in found.locations} == named


def test_what_has_no_terms_of_groups_or_classes_is_the_rule_itself():
    rule = ChannelRule(channel="web", version=1, terms=ChannelTerms(items={"a": ItemTerms(buffer=Decimal(1))}))
    assert for_class(rule, "gold") is rule
    assert for_class(narrowed(rule, MEMBERS), None).terms == rule.terms


@pytest.fixture
async def grouped(world):
    """A is fresh, B is in no group; 10 of each at loc_n."""
    await move(world, "fresh")
    for sku in ("A", "B"):
        await world.stock(sku, 10)
    return world


async def move(world, group):
    packs = (UnitConversion("CS", Decimal(12)),)
    item = ReportedItem(source_code="X-A", sku="A", name="A", base_uom="EA", packs=packs, group=group)
    await world.items.adopt("acme", "erp", [item], correlation_id="c")
    world.clock.ahead += timedelta(seconds=2)


async def sells(world, *skus, **more):
    items = [world.id[sku] for sku in skus]
    return [int(each.available_to_sell) for each in
            await world.availability.availability("acme", channel="web", items=items, **more)]  # fmt: skip


async def claims(world, order, amount, customer_class=None):
    line = ClaimLine(line=1, item=world.id["A"], amount=Decimal(amount))
    return await world.availability.claims.reserve(
        "acme",
        ClaimRequest(
            action=order, order=order, channel="web", lines=[line], correlation_id="c", customer_class=customer_class
        ),
    )


@pytest.mark.integration
async def test_terms_of_a_group_hold_for_its_items_in_answers_and_claims_alike_and_follow_them(grouped):
    fresh = ItemTerms(buffer=Decimal(4))
    await grouped.availability.set_rule("acme", "web", ChannelTerms(groups={"fresh": fresh}), actor="a")
    assert await sells(grouped, "A", "B") == [6, 10]
    with pytest.raises(Conflict):
        await claims(grouped, "ord_1", 7)
    await claims(grouped, "ord_1", 6)
    await move(grouped, "dry")
    assert await sells(grouped, "A", "B") == [4, 10]
    await claims(grouped, "ord_2", 4)
    await grouped.release("ord_2")
    await move(grouped, "fresh")
    assert await sells(grouped, "A") == [0]
    assert await grouped.broken_invariants() == []


@pytest.mark.integration
async def test_a_class_of_customers_stops_where_stock_is_kept_for_the_others(grouped):
    classes = {
        "retail": ClassTerms(buffer=Decimal(7), groups={"dry": ItemTerms(excluded=True)}),
        "gold": ClassTerms(buffer=Decimal(0)),
    }
    terms = ChannelTerms(buffer=Decimal(2), classes=classes)
    await grouped.availability.set_rule("acme", "web", terms, actor="a")
    assert await sells(grouped, "A") == [8]
    assert [await sells(grouped, "A", customer_class=each) for each in ("retail", "gold", "none")] == [[3], [10], [8]]
    with pytest.raises(Conflict):
        await claims(grouped, "ord_1", 4, "retail")
    first = await claims(grouped, "ord_1", 3, "retail")
    assert await claims(grouped, "ord_1", 3, "retail") == first
    with pytest.raises(Conflict) as reused:
        await claims(grouped, "ord_1", 3, "gold")
    assert reused.value.code == "claim.action_reused"
    assert [await sells(grouped, "A", customer_class=each) for each in ("retail", "gold")] == [[0], [7]]
    await claims(grouped, "ord_2", 7, "gold")
    await grouped.release("ord_2")
    await move(grouped, "dry")
    assert [await sells(grouped, "A", customer_class=each) for each in ("retail", "gold")] == [[0], [7]]
    assert await grouped.broken_invariants() == []


@pytest.mark.integration
async def test_rules_of_groups_and_classes_are_made_tried_and_explained_over_http(grouped, http):
    terms = {
        "buffer": "1",
        "groups": [{"group": "fresh", "buffer": "4", "min_life_days": 3}],
        "classes": [{"customer_class": "gold", "groups": [{"group": "fresh", "buffer": "0"}]}],
    }
    tried = (await http.post(f"{ROOT}/channel-rule-previews", json={"channel": "web", "terms": terms})).json()
    assert {each["item"]: (each["before"], each["after"]) for each in tried["changes"]} == {
        grouped.id["A"]: ("10", "6"), grouped.id["B"]: ("10", "9"),
    }  # fmt: skip
    body = {"channel": "web", "terms": terms, "business_owner": "Sales", "reason": "spring"}
    made = await http.post(f"{ROOT}/channel-rules", json=body)
    assert made.status_code == 201, made.text
    [held] = (await http.get(f"{ROOT}/channel-rules")).json()["rules"]
    assert held == made.json()
    assert [(each["group"], each["buffer"], each["min_life_days"]) for each in held["terms"]["groups"]] == [
        ("fresh", "4", 3)
    ]
    asked = {"item": grouped.id["A"], "channel": "web", "explain": "true"}
    [told] = (await http.get(f"{ROOT}/availability", params=asked)).json()["items"]
    assert (told["available_to_sell"], told["explanation"]["item_group"]) == ("6", "fresh")
    assert told["explanation"]["decided_by"] == {
        "excluded": "channel", "buffer": "group", "share": "channel", "protected": "channel", "min_life_days": "group",
        "allotment": "channel",
    }  # fmt: skip
    [told] = (await http.get(f"{ROOT}/availability", params=asked | {"customer_class": "gold"})).json()["items"]
    assert (told["available_to_sell"], told["explanation"]["decided_by"]["buffer"]) == ("10", "class_group")
    twice = {"groups": [{"group": "fresh"}, {"group": "fresh"}]}
    refused = await http.post(f"{ROOT}/channel-rules", json=body | {"terms": twice})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/terms/groups/1/group")
    nowhere = {"groups": [{"group": "fresh", "locations": [{"location": "loc_x"}]}]}
    refused = await http.post(f"{ROOT}/channel-rules", json=body | {"terms": nowhere})
    assert refused.json()["errors"][0]["pointer"] == "/terms/groups/0/locations/0/location"
