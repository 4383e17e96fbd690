"""Which claims give way where an order wants less, and what is taken back from whoever worked on them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.stock import ClaimLine, ClaimRequest
from gateway.kernel.errors import Conflict
from process_apis.availability.lessening import lessened
from process_apis.availability.models import OpenClaim

amounts = st.integers(0, 9).map(Decimal)


def claim(name, amount, line=1, **more):
    fields = {
        "order": "ord_1", "item": "itm_1", "location": "WH-N", "owner": "acme", "channel": "web",
        "consumed": Decimal(0), "released": Decimal(0), "state": "allocated",
    }  # fmt: skip
    return OpenClaim(**{**fields, **more}, claim=name, line=line, amount=Decimal(amount))


@given(
    shares=st.lists(st.tuples(amounts, amounts, st.sampled_from(["promised", "allocated", "reserved"])), max_size=5),
    wanted=st.integers(1, 40).map(Decimal),
)
def test_exactly_what_is_asked_is_given_back_what_waits_first_or_nothing(shares, wanted):
    claims = [
        claim(f"clm_{number}", consumed + left, consumed=consumed, state=state)
        for number, (consumed, left, state) in enumerate(shares)
        if consumed + left
    ]
    there = sum((each.open for each in claims), Decimal(0))
    if wanted > there:
        with pytest.raises(Conflict):
            lessened(claims, {1: wanted})
        return
    pairs = lessened(claims, {1: wanted})
    assert sum(before.open - after.open for before, after in pairs) == wanted
    assert all(after.open >= 0 and (after.open == 0) == (after.state == "released") for _, after in pairs)
    after_all = {before.claim: after for before, after in pairs}
    left = [after_all.get(each.claim, each) for each in claims]
    waiting = sum((each.open for each in left if each.state == "promised"), Decimal(0))
    firm_before = sum((each.open for each in claims if each.state != "promised"), Decimal(0))
    firm = sum((each.open for each in left if each.state not in ("promised", "released")), Decimal(0))
    assert waiting == 0 or firm == firm_before


def test_a_line_of_components_is_given_back_whole_or_not_at_all():
    parts = [
        claim("clm_1", 4, kit="itm_kit", per_kit=Decimal(2)),
        claim("clm_2", 6, item="itm_2", kit="itm_kit", per_kit=Decimal(3)),
        claim("clm_3", 1, item="itm_kit"),
    ]
    with pytest.raises(Conflict) as divided:
        lessened(parts, {1: Decimal(2)})
    assert divided.value.code == "claim.kit_divided"
    assert {after.state for _, after in lessened(parts, {1: Decimal(3)})} == {"released"}


@pytest.mark.integration
async def test_less_of_a_line_frees_its_stock_and_what_was_picked_of_it_stays(world):
    await world.stock("A", 10)
    claims = world.availability.claims
    line = ClaimLine(line=1, item=world.id["A"], amount=Decimal(6))
    request = ClaimRequest(action="r", order="ord_1", channel="web", correlation_id="c", lines=[line])
    [made] = await claims.reserve("acme", request)
    await claims.allocate("acme", action="a", order="ord_1", correlation_id="c", handed=True)
    await world.record(world.movement("p", 5, "pick_confirmed", 2, order="ord_1"))
    given = {"tenant": "acme", "order": "ord_1", "correlation_id": "c"}
    less = {**given, "action": "l", "amounts": {1: Decimal(3)}, "keep": ()}

    async def verb(name, **asked):
        async with world.store.transaction() as connection:
            return await getattr(world.availability, name)(connection, **asked)

    taken = await verb("take_back", **given, action="b", claims=[made.claim])
    assert [each.claim for each in taken] == [made.claim]
    for _ in range(2):
        [back] = await verb("lessen", **less)
        assert (back.amount, back.claim) == (3, made.claim)
    with pytest.raises(Conflict) as kept:
        await verb("lessen", **{**less, "action": "l2", "keep": [made.claim]})
    assert kept.value.code == "claim.over"
    with pytest.raises(Conflict) as too_much:
        await verb("lessen", **{**less, "action": "l3", "amounts": {1: Decimal(2)}})
    assert too_much.value.code == "claim.over"
    [row] = await world.availability.claims_of("acme", "ord_1")
    assert (row["amount"], row["consumed"], row["released"], row["state"]) == (6, 2, 3, "allocated")
    assert (await world.figures())["allocated"] == 1
    await world.record(world.movement("s", 6, "shipment_confirmed", 3, order="ord_1"))
    [row] = await world.availability.claims_of("acme", "ord_1")
    assert (row["state"], row["consumed"]) == ("fulfilled", 3)
    assert await world.broken_invariants() == []
