"""Counts by lot, bin and owner: blind, held against the books lot by lot, set lot by lot."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.kernel.errors import Conflict, Rejected
from process_apis.stock_operations.models import AskCount, BinFigure, ChangeStatus, Counted, CountState, Figure
from process_apis.stock_operations.options import CountTolerance, StockOperationsOptions

pytestmark = pytest.mark.integration


@pytest.fixture
async def lots(world):
    """6 of lot A and 4 of lot B in the north, none without a lot; two of a lot may be off."""
    for lot, amount in (("A", "6"), ("B", "4"), ("", "0")):
        await world.control("count", warehouse="NOR1", item_code="W-000001", quantity=amount, lot=lot)
    await world.listen()
    world.operations.counts._options = StockOperationsOptions(tolerances=(CountTolerance(absolute=Decimal(2)),))
    return world


async def ask(world, action="a", location="north", **more):
    command = AskCount(action=action, location=location, items=(world.item,), reason="weekly", **more)
    return await world.operations.counts.ask(world.caller(), command)


async def tell(world, count, *found, by="carl"):
    cut_off = None if count.task.system is None else tuple(int(part) for part in world.cursor.split(":"))
    figures = tuple(Figure(world.item, Decimal(amount), lot, place) for lot, place, amount in found)
    told = Counted(figures=figures, counted_at=world.clock.now(), counted_by=by, cut_off=cut_off)
    return await world.operations.counts.report(world.caller(by), count.count, told)


async def by_lot(world, location="north", owner="main"):
    rows = await world.availability.positions(world.tenant, items=[world.item], location=location)
    return {row["lot"]: row["amount"] for row in rows if row["amount"] and row["owner"] == owner}


async def test_lots_are_counted_bin_by_bin_and_set_one_by_one_at_their_holder(lots):
    world = lots
    count = await ask(world, bins=("A-1", "A-2", "B-1"))
    assert ([line.lot for line in count.lines], count.bins) == ([None], ("A-1", "A-2", "B-1"))
    with pytest.raises(Rejected) as skipped:
        await tell(world, count, ("A", "A-1", 5), ("B", "B-1", 4))
    assert (skipped.value.code, "A-2" in skipped.value.detail) == ("count.bins", True)
    agreed = await tell(world, count, ("A", "A-1", 3), ("A", "A-2", 2), ("B", "B-1", 5))
    assert [(line.lot, line.counted, line.expected) for line in agreed.lines] == [("A", 5, 6), ("B", 5, 4)]
    assert agreed.lines[0].bins == (BinFigure(bin="A-1", amount=Decimal(3)), BinFigure(bin="A-2", amount=Decimal(2)))
    assert agreed.state is CountState.POSTING
    await world.work(count.count)
    await world.listen()
    done = await world.operations.counts.get(world.tenant, count.count)
    assert (done.state, None in [line.movement for line in done.lines]) == (CountState.APPLIED, False)
    assert await by_lot(world) == {"A": 5, "B": 5}


async def test_a_lot_that_the_books_do_not_know_is_looked_at_by_another_person_and_then_believed(lots):
    world = lots
    count = await ask(world)
    again = await tell(world, count, ("A", None, 6), ("B", None, 4), ("NEW", None, 1))
    assert again.state is CountState.RECOUNT
    assert [need.code for need in world.operations.needs(again, world.clock.now().date())] == [
        "count.lot_unknown", "count.recount",
    ]  # fmt: skip
    sure = await tell(world, count, ("A", None, 6), ("B", None, 4), ("NEW", None, 1), by="dora")
    assert sure.state is CountState.TO_APPROVE
    await world.operations.counts.approve(world.caller("emil"), count.count, reason="came mislabelled")
    await world.work(count.count)
    await world.listen()
    assert await by_lot(world) == {"A": 6, "B": 4, "NEW": 1}


async def test_a_lot_that_nobody_found_was_found_to_be_none_and_goods_by_lot_are_told_by_lot(lots):
    world = lots
    count = await ask(world)
    with pytest.raises(Rejected) as which:
        await tell(world, count, (None, None, 10))
    assert which.value.code == "count.by_lot"
    missed = await tell(world, count, ("A", None, 6))
    assert [(line.lot, line.counted, line.variance) for line in missed.lines] == [("A", 6, 0), ("B", 0, -4)]
    assert missed.state is CountState.RECOUNT
    found = await tell(world, count, ("A", None, 6), ("B", None, 4), by="dora")
    assert (found.state, [line.variance for line in found.lines]) == (CountState.POSTING, [0, 0])


async def test_goods_of_two_owners_are_counted_and_held_apart(lots):
    world = lots
    for number, owner, amount in (("1", None, 5), ("2", "partner", 7)):
        await world.own("stock_adjusted", amount, event_id=f"{world.tenant}-{number}", owner=owner)
    count = await ask(world, location="depot", owner="partner")
    agreed = await tell(world, count, (None, None, 6))
    assert (agreed.lines[0].expected, agreed.state) == (7, CountState.POSTING)
    await world.work(count.count)
    await world.hear()
    assert (await by_lot(world, "depot"), await by_lot(world, "depot", "partner")) == ({"": 5}, {"": 6})
    wanted = ChangeStatus(
        action="h", kind="hold", location="depot", item=world.item, amount=Decimal(6), reason="look", owner="partner"
    )
    change = await world.operations.changes.ask(world.caller(), wanted)
    await world.work(change.change)
    rows = await world.availability.positions(world.tenant, items=[world.item], location="depot")
    assert {(row["owner"], row["bucket"]): row["amount"] for row in rows if row["amount"]} == {
        ("main", "sellable"): 5, ("partner", "quality_hold"): 6,
    }  # fmt: skip
    with pytest.raises(Conflict) as nobody:
        await ask(world, "b", owner="partner")
    assert nobody.value.code == "count.nobody_to_tell"
