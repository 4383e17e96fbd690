from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.kernel.errors import Conflict, Rejected
from process_apis.availability.models import ChannelTerms

pytestmark = pytest.mark.integration


async def supply(world, ordered, days, sequence=1, **more):
    receipt = await world.order_supply("PO-1", ordered, days, sequence, **more)
    assert receipt.recorded == 1


async def promise(world, order, amount, days=5, **more):
    return await world.claim_ahead(order, amount, days, **more)


async def refused(doing):
    with pytest.raises(Conflict) as refusal:
        await doing
    return refusal.value


async def held(world, order):
    """What an order holds, by state, with whole days until it is expected."""
    rows = await world.availability.claims_of("acme", order)
    return sorted((row["state"], int(row["amount"] - row["consumed"] - row["released"])) for row in rows
                  if row["state"] not in ("released", "fulfilled"))  # fmt: skip


async def waiting(world):
    return int((await world.figures())["waiting"])


async def to_promise(world, days):
    on = world.clock.now().date() + timedelta(days=days)
    [answer] = await world.availability.promises("acme", channel="web", items=[world.id["A"]], dates=[on])
    return int(answer.promises[0].available_to_promise)


@pytest.mark.long
async def test_many_buyers_of_one_purchase_order_are_promised_no_more_than_it_brings(world):
    await supply(world, 10, days=5)
    answers = await asyncio.gather(*(promise(world, f"o{n}", 3) for n in range(8)), return_exceptions=True)
    won = [answer for answer in answers if not isinstance(answer, Exception)]
    lost = [answer for answer in answers if isinstance(answer, Exception)]
    assert len(won) == 3
    assert {error.code for error in lost} == {"stock.insufficient"}
    assert await waiting(world) == 9
    assert await world.broken_invariants() == []


async def test_a_promise_waits_on_supply_and_leaves_the_stock_at_hand_to_others(world):
    await world.stock("A", 4)
    await supply(world, 10, days=5)
    [claim] = await promise(world, "later", 10)
    assert (claim.state, claim.amount) == ("promised", 10)
    await world.claim("now", ("A", 4))
    assert [await to_promise(world, days) for days in (0, 5)] == [0, 0]
    refusal = await refused(promise(world, "more", 1))
    assert refusal.context["lines"][0]["earliest"] is None
    assert await promise(world, "later", 10) == [claim], "the same action answers the same"
    assert (await refused(promise(world, "later", 9))).code == "claim.action_reused"
    assert await world.broken_invariants() == []


async def test_what_supply_does_not_cover_is_taken_from_the_stock_at_hand_or_nothing_is(world):
    await world.stock("A", 4)
    await supply(world, 10, days=5)
    assert (await refused(promise(world, "o1", 15))).code == "stock.insufficient"
    assert (await refused(promise(world, "o1", 13, days=4))).context["lines"][0]["earliest"] is not None
    assert await held(world, "o1") == []
    made = await promise(world, "o1", 13)
    assert sorted((each.state.value, int(each.amount)) for each in made) == [("promised", 10), ("reserved", 3)]
    assert await promise(world, "o1", 13) == made
    assert [await to_promise(world, days) for days in (0, 5)] == [1, 1]
    assert await world.broken_invariants() == []


async def test_a_promise_for_a_later_date_is_not_given_to_an_earlier_one(world):
    await supply(world, 10, days=5)
    await promise(world, "late", 8, days=20)
    assert (await refused(promise(world, "early", 3, days=5))).code == "stock.insufficient"
    await promise(world, "early", 2, days=5)
    with pytest.raises(Rejected) as beyond:
        await promise(world, "beyond", 1, days=367)
    assert beyond.value.code == "promise.date_too_far"


async def test_the_rule_of_the_channel_holds_for_dates_too(world):
    await supply(world, 10, days=5)
    await world.availability.set_rule("acme", "web", ChannelTerms(share=Decimal("0.5")), actor="test")
    assert await to_promise(world, 5) == 5
    await promise(world, "o1", 5)
    assert (await refused(promise(world, "o2", 1))).code == "stock.insufficient"
    await promise(world, "o3", 5, channel="store")
    assert await world.broken_invariants() == []


async def test_putting_away_gives_the_goods_to_who_waits_before_anybody_sees_them(world):
    await supply(world, 10, days=5)
    await promise(world, "firm", 4)
    await promise(world, "basket", 3, expires_in=timedelta(hours=1))
    await world.put_away("a", 10)
    assert await held(world, "firm") == [("allocated", 4)]
    assert await held(world, "basket") == [("reserved", 3)]
    figures = await world.figures()
    assert (figures["sellable"], figures["allocated"], figures["reserved"], figures["waiting"]) == (10, 4, 3, 0)
    shown = [event["data"] for event in await world.events("availability.changed")]
    assert '"sellable": "10"' in shown[-1]
    assert not [data for data in shown if '"sellable": "10"' in data and '"allocated": "0"' in data]
    assert len(await world.events("claim.supplied")) == 2
    assert await world.broken_invariants() == []


async def test_too_little_goes_by_priority_then_date_and_a_promise_may_be_supplied_in_parts(world):
    await supply(world, 30, days=5)
    await promise(world, "later", 6, days=9)
    await promise(world, "sooner", 6, days=6)
    await promise(world, "first", 6, days=8, priority=1)
    await supply(world, 8, days=5, sequence=2)
    await world.put_away("a", 8)
    assert await held(world, "first") == [("allocated", 6)]
    assert await held(world, "sooner") == [("allocated", 2), ("promised", 4)]
    assert await held(world, "later") == [("promised", 6)]
    await world.stock("A", 7, event_id="found")
    assert await held(world, "sooner") == [("allocated", 2), ("allocated", 4)]
    assert await held(world, "later") == [("allocated", 3), ("promised", 3)]
    assert await waiting(world) == 3
    assert await world.broken_invariants() == []


