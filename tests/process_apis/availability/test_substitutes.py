from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.canonical.stock import ClaimLine, ClaimRequest
from gateway.canonical.substitute import ListedSubstitute
from gateway.kernel.errors import Conflict
from process_apis.availability.models import ChannelTerms
from tests.process_apis.availability.conftest import CALLER

pytestmark = pytest.mark.integration


@pytest.fixture
async def goods(world):
    """2 B, else a quarter kilogram of K, stand in for A; loc_n has 4 A and 5 B, loc_s 3 B, and loc_n 2 K."""
    listed = [ListedSubstitute(world.id["B"], Decimal(2)), ListedSubstitute(world.id["K"], Decimal("0.25"))]
    await world.substitutes.change(CALLER, world.id["A"], listed, effective_from=None, note="")
    for sku, source, amount in (("A", "wms_n", 4), ("B", "wms_n", 5), ("B", "wms_s", 3)):
        await world.stock(sku, amount, source)
    await world.record(world.movement("k", 1, "stock_adjusted", 2, sku="K", uom="KGM"))
    return world


def request(world, order, amount, substitution="accept", **more):
    line = ClaimLine(line=1, item=world.id["A"], amount=Decimal(amount), substitution=substitution)
    named = {"action": order, "order": order, "channel": "web", "correlation_id": "c"} | more
    return ClaimRequest(lines=[line], **named)


async def reserved(world, order, amount, substitution="accept", **more):
    claims = await world.availability.claims.reserve("acme", request(world, order, amount, substitution, **more))
    names = {item: sku for sku, item in world.id.items()}
    return sorted((names[each.item], each.location, each.amount, each.kit and names[each.kit]) for each in claims)


async def states(world, order):
    rows = await world.store.fetch("select item, state from availability.claim where order_id = $1", order)
    names = {item: sku for sku, item in world.id.items()}
    return sorted((names[row["item"]], row["state"]) for row in rows)


async def test_a_claim_takes_the_item_first_and_its_substitutes_in_their_order(goods):
    assert await reserved(goods, "ord_1", 4) == [("A", "loc_n", 4, None)]
    await goods.release("ord_1")
    made = await reserved(goods, "ord_2", 7)
    assert made == [("A", "loc_n", 4, None), ("B", "loc_n", 4, "A"), ("B", "loc_s", 2, "A")]
    assert await reserved(goods, "ord_2", 7) == made
    with pytest.raises(Conflict) as reused:
        await reserved(goods, "ord_2", 7, "none")
    assert reused.value.code == "claim.action_reused"
    assert await reserved(goods, "ord_3", 4) == [("K", "loc_n", 1, "A")]
    [why] = await goods.availability.substitutes.chosen("acme", "ord_3")
    assert (why["served"], why["lacked"], why["passed"]) == (4, 4, [goods.id["B"]])
    assert await goods.availability.substitutes.chosen("other", "ord_3") == []
    with pytest.raises(Conflict) as refused:
        await reserved(goods, "ord_4", 5)
    assert refused.value.context["lines"] == [{"line": 1, "item": goods.id["A"], "amount": "5"}]
    assert await goods.broken_invariants() == []


async def test_what_a_line_does_not_say_the_channels_rule_says_and_an_offer_promises_nothing(goods):
    with pytest.raises(Conflict):
        await reserved(goods, "ord_1", 5, None)
    await goods.availability.set_rule("acme", "web", ChannelTerms(substitution="offer"), actor="a")
    with pytest.raises(Conflict) as refused:
        await reserved(goods, "ord_1", 5, None)
    [line] = refused.value.context["lines"]
    assert [(each["item"], each["serves"]) for each in line["substitutes"]] == [
        (goods.id["B"], "3"), (goods.id["K"], "8"),
    ]  # fmt: skip
    await goods.availability.set_rule("acme", "web", ChannelTerms(substitution="accept"), actor="a")
    assert await reserved(goods, "ord_1", 5, None) == [("A", "loc_n", 4, None), ("B", "loc_n", 2, "A")]
    with pytest.raises(Conflict):
        await reserved(goods, "ord_2", 1, "none")
    assert await reserved(goods, "ord_3", 9, fill="partial") == [("B", "loc_n", 2, "A"), ("B", "loc_s", 2, "A")]
    assert await goods.broken_invariants() == []


async def test_picks_and_shipments_of_a_substitute_consume_the_line_whatever_comes_first(goods):
    await goods.record(goods.movement("p1", 20, "pick_confirmed", 2, sku="B", order="ord_1"))
    await reserved(goods, "ord_1", 5)
    await goods.allocate("ord_1")
    assert ((await goods.figures("A"))["allocated"], (await goods.figures("B"))["allocated"]) == (4, 0)
    await goods.record(
        goods.movement("s1", 21, "shipment_confirmed", 2, sku="B", order="ord_1"),
        goods.movement("s2", 22, "shipment_confirmed", 4, order="ord_1"),
    )
    assert await states(goods, "ord_1") == [("A", "fulfilled"), ("B", "fulfilled")]
    assert await reserved(goods, "ord_2", 1) == [("B", "loc_n", 2, "A")]
    await goods.allocate("ord_2")
    # The warehouse found one after all: what was promised of the substitute is free again.
    await goods.record(goods.movement("s3", 23, "shipment_confirmed", 1, order="ord_2"))
    assert await states(goods, "ord_2") == [("B", "fulfilled")]
    assert (await goods.figures("B"))["allocated"] == 0
    assert await goods.broken_invariants() == []


async def test_applications_see_substitutes_in_answers_refusals_and_claims(goods, http):
    asked = {"item": f"{goods.id['A']},{goods.id['B']}", "channel": "web"}
    assert (await http.get("/process/availability/v1/availability", params=asked)).json()["items"][0].get(
        "substitutes"
    ) is None
    answer = await http.get("/process/availability/v1/availability", params=asked | {"substitutes": "true"})
    first, second = answer.json()["items"]
    assert (first["available_to_sell"], second["substitutes"]) == ("4", [])
    names = ("item", "factor", "available_to_sell", "serves")
    assert [tuple(each[name] for name in names) for each in first["substitutes"]] == [
        (goods.id["B"], "2", "8", "3"), (goods.id["K"], "0.25", "2", "8"),
    ]  # fmt: skip
    line = {"line": 1, "item": goods.id["A"], "amount": "6", "substitution": "accept"}
    body = {"action": "a1", "order": "cart_1", "channel": "web", "lines": [line]}
    made = await http.post("/process/availability/v1/claims", json=body)
    assert (made.status_code, made.json()["lacking"]) == (201, [])
    read = (await http.get("/process/availability/v1/claims", params={"order": "cart_1"})).json()
    assert [(each["substitute"], each["served"], each["lacked"]) for each in read["substitutions"]] == [
        (goods.id["B"], "2", "2")
    ]
    assert {(each["item"], each["kit"]) for each in read["claims"]} == {
        (goods.id["A"], None), (goods.id["B"], goods.id["A"]),
    }  # fmt: skip
