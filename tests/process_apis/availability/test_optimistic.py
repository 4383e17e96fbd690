from __future__ import annotations

import asyncio
import gc
import json
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest

from gateway.canonical.stock import ClaimLine, ClaimOverride, ClaimRequest
from gateway.kernel.errors import Conflict
from gateway.store.postgres import Store
from process_apis.availability.lots import LotTold
from process_apis.availability.models import Allotment, ChannelRule, ChannelTerms, ItemTerms, LocationTerms
from process_apis.availability.optimistic import is_plain, looks_further
from process_apis.availability.promising import Shelf
from tests.process_apis.availability.conftest import World


def asks(order, *lines, **more):
    wanted = [ClaimLine(line=n, item=item, amount=Decimal(amount)) for n, (item, amount) in enumerate(lines, 1)]
    return ClaimRequest(action=f"{order}:claim", order=order, channel="web", correlation_id=order, lines=wanted, **more)


def rule(**terms):
    said = ChannelTerms(**terms)
    return ChannelRule(channel="web", version=1, terms=said, fences=said.fences)


@pytest.mark.parametrize(
    "further",
    [
        {"share": Decimal("0.5")},
        {"protected": Decimal(3)},
        {"fallback": "stop"},
        {"items": {"itm": ItemTerms(buffer=Decimal(1))}},
        {"items": {"itm": ItemTerms(allotment=Allotment(name="a", amount=Decimal(1)))}},
    ],
)
def test_a_rule_that_looks_beyond_the_stock_line_is_decided_behind_locks(further):
    assert looks_further(rule(**further))


def test_what_is_kept_back_at_a_line_needs_no_locks_to_be_decided():
    kept = (LocationTerms(location="loc_n", safety_stock=Decimal(1)),)
    assert not looks_further(rule(buffer=Decimal(2), locations=kept))


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
        await waiting(connection, _TAKES)


_TAKES = "with made as (%insert into availability.claim%"


async def waiting(connection, query):
    """Until somebody waits for a lock with a query like this: a reservation decided behind locks never takes so.

    Asked by who holds the lock: a transaction that says nothing for ten seconds is ended.
    """
    asked = (
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock' and query like $1"
    )
    while not await connection.fetchval(asked, query):
        await connection.execute("select pg_stat_clear_snapshot()")
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
    for table in ("claim_order", "claim", "action"):
        assert await world.store.fetch(f"select from availability.{table} where order_id = 'ord_1'") == [], table
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
    gone = world.movement("gone", 2, "stock_adjusted", -100)
    come = world.movement("come", 3, "stock_adjusted", 60, lot="OLD")
    async with world.store.transaction() as connection:
        # Locked, not written: whoever waits first for the row as it is has it first.
        await connection.execute("select from availability.stock_line for update")
        recording = asyncio.create_task(world.record(gone, come))
        await waiting(connection, "%stock_line%")
        reserving = reserve(world, asks("ord_1", (world.id["A"], 5)))
        await waiting(connection, _TAKES)
        yesterday = world.clock.now().date() - timedelta(days=1)
        told = [LotTold(item=world.id["A"], lot="OLD", expires_on=yesterday)]
        await world.availability.lots.tell("acme", told, actor="test", correlation_id="c")
    await recording
    with pytest.raises(Conflict) as refused:
        await reserving
    assert refused.value.code == "stock.insufficient"
    assert await world.broken_invariants() == []


async def together(world, *requests):
    """What each of these is answered that are in one batch: what was promised, or the code it was refused with."""
    found = await asyncio.gather(*(reserve(world, each) for each in requests), return_exceptions=True)
    return [each.code if isinstance(each, Conflict) else [int(claim.amount) for claim in each] for each in found]


@pytest.mark.integration
async def test_what_is_not_there_is_refused_without_waiting_for_whoever_holds_its_line(world):
    await world.stock("A", 100)
    await world.stock("B", 1)
    async with world.store.transaction() as connection:
        await connection.execute("select from availability.stock_line where item = $1 for update", world.id["B"])
        answers = await together(world, asks("ord_1", (world.id["A"], 5)), asks("ord_2", (world.id["B"], 2)))
    assert answers == [[5], "stock.insufficient"]
    assert await world.store.fetch("select from availability.claim_order where order_id = 'ord_2'") == []
    assert await world.broken_invariants() == []


@pytest.mark.integration
async def test_whose_stock_others_took_meanwhile_is_refused_and_the_rest_of_its_batch_is_not(world):
    await world.stock("A", 10)
    await world.stock("B", 10)
    both = (world.id["A"], 4), (world.id["B"], 5)
    async with taken_meanwhile(world, "B", 6):
        asking = asyncio.create_task(together(world, asks("ord_1", *both), asks("ord_2", (world.id["A"], 3))))
    assert await asking == ["stock.insufficient", [3]]
    told = [json.loads(event["data"]) for event in await world.events("availability.changed")]
    of_a = [event for event in told if event["item"] == world.id["A"]]
    assert [(event["version"], Decimal(event["reserved"])) for event in of_a] == [(1, 0), (2, 3)]
    assert [(each["version"], each["open"]) for each in of_a[1]["channels"]] == [(1, "3")]
    assert [(await world.figures(sku))["reserved"] for sku in "AB"] == [3, 6]
    for table in ("claim_order", "claim", "action"):
        assert await world.store.fetch(f"select from availability.{table} where order_id = 'ord_1'") == [], table
    assert await world.broken_invariants() == []