async def test_promises_that_supply_covers_no_more_stand_and_are_told_once(world):
    await supply(world, 10, days=5)
    await promise(world, "o1", 4, days=5)
    await promise(world, "o2", 4, days=8)

    async def late():
        rows = await world.availability.late_claims("acme", after="", limit=10)
        return {row["order_id"]: row["expected"] for row in rows}

    today = world.clock.now().date()
    assert await late() == {}
    await supply(world, 10, days=7, sequence=2)
    assert await late() == {"o1": today + timedelta(days=7)}
    await supply(world, 10, days=7, sequence=3, cancelled=Decimal(5))
    assert await late() == {"o1": today + timedelta(days=7), "o2": None}
    told = len(await world.events("claim.redated"))
    await supply(world, 10, days=7, sequence=4, cancelled=Decimal(5))
    assert len(await world.events("claim.redated")) == told
    assert await to_promise(world, 300) == 0, "what comes is not promised again while others wait for it"
    world.clock.ahead = timedelta(days=8)
    assert (await world.availability.pass_over_supply("acme"), await world.availability.pass_over_supply("acme")) == (
        1,
        0,
    )
    assert await late() == {"o1": None, "o2": None}
    assert len(await world.events("supply.overdue")) == 1
    await supply(world, 10, days=0, sequence=5)
    assert (await late()).keys() == {"o1"}
    assert await waiting(world) == 8
    assert await world.broken_invariants() == []


async def test_a_promise_ends_like_any_other_and_its_supply_is_free_again(world):
    await supply(world, 10, days=5)
    await promise(world, "o1", 10)
    await world.release("o1")
    await promise(world, "o2", 10, expires_in=timedelta(0))
    assert await world.availability.expire() == 1
    await promise(world, "o3", 10)
    cancel = world.availability.claims.cancel
    assert len(await cancel("acme", action="c", order="o3", correlation_id="c")) == 1
    assert (await refused(promise(world, "o3", 1, action="again"))).code == "claim.order_cancelled"
    await promise(world, "o4", 6, expires_in=timedelta(hours=1))
    [kept] = await world.allocate("o4")
    assert kept.state == "promised"
    [moved] = await world.availability.claims.transfer("acme", action="t", order="o4", to="o5", correlation_id="t")
    assert moved.state == "promised"
    world.clock.ahead = timedelta(hours=2)
    assert await waiting(world) == 6
    await world.put_away("a", 10)
    assert await held(world, "o5") == [("allocated", 6)]
    assert await world.broken_invariants() == []


async def test_what_is_shipped_before_its_supply_was_told_uses_the_promise_up(world):
    await supply(world, 10, days=5)
    await promise(world, "o1", 10)
    shipped = {"order": "o1", "order_line": 1}
    await world.record(world.movement("s1", 2, "shipment_confirmed", 4, **shipped))
    assert (await held(world, "o1"), await waiting(world)) == ([("promised", 6)], 6)
    await world.record(world.movement("s1", 2, "shipment_confirmed", 10, revision=1, **shipped))
    assert (await held(world, "o1"), await waiting(world)) == ([], 0)
    await world.record(world.movement("s1", 2, "shipment_confirmed", 3, revision=2, **shipped))
    assert (await held(world, "o1"), await waiting(world)) == ([("promised", 7)], 7)
    await world.put_away("a", 10)
    assert await held(world, "o1") == [("allocated", 7)]
    assert await world.broken_invariants() == []


@pytest.mark.long
async def test_ends_and_arrivals_at_once_lose_and_double_nothing(world):
    await supply(world, 60, days=5)
    for number in range(20):
        await promise(world, f"o{number}", 3, expires_in=timedelta(seconds=number % 2 * 3600))
    jobs = [world.release(f"o{number}") for number in range(0, 20, 4)]
    jobs += [world.allocate(f"o{number}") for number in range(1, 20, 4)]
    jobs += [world.put_away(f"a{number}", 5, sequence=10 + number) for number in range(10)]
    jobs += [world.availability.expire() for _ in range(3)]
    answers = await asyncio.gather(*jobs, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert await world.broken_invariants() == []
    figures = await world.figures()
    assert figures["reserved"] + figures["allocated"] + figures["waiting"] <= 60


async def test_movements_that_bring_nothing_leave_the_stock_at_hand_to_others_unless_a_promise_is_late(world):
    await world.stock("A", 6)
    await supply(world, 10, days=5)
    await promise(world, "o1", 8)
    await world.record(world.movement("m1", 2, "stock_adjusted", -1), world.movement("m2", 3, "stock_adjusted", 1))
    assert await held(world, "o1") == [("promised", 8)]
    await supply(world, 10, days=5, sequence=2, cancelled=Decimal(5))
    assert await held(world, "o1") == [("allocated", 6), ("promised", 2)]
    assert await world.broken_invariants() == []


async def test_a_count_that_finds_goods_gives_them_to_who_waits(world):
    await supply(world, 10, days=5)
    await promise(world, "o1", 4)
    await world.record(world.snapshot("s1", 5, {"A": 3}))
    assert await held(world, "o1") == [("allocated", 3), ("promised", 1)]
    await world.record(world.snapshot("s2", 6, {"A": 9}, full=True))
    assert await held(world, "o1") == [("allocated", 1), ("allocated", 3)]
    assert await world.broken_invariants() == []
