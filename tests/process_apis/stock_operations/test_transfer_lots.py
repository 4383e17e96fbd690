"""Transfers of several lines, by lot and of kits: partly sent and received, in any order, closed line by line."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from gateway.canonical.kit import Component
from gateway.kernel.errors import Conflict, Rejected
from process_apis.availability.lots import LotTold
from process_apis.stock_operations.handing import Handled
from process_apis.stock_operations.models import PlanTransfer, TransferState, TransferWish
from process_apis.stock_operations.rules import needs_of

pytestmark = pytest.mark.integration
SOON, LATER = date(2031, 5, 1), date(2032, 5, 1)


@pytest.fixture
async def lots(world):
    """6 of lot A (over later) and 4 of lot B (over soon) in the north beside 20 without one."""
    for lot, amount in (("A", "6"), ("B", "4")):
        await world.control("count", warehouse="NOR1", item_code="W-000001", quantity=amount, lot=lot)
    await world.control("count", warehouse="NOR1", item_code="W-000002", quantity="9")
    await world.listen()
    told = [LotTold(world.item, "A", LATER), LotTold(world.item, "B", SOON)]
    await world.availability.lots.tell(world.tenant, told, actor="test", correlation_id="c")
    return world


async def planned(world, action, *lines, **more):
    wishes = tuple(TransferWish(item=item, amount=Decimal(much), lot=lot) for item, much, lot in lines)
    ends = {"origin": "north", "destination": "south"} | more
    command = PlanTransfer(action=action, lines=wishes, **ends)
    return await world.operations.transfers.plan(world.caller(), command)


async def test_lines_of_lots_leave_and_come_by_lot_in_parts_and_in_any_order(lots):
    world, other = lots, (await lots.items.by_sku(lots.tenant, ["SKU-0002"]))["SKU-0002"].item
    made = await planned(world, "a", (world.item, 5, "A"), (world.item, 4, "B"), (other, 3, None), release=True)
    assert [line.expires_on for line in made.lines] == [LATER, SOON, None]
    await world.work(made.transfer)
    [order] = await world.orders(made.transfer)
    assert [line["lot"] for line in order["lines"]] == ["A", "B", None]
    document = {"document": made.transfer}
    await world.tell("transfer_received", 2, lot="B", **document)
    await world.tell("transfer_received", 3, sku=2, **document)
    await world.control("ship", client_reference=made.transfer, lines=[{"line_number": 2, "quantity": "3"}])
    await world.listen()
    partly = await world.transfer(made.transfer)
    assert [(line.dispatched, line.received) for line in partly.lines] == [(0, 0), (3, 2), (0, 3)]
    assert partly.state is TransferState.PARTLY_RECEIVED
    await world.control("ship", client_reference=made.transfer)
    await world.listen()
    moving = await world.transfer(made.transfer)
    assert [line.in_transit for line in moving.lines] == [5, 2, 0]
    assert {each.lot: each.dispatched for each in moving.moved if each.lot} == {"A": 5, "B": 4}
    rows = await world.availability.positions(world.tenant, items=[world.item], location="north")
    assert {(row["bucket"], row["lot"]): row["amount"] for row in rows if row["amount"]} == {
        ("sellable", ""): 20, ("sellable", "A"): 1,
    }  # fmt: skip
    for lot, amount in (("A", 5), ("B", 2)):
        await world.tell("transfer_received", amount, lot=lot, **document)
    done = await world.transfer(made.transfer)
    assert (done.state, sum(line.in_transit for line in done.lines)) == (TransferState.COMPLETED, 0)


async def test_what_goes_first_is_suggested_and_a_lot_is_not_promised_twice(lots):
    world = lots
    free = await planned(world, "a", (world.item, 7, None))
    assert [(each.lot, each.amount) for each in free.lines[0].suggested] == [("B", 4), ("A", 3)]
    await planned(world, "b", (world.item, 3, "B"))
    with pytest.raises(Conflict) as short:
        await planned(world, "c", (world.item, 2, "B"))
    assert (short.value.code, "A 6" in short.value.detail) == ("transfer.lot_short", True)
    with pytest.raises(Rejected) as twice:
        await planned(world, "d", (world.item, 1, "A"), (world.item, 1, "A"))
    assert twice.value.code == "transfer.item_repeated"
    again = await planned(world, "e", (world.item, 2, None), expected_on=date(2031, 6, 1))
    assert [(each.lot, each.amount) for each in again.lines[0].suggested] == [("A", 2)]
    assert (await planned(world, "b", (world.item, 3, "B"))).lines[0].lot == "B"


async def test_a_line_is_closed_by_itself_and_what_turns_up_later_counts_all_the_same(lots):
    world = lots
    made = await planned(
        world, "a", (world.item, 5, "A"), (world.item, 4, "B"), release=True, expected_on=date(2031, 1, 2)
    )
    await world.work(made.transfer)
    await world.control("ship", client_reference=made.transfer, lines=[{"line_number": 1, "quantity": "4"}])
    await world.listen()
    await world.tell("transfer_received", 1, lot="A", document=made.transfer)
    close, reason = world.operations.transfers.close, {"reason": "fell off", "missing": "lost"}
    with pytest.raises(Rejected) as unknown:
        await close(world.caller(), made.transfer, lines=[7], **reason)
    assert unknown.value.code == "transfer.line_unknown"
    part = await close(world.caller("anna"), made.transfer, lines=[1], **reason)
    assert (part.state, part.closed_at, part.lines[0].written_off) == (TransferState.PARTLY_RECEIVED, None, 3)
    assert (part.lines[0].closed_by, part.lines[1].closed_by) == ("anna", None)
    assert (await close(world.caller(), made.transfer, lines=[1], **reason)).version == part.version
    assert (await world.line())["allocated"] == 4
    await world.work(made.transfer)
    await world.control("ship", client_reference=made.transfer, lines=[{"line_number": 2, "quantity": "4"}])
    await world.listen()
    found = await world.availability.supply(world.tenant, [world.item])
    assert sorted(coming for _, coming, _ in found) == [0, 4]
    await world.tell("transfer_received", 4, lot="B", document=made.transfer)
    done = await world.transfer(made.transfer)
    assert done.state is TransferState.CLOSED
    assert sum(coming for _, coming, _ in await world.availability.supply(world.tenant, [world.item])) == 0
    await world.tell("transfer_received", 3, lot="A", document=made.transfer)
    late = await world.transfer(made.transfer)
    assert (late.lines[0].received, late.lines[0].in_transit, late.state) == (4, 0, TransferState.CLOSED)
    assert [len(await world.told(f"stock.transfer.{name}")) for name in ("line_closed", "closed")] == [1, 0]


async def test_another_lot_than_was_asked_for_counts_and_is_shown(lots):
    world = lots
    await world.tell("stock_adjusted", 9, lot="A")
    made = await planned(world, "a", (world.item, 5, "A"), origin="south", destination="depot", release=True)
    await world.work(made.transfer)
    await world.tell("transfer_dispatched", 5, lot="B", document=made.transfer, order_reference=made.transfer)
    found = await world.transfer(made.transfer)
    assert found.lines[0].in_transit == 5
    assert [need.code for need in needs_of(found, world.clock.now().date())] == ["transfer.other_lot"]


async def test_a_kit_goes_as_it_stands_there_and_is_never_put_together_to_go(lots):
    world = lots
    other = (await world.items.by_sku(world.tenant, ["SKU-0002"]))["SKU-0002"].item
    made_of = [Component(other, Decimal(1))]
    await world.kits.change(world.caller(), world.item, made_of, effective_from=None, note="")
    with pytest.raises(Conflict) as refused:
        await planned(world, "a", (world.item, 31, None))
    assert (refused.value.code, "put together" in refused.value.detail) == ("transfer.kit_not_there", True)
    assert ((await world.line())["allocated"], (await world.line())["reserved"]) == (0, 0)
    made = await planned(world, "b", (world.item, 20, None), release=True)
    await world.work(made.transfer)
    await world.control("ship", client_reference=made.transfer)
    await world.listen()
    assert (await world.transfer(made.transfer)).lines[0].in_transit == 20
    assert (await world.buckets("north"))["sellable"] is not None
    rows = await world.store.fetch("select item from availability.claim where order_id = $1", made.transfer)
    assert {row["item"] for row in rows} == {world.item}


async def test_what_we_hold_by_lot_leaves_by_the_lots_that_people_tell(lots):
    world, at, tell = lots, lots.clock.now(), lots.operations.handling.tell
    into = await planned(world, "a", (world.item, 6, "A"), (world.item, 4, "B"), destination="depot", release=True)
    await world.work(into.transfer)
    await world.control("ship", client_reference=into.transfer)
    await world.listen()
    came = [Handled(1, Decimal(6)), Handled(2, Decimal(4))]
    await tell(world.caller(), into.transfer, "receipt", action="x", at=at, lines=came)
    await world.hear()
    assert (await world.transfer(into.transfer)).state is TransferState.COMPLETED
    back = await planned(world, "b", (world.item, 9, None), origin="depot", release=True)
    await world.work(back.transfer)
    with pytest.raises(Rejected) as silent:
        await tell(world.caller(), back.transfer, "dispatch", action="y", at=at, lines=[Handled(1, Decimal(9))])
    assert silent.value.code == "transfer.lot_needed"
    left = [Handled(1, Decimal(5), "A"), Handled(1, Decimal(4), "B")]
    for lines in (left, left[::-1]):
        await tell(world.caller(), back.transfer, "dispatch", action="y", at=at, lines=lines)
    await world.hear()
    moved = await world.transfer(back.transfer)
    assert (moved.lines[0].in_transit, {each.lot: each.dispatched for each in moved.moved}) == (9, {"A": 5, "B": 4})
    rows = await world.availability.positions(world.tenant, items=[world.item], location="depot")
    assert {row["lot"]: row["amount"] for row in rows if row["amount"]} == {"A": 1}
