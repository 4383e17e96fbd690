"""Cycle counts with a real warehouse system behind them, and where the goods are ours to hold."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.canonical.capabilities import Report
from gateway.canonical.stock import MovementType, OrderKey, ReportedMovement
from gateway.kernel.errors import Conflict, NotAllowed, Rejected
from process_apis.stock_operations.models import AskCount, Counted, CountState, Figure
from process_apis.stock_operations.options import CountTolerance, StockOperationsOptions

pytestmark = pytest.mark.integration


async def ask(world, action="a", location="north", **more):
    command = AskCount(action=action, location=location, items=(world.item,), reason="weekly", **more)
    return await world.operations.counts.ask(world.caller(), command)


async def tell(world, count, found, by="carl", **more):
    if "cut_off" not in more and count.task.system is not None:
        more["cut_off"] = tuple(int(part) for part in world.cursor.split(":"))
    told = Counted(
        figures=more.pop("figures", None) or (Figure(world.item, Decimal(found)),),
        counted_at=more.pop("at", world.clock.now()),
        counted_by=by,
        **more,
    )
    return await world.operations.counts.report(world.caller(by), count.count, told)


async def posted(world, count):
    await world.work(count.count)
    await world.listen()
    return await world.operations.counts.get(world.tenant, count.count)


@pytest.fixture
def tolerant(world):
    world.operations.counts._options = StockOperationsOptions(tolerances=(CountTolerance(absolute=Decimal(2)),))
    return world


async def test_a_count_within_tolerance_is_set_at_its_holder_once_and_comes_back_as_its_movement(tolerant):
    world = tolerant
    count = await ask(world)
    assert (await ask(world)).count == count.count
    assert count.lines[0].expected is None
    await world.control("faults", rules=[{"match": "POST /api/v2/counts", "do": "drop_after", "times": 1}])
    agreed = await tell(world, count, 19)
    assert (agreed.state, agreed.lines[0].expected, agreed.lines[0].variance) == (CountState.POSTING, 20, -1)
    done = await posted(world, count)
    assert (done.state, done.lines[0].movement is None) == (CountState.APPLIED, False)
    assert await world.buckets() == {"sellable": 19}
    with pytest.raises(Conflict) as over:
        await tell(world, count, 18)
    assert over.value.code == "count.not_open"


async def test_what_is_off_is_counted_again_by_somebody_else_and_then_decided_by_who_did_not_count(world):
    count = await ask(world)
    again = await tell(world, count, 12)
    assert (again.state, again.round) == (CountState.RECOUNT, 2)
    with pytest.raises(NotAllowed) as same:
        await tell(world, count, 12, at=again.counted_at - timedelta(seconds=1))
    assert same.value.code == "count.same_person"
    told = await tell(world, count, 12, at=again.counted_at)
    assert (told.state, told.lines) == (again.state, again.lines), "telling the same again changes nothing"
    off = await tell(world, count, 13, by="dora")
    assert off.state is CountState.TO_APPROVE
    for who in ("carl", "dora"):
        with pytest.raises(NotAllowed):
            await world.operations.counts.approve(world.caller(who), count.count, reason="mine")
    agreed = await world.operations.counts.approve(world.caller("emil"), count.count, reason="shelf fell")
    assert (agreed.state, agreed.decided_by) == (CountState.POSTING, "emil")
    assert (await posted(world, count)).state is CountState.APPLIED
    assert await world.buckets() == {"sellable": 13}
    row = await world.store.fetchrow(
        "select actor, detail from store.audit where subject = $1 and action = 'count.approve'", count.count
    )
    assert (row["actor"], "shelf fell" in row["detail"]) == ("emil", True)


async def test_a_second_count_that_agrees_with_the_books_settles_it(world):
    count = await ask(world)
    await tell(world, count, 12)
    assert (await tell(world, count, 20, by="dora")).state is CountState.POSTING


async def test_above_a_value_it_takes_two_people_and_rejecting_believes_the_books(world):
    limited = StockOperationsOptions(tolerances=(CountTolerance(alone_value=Decimal(0)),))
    world.operations.counts._options = limited
    count = await ask(world)
    await tell(world, count, 12)
    await tell(world, count, 12, by="dora")
    proposed = await world.operations.counts.approve(world.caller("emil"), count.count, reason="seen")
    assert (proposed.state, proposed.proposed_by) == (CountState.TO_APPROVE, "emil")
    with pytest.raises(NotAllowed) as second:
        await world.operations.counts.approve(world.caller("emil"), count.count, reason="seen")
    assert second.value.code == "count.second_person"
    rejected = await world.operations.counts.reject(world.caller("fred"), count.count, reason="found them")
    assert rejected.state is CountState.REJECTED
    assert await world.buckets() == {"sellable": 20}
    assert await world.operations.counts.listed(world.tenant, open_only=True) == []


async def test_the_books_are_read_at_the_cut_off_and_a_warehouse_in_which_goods_moved_since_refuses(tolerant):
    world = tolerant
    count = await ask(world)
    before = tuple(int(part) for part in world.cursor.split(":"))
    await world.control("adjust", warehouse="NOR1", item_code="W-000001", quantity="-5")
    await world.listen()
    agreed = await tell(world, count, 20, cut_off=before)
    assert (agreed.lines[0].expected, agreed.state) == (20, CountState.POSTING)
    refused = await posted(world, count)
    assert (refused.state, refused.task.error_code) == (CountState.REFUSED, "wms.moved_since")
    again = await tell(world, count, 15)
    assert (again.lines[0].expected, again.state) == (15, CountState.POSTING)
    assert (await posted(world, count)).state is CountState.APPLIED
    assert await world.buckets() == {"sellable": 15}


async def test_where_we_hold_the_goods_the_count_is_ours_and_later_movements_stay(tolerant):
    world = tolerant
    at = world.clock.now() - timedelta(minutes=2)

    def moved(name, amount, when):
        return ReportedMovement(
            source="crossdock", event_id=f"{world.tenant}-{name}", line=0,
            order_key=OrderKey(0, int(when.timestamp() * 1_000_000)), type=MovementType.STOCK_ADJUSTED,
            occurred_at=when, source_item=world.item, source_location="depot", amount=Decimal(amount), uom="EA",
        )  # fmt: skip

    opening, later = moved("opening", 6, at - timedelta(hours=1)), moved("later", 3, at + timedelta(minutes=1))
    await world.availability.record(world.tenant, Report(movements=(opening, later)))
    count = await ask(world, location="depot")
    agreed = await tell(world, count, 5, at=at)
    assert (agreed.lines[0].expected, agreed.state) == (6, CountState.POSTING)
    await world.work(count.count)
    await world.hear()
    assert (await world.operations.counts.get(world.tenant, count.count)).state is CountState.APPLIED
    assert await world.buckets("depot") == {"sellable": 8}


async def test_what_cannot_be_counted_is_refused_with_its_reason(world):
    count = await ask(world)
    for more, code in (({"cut_off": None}, "count.cut_off_needed"),
                       ({"at": world.clock.now() + timedelta(days=1)}, "count.in_future")):  # fmt: skip
        with pytest.raises(Rejected) as refused:
            await tell(world, count, 1, **more)
        assert refused.value.code == code
    told = Counted(
        figures=(Figure("itm_other", Decimal(1)),), counted_at=world.clock.now(), counted_by="c", cut_off=(1, 1)
    )
    with pytest.raises(Rejected) as other:
        await world.operations.counts.report(world.caller(), count.count, told)
    assert other.value.code == "count.lines"
    with pytest.raises(Conflict) as nobody:
        await ask(world, action="b", location="south")
    assert nobody.value.code == "count.nobody_to_tell"
    with pytest.raises(Conflict) as early:
        await world.operations.counts.approve(world.caller(), count.count, reason="r")
    assert early.value.code == "count.not_decidable"
