"""Changes of status: asked of a real warehouse system, or recorded where the goods are ours to hold."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.canonical.capabilities import Report
from gateway.canonical.stock import MovementType, OrderKey, ReportedMovement
from gateway.kernel.errors import Conflict, Rejected
from process_apis.stock_operations.models import ChangeState, ChangeStatus

pytestmark = pytest.mark.integration


async def ask(world, action="a", kind="hold", amount=4, location="north", **more):
    command = ChangeStatus(
        action=action, kind=kind, location=location, item=world.item, amount=Decimal(amount), reason="smells", **more
    )
    return await world.operations.changes.ask(world.caller(), command)


async def test_a_hold_is_made_by_the_warehouse_once_and_comes_back_as_its_movement(world):
    await world.control("faults", rules=[{"match": "POST /api/v2/status-changes", "do": "drop_after", "times": 1}])
    held = await ask(world)
    assert (await ask(world)).change == held.change
    await world.work(held.change)
    assert (await world.operations.changes.get(world.tenant, held.change)).state is ChangeState.ASKED
    await world.listen()
    done = await world.operations.changes.get(world.tenant, held.change)
    assert (done.state, done.movement is None) == (ChangeState.CHANGED, False)
    assert await world.buckets() == {"sellable": 16, "quality_hold": 4}
    back = await ask(world, action="b", kind="release", amount=3)
    await world.work(back.change)
    await world.listen()
    assert await world.buckets() == {"sellable": 19, "quality_hold": 1}
    assert [each["state"] for each in await world.told("stock.status.changed")] == ["changed", "changed"]
    await world.work((await ask(world, action="c", kind="release", amount=1)).change)


async def test_what_the_warehouse_has_not_is_refused_and_waits_for_a_person(world):
    much = await ask(world, kind="damage", amount=999)
    await world.work(much.change)
    refused = await world.operations.changes.get(world.tenant, much.change)
    assert (refused.state, refused.task.error_code) == (ChangeState.REFUSED, "wms.short")
    await world.operations.changes.retry(world.caller(), much.change)
    await world.work(much.change)
    gone = await world.operations.changes.withdraw(world.caller(), much.change, reason="counted again")
    assert gone.state is ChangeState.WITHDRAWN
    assert await world.operations.changes.listed(world.tenant, open_only=True) == []
    await world.listen()
    assert await world.buckets() == {"sellable": 20}


async def test_where_we_hold_the_goods_we_record_it_ourselves_and_once(world):
    opening = ReportedMovement(
        source="crossdock", event_id=f"{world.tenant}-opening", line=0, order_key=OrderKey(0, 1),
        type=MovementType.STOCK_ADJUSTED, occurred_at=world.clock.now(), source_item=world.item,
        source_location="depot", amount=Decimal(6), uom="EA",
    )  # fmt: skip
    await world.availability.record(world.tenant, Report(movements=(opening,)))
    held = await ask(world, location="depot")
    await world.turns.run(held.change, 1)
    await world.store.execute(
        "update stock_operations.task set state = 'asked', look = true, not_before = null where subject = $1",
        held.change,
    )  # as if the worker had died before it wrote down that it was recorded
    await world.work(held.change)
    await world.hear()
    assert (await world.operations.changes.get(world.tenant, held.change)).state is ChangeState.CHANGED
    assert await world.buckets("depot") == {"sellable": 2, "quality_hold": 4}
    more = await ask(world, action="b", location="depot", amount=3)
    await world.work(more.change)
    refused = await world.operations.changes.get(world.tenant, more.change)
    assert (refused.state, refused.task.error_code) == (ChangeState.REFUSED, "status.short")


async def test_who_takes_no_orders_is_not_asked_and_what_is_not_there_is_unknown(world):
    with pytest.raises(Conflict) as nobody:
        await ask(world, location="south")
    assert nobody.value.code == "status.nobody_to_ask"
    with pytest.raises(Rejected) as unknown:
        await ask(world, location="nowhere")
    assert unknown.value.code == "location.unknown"
    held = await ask(world, action="c", amount=1)
    await world.work(held.change)
    with pytest.raises(Conflict) as made:
        await world.operations.changes.withdraw(world.caller(), held.change, reason="no")
    assert made.value.code == "status.not_withdrawable"
