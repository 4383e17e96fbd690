from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.canonical.stock import ClaimLine, ClaimOverride, ClaimRequest
from gateway.kernel.errors import Conflict
from process_apis.availability.lots import LotTold
from process_apis.availability.models import Allotment, ChannelRule, ChannelTerms, ItemTerms, LocationTerms
from process_apis.availability.optimistic import NeedsLocks, check_rules, is_plain


def asks(order, *lines, **more):
    wanted = [ClaimLine(line=n, item=item, amount=Decimal(amount)) for n, (item, amount) in enumerate(lines, 1)]
    return ClaimRequest(action=f"{order}:claim", order=order, channel="web", correlation_id=order, lines=wanted, **more)


def rule(**terms):
    said = ChannelTerms(**terms)
    return ChannelRule(channel="web", version=1, terms=said, fences=said.fences)


@pytest.mark.parametrize(
    "looks_further",
    [
        {"share": Decimal("0.5")},
        {"protected": Decimal(3)},
        {"fallback": "stop"},
        {"items": {"itm": ItemTerms(buffer=Decimal(1))}},
        {"items": {"itm": ItemTerms(allotment=Allotment(name="a", amount=Decimal(1)))}},
    ],
)
def test_a_rule_that_looks_beyond_the_stock_line_is_decided_behind_locks(looks_further):
    with pytest.raises(NeedsLocks):
        check_rules([rule(), rule(**looks_further)])


def test_what_is_kept_back_at_a_line_needs_no_locks_to_be_decided():
    check_rules([rule(buffer=Decimal(2), locations=(LocationTerms(location="loc_n", safety_stock=Decimal(1)),))])


@pytest.mark.parametrize(
    "more",
    [
        {"fill": "partial"},
        {"override": ClaimOverride(actor="someone", reason="because")},
        {"lines": [ClaimLine(line=1, item="itm", amount=Decimal(1), substitution="accept")]},
    ],
)
def test_a_request_that_wants_more_than_stock_under_its_rule_is_decided_behind_locks(more):
    plain = {"action": "a", "order": "o", "channel": "web", "correlation_id": "c", "lines": []}
    assert is_plain(ClaimRequest(**plain))
    assert not is_plain(ClaimRequest(**(plain | more)))


@asynccontextmanager
async def taken_meanwhile(world, sku, amount):
    """Somebody else's claim holds its lines, until the reservation that is made in the block waits for them."""
    async with world.store.transaction() as connection:
        lines = [ClaimLine(line=1, item=world.id[sku], amount=Decimal(amount))]
        await world.availability.claim(
            connection, tenant="acme", action="other", order="ord_other", channel="web", lines=lines, correlation_id="o"
        )
        yield
        await waiting(world, _TAKES)


_TAKES = "-- Locks lines in the one order%"


async def waiting(world, query):
    """Until somebody waits for a lock with a query like this: a reservation decided behind locks never takes so."""
    asked = (
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock' and query like $1"
    )
    while not await world.store.fetchval(asked, query):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def reserve(world, request):
    return asyncio.create_task(world.availability.claims.reserve("acme", request))


@pytest.mark.integration
async def test_of_plenty_is_taken_after_what_others_took_since_it_was_read_and_the_log_tells_both(world):
    await world.stock("A", 100)
    await world.stock("B", 100)
    await world.claim("ord_0", ("A", 1), ("B", 1))
    async with taken_meanwhile(world, "A", 30):
        reserving = reserve(world, asks("ord_1", (world.id["A"], 5), (world.id["B"], 2)))
    assert [claim.location for claim in await reserving] == ["loc_n", "loc_n"]
    assert [(await world.figures(sku))["reserved"] for sku in "AB"] == [36, 3]
    told = [json.loads(event["data"]) for event in await world.events("availability.changed")]
    of_a = [event for event in told if event["item"] == world.id["A"]]
    assert [Decimal(event["reserved"]) for event in of_a] == [0, 1, 31, 36]
    assert [event["version"] for event in of_a] == [1, 2, 3, 4]
    assert [Decimal(event["channels"][0]["open"]) for event in of_a[1:]] == [1, 31, 36]
    assert [event["channels"][0]["version"] for event in of_a[1:]] == [1, 2, 3]
    assert await world.broken_invariants() == []


@pytest.mark.integration
@pytest.mark.parametrize(("kept", "left"), [(ChannelTerms(), 4), (ChannelTerms(buffer=Decimal(3)), 7)])
async def test_what_is_there_no_more_when_it_is_to_be_taken_is_refused_and_leaves_nothing(world, kept, left):
    await world.stock("A", 100)
    await world.stock("B", 100)
    await world.availability.set_rule("acme", "web", kept, actor="test")
    async with taken_meanwhile(world, "A", 100 - left):
        reserving = reserve(world, asks("ord_1", (world.id["B"], 2), (world.id["A"], 5)))
    with pytest.raises(Conflict) as refused:
        await reserving
    assert refused.value.code == "stock.insufficient"
    assert [line["line"] for line in refused.value.context["lines"]] == [2]
    assert [(await world.figures(sku))["reserved"] for sku in "AB"] == [100 - left, 0]
    assert await world.store.fetch("select from availability.claim_order where order_id = 'ord_1'") == []
    assert await world.broken_invariants() == []


@pytest.mark.integration
async def test_a_reservation_is_repeated_with_its_first_answer_and_its_action_serves_no_other(world):
    await world.stock("A", 100)
    first = await reserve(world, asks("ord_1", (world.id["A"], 5)))
    assert await reserve(world, asks("ord_1", (world.id["A"], 5))) == first
    with pytest.raises(Conflict) as reused:
        await reserve(world, asks("ord_1", (world.id["A"], 6)))
    assert reused.value.code == "claim.action_reused"
    assert (await world.figures())["reserved"] == 5
    assert await world.broken_invariants() == []


@pytest.mark.integration
async def test_goods_that_came_in_since_it_was_read_are_not_taken_where_lots_have_a_last_day(world):
    await world.stock("A", 100)
    yesterday = world.clock.now().date() - timedelta(days=1)
    told = [LotTold(item=world.id["A"], lot="OLD", expires_on=yesterday)]
    await world.availability.lots.tell("acme", told, actor="test", correlation_id="c")
    gone = world.movement("gone", 2, "stock_adjusted", -100)
    come = world.movement("come", 3, "stock_adjusted", 60, lot="OLD")
    async with world.store.transaction() as connection:
        # Locked, not written: whoever waits first for the row as it is has it first.
        await connection.execute("select from availability.stock_line for update")
        recording = asyncio.create_task(world.record(gone, come))
        await waiting(world, "%stock_line%")
        reserving = reserve(world, asks("ord_1", (world.id["A"], 5)))
        await waiting(world, _TAKES)
    await recording
    with pytest.raises(Conflict) as refused:
        await reserving
    assert refused.value.code == "stock.insufficient"
    assert await world.broken_invariants() == []