@pytest.mark.integration
async def test_nobody_is_refused_for_what_another_of_the_batch_was_promised_and_did_not_get(world):
    await world.stock("A", 5)
    await world.stock("B", 1)
    both = (world.id["A"], 5), (world.id["B"], 1)
    async with taken_meanwhile(world, "B", 1):
        asking = asyncio.create_task(together(world, asks("ord_1", *both), asks("ord_2", (world.id["A"], 5))))
    assert await asking == ["stock.insufficient", [5]]
    assert await world.broken_invariants() == []


@pytest.mark.integration
async def test_an_order_that_is_cancelled_while_its_claim_is_on_its_way_is_promised_nothing(world):
    await world.stock("A", 10)
    async with world.store.transaction() as connection:
        cancel = {"tenant": "acme", "action": "ord_1:cancel", "order": "ord_1", "correlation_id": "c"}
        await world.availability.claims._standing.cancel(connection, **cancel)
        reserving = reserve(world, asks("ord_1", (world.id["A"], 5)))
        await waiting(connection, _TAKES)
    with pytest.raises(Conflict) as refused:
        await reserving
    assert refused.value.code == "claim.order_cancelled"
    assert (await world.figures())["reserved"] == 0
    assert await world.broken_invariants() == []


@pytest.mark.integration
async def test_one_command_that_comes_through_two_processes_at_once_is_done_once_and_answered_alike(world):
    await world.stock("A", 100)
    await world.stock("B", 100)
    store = Store(world.url, size=2)
    await store.open()
    try:
        other = World(store, world.url)
        for number in range(20):
            asked = asks(f"ord_{number}", (world.id["A"], 1), (world.id["B"], 2))
            one, two = await asyncio.gather(reserve(world, asked), reserve(other, asked))
            assert one == two
    finally:
        await store.close()
    assert [(await world.figures(sku))["reserved"] for sku in "AB"] == [20, 40]
    assert await world.broken_invariants() == []


@pytest.mark.integration
async def test_what_other_places_make_up_for_is_decided_behind_locks(world):
    """The buffer is kept of all that lies anywhere: a line that has less than it proves nothing."""
    await world.stock("A", 10)
    await world.stock("A", 10, "wms_s")
    await world.availability.set_rule("acme", "web", ChannelTerms(buffer=Decimal(6)), actor="test")
    assert await together(world, asks("ord_1", (world.id["A"], 8)), asks("ord_2", (world.id["A"], 6))) == [[8], [6]]
    assert await together(world, asks("ord_3", (world.id["A"], 1))) == ["stock.insufficient"]
    assert await world.broken_invariants() == []


@pytest.mark.integration
async def test_what_a_refusal_was_decided_on_is_gone_without_the_garbage_collector(world):
    await world.stock("A", 1)
    gc.collect()
    gc.disable()
    try:
        assert await together(world, asks("ord_1", (world.id["A"], 2))) == ["stock.insufficient"]
        assert [each for each in gc.get_objects() if type(each) is Shelf] == []
    finally:
        gc.enable()


async def sold_out(world, url, seed):
    """Two processes' worth of batches go for little stock; returns what would make the outcome wrong."""
    random, store = Random(seed), Store(url, size=2)
    await store.open()
    other = World(store, url)
    stock = {sku: random.randint(1, 12) for sku in "ABK"}
    try:
        for sku in "AB":
            await world.stock(sku, stock[sku])
        await world.record(world.movement("k", 1, "stock_adjusted", stock["K"], sku="K", uom="KGM"))
        baskets = [random.sample("ABK", random.randint(1, 3)) for _ in range(24)]
        asked = [
            asks(f"ord_{n}", *((world.id[sku], random.randint(1, 3)) for sku in skus)) for n, skus in enumerate(baskets)
        ]
        found = await asyncio.gather(
            *(reserve(each, request) for each, request in zip([world, other] * 12, asked, strict=True)),
            return_exceptions=True,
        )
    finally:
        await store.close()
    if strange := [each for each in found if isinstance(each, Exception) and not isinstance(each, Conflict)]:
        return [repr(strange[0])]
    left = {world.id[sku]: stock[sku] - (await world.figures(sku))["reserved"] for sku in "ABK"}
    refused = [request for request, each in zip(asked, found, strict=True) if isinstance(each, Conflict)]
    fitting = [each.order for each in refused if all(left[line.item] >= line.amount for line in each.lines)]
    return [*fitting, *await world.broken_invariants()]


@pytest.mark.integration
@pytest.mark.parametrize("seed", [1, 2, 3, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 30))])
async def test_scarce_stock_is_never_oversold_and_nobody_is_refused_what_is_left(world, seed):
    assert await sold_out(world, world.url, seed) == []
