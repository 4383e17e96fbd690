from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.canonical.stock import ClaimLine, ClaimOverride, ClaimRequest
from gateway.kernel.errors import Conflict
from process_apis.availability.models import ChannelTerms, LocationTerms

pytestmark = pytest.mark.integration

WEEK = timedelta(days=7)


def reservation(world, order, amount, **more):
    line = ClaimLine(line=1, item=world.id["A"], amount=Decimal(amount))
    more = {"action": f"reserve-{order}", "channel": "web", "correlation_id": order} | more
    return ClaimRequest(order=order, lines=[line], **more)


async def rows_of(world, order):
    return await world.availability.claims_of("acme", order)


def sums(claims):
    return [(claim.line, int(claim.amount), claim.state.value) for claim in claims]


async def test_extending_moves_the_end_of_reservations_and_never_brings_it_nearer(world):
    await world.stock("A", 10)
    claims = world.availability.claims
    await claims.reserve("acme", reservation(world, "ord_1", 4, expires_in=timedelta(minutes=5)))
    [before] = await rows_of(world, "ord_1")
    answer = await claims.extend("acme", action="e1", order="ord_1", by=WEEK, correlation_id="c")
    [after] = await rows_of(world, "ord_1")
    assert sums(answer) == [(1, 4, "reserved")]
    assert after["expires_at"] - before["expires_at"] > timedelta(days=6)
    await claims.extend("acme", action="e2", order="ord_1", by=timedelta(seconds=1), correlation_id="c")
    assert (await rows_of(world, "ord_1"))[0]["expires_at"] == after["expires_at"]
    assert await claims.extend("acme", action="e1", order="ord_1", by=WEEK, correlation_id="c") == list(answer)
    with pytest.raises(Conflict) as reused:
        await claims.extend("acme", action="e1", order="ord_1", by=2 * WEEK, correlation_id="c")
    assert reused.value.code == "claim.action_reused"
    assert len(await world.events("claim.extended")) == 2
    await claims.allocate("acme", action="a", order="ord_1", correlation_id="c")
    with pytest.raises(Conflict) as over:
        await claims.extend("acme", action="e3", order="ord_1", by=WEEK, correlation_id="c")
    assert over.value.code == "claim.over"
    assert await world.broken_invariants() == []


async def test_handing_over_gives_what_is_open_to_another_order_and_changes_no_sum(world):
    await world.stock("A", 10)
    claims = world.availability.claims
    await claims.reserve("acme", reservation(world, "cart_1", 4, expires_in=WEEK))
    await world.record(world.movement("p", 5, "pick_confirmed", 1, order="cart_1"))
    await world.record(world.movement("s", 6, "shipment_confirmed", 2, order="ord_1"))
    line = await world.figures()
    answer = await claims.transfer("acme", action="t", order="cart_1", to="ord_1", correlation_id="c")
    assert sums(answer) == [(1, 3, "reserved")]
    assert [(row["state"], row["consumed"], row["released"]) for row in await rows_of(world, "cart_1")] == [
        ("released", 1, 3)
    ]
    # What had been shipped for the order before it held anything waited, and consumes now.
    assert [(row["amount"], row["consumed"]) for row in await rows_of(world, "ord_1")] == [(3, 2)]
    assert (await world.figures())["reserved"] == line["reserved"] - 2 == 1
    assert sums(await claims.transfer("acme", action="t", order="cart_1", to="ord_1", correlation_id="c")) == [
        (1, 3, "reserved")
    ]
    with pytest.raises(Conflict) as over:
        await claims.transfer("acme", action="t2", order="cart_1", to="ord_2", correlation_id="c")
    assert over.value.code == "claim.over"
    await claims.reserve("acme", reservation(world, "cart_2", 1))
    with pytest.raises(Conflict) as taken:
        await claims.transfer("acme", action="t3", order="cart_2", to="ord_1", correlation_id="c")
    assert taken.value.code == "claim.line_taken"
    assert await world.broken_invariants() == []


async def test_a_cancel_that_comes_before_its_claim_is_what_the_claim_finds(world):
    await world.stock("A", 10)
    claims = world.availability.claims
    assert await claims.cancel("acme", action="c1", order="ord_1", correlation_id="c") == []
    with pytest.raises(Conflict) as refused:
        await claims.reserve("acme", reservation(world, "ord_1", 4))
    assert refused.value.code == "claim.order_cancelled"
    await claims.reserve("acme", reservation(world, "ord_2", 4))
    with pytest.raises(Conflict) as closed:
        await claims.transfer("acme", action="t", order="ord_2", to="ord_1", correlation_id="c")
    assert closed.value.code == "claim.order_cancelled"
    assert sums(await claims.cancel("acme", action="c2", order="ord_2", correlation_id="c")) == [(1, 4, "released")]
    assert (await world.figures())["reserved"] == 0
    reasons = [json.loads(row["data"])["reason"] for row in await world.events("claim.ended")]
    assert reasons == ["cancelled"]
    assert await world.broken_invariants() == []


async def test_an_override_goes_down_to_what_is_available_and_is_in_the_audit_trail(world):
    await world.stock("A", 10)
    places = (LocationTerms(location="loc_n", safety_stock=Decimal(4)),)
    await world.availability.set_rule("acme", "web", ChannelTerms(locations=places, buffer=Decimal(3)), actor="test")
    claims = world.availability.claims
    why = ClaimOverride(actor="planner", reason="the buyer waits at the counter")
    with pytest.raises(Conflict):
        await claims.reserve("acme", reservation(world, "ord_1", 4))
    await claims.reserve("acme", reservation(world, "ord_2", 10, override=why))
    with pytest.raises(Conflict):
        await claims.reserve("acme", reservation(world, "ord_3", 1, override=why))
    row = await world.store.fetchrow("select * from store.audit where action = 'availability.claim_override'")
    assert (row["actor"], row["subject"], json.loads(row["detail"])["reason"]) == ("planner", "ord_2", why.reason)
    assert await world.broken_invariants() == []
