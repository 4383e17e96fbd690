"""Orders at a system that bears only so much: they wait in the record, and nobody sees an error for it."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from order_world import CALLER, ask

import gateway.pacing
from gateway.canonical.order import OrderState
from gateway.durable.calling import Calling
from gateway.kernel.errors import Throttled
from gateway.pacing.options import SystemPace, Work
from gateway.pacing.visits import Visits
from process_apis.order_to_ship.models import Task, TaskKind
from process_apis.order_to_ship.pacing import Gate, work_of
from process_apis.order_to_ship.steps import Step, StepKind

pytestmark = pytest.mark.integration
SCHEMA = "".join(
    path.read_text() for path in sorted((Path(gateway.pacing.__file__).parent / "migrations").glob("*.sql"))
)


@pytest.fixture
async def paced(world, monkeypatch):
    """The world with an ERP that takes one visit at a time. The same database serves the module, so it is made once."""
    if await world.store.fetchval("select to_regclass('pacing.place')") is None:
        await world.store.execute(SCHEMA)
    await world.store.execute("delete from pacing.place; delete from pacing.visit; delete from pacing.pause")
    visits = Visits(world.store, {"erp_na": SystemPace(visits=1)})
    monkeypatch.setattr(world.process, "_visits", visits)
    turns = world.process._turns
    monkeypatch.setitem(turns.keywords, "gate", Gate(visits, {"market"}))
    world.visits = visits
    world.calling = Calling(world.store, visits)
    return world


async def accepted(world, number="PO-1", **changes):
    await world.stock(100, "itm_1", "itm_2")
    return (await world.process.place_order(ask(number, **changes))).order.order_id


@asynccontextmanager
async def somebody_there(world):
    """Another order has the ERP's one visit."""
    await world.store.execute(
        "insert into pacing.place (system, subject, work, since, workflow, queue, args, called_at)"
        " values ('erp_na', 'ord_other', 'ordinary', now(), 'w', 'orders', '[]', now())"
    )
    yield
    await world.store.execute("delete from pacing.place where subject = 'ord_other'")


async def rested(world):
    await world.store.execute("update pacing.pause set until = now(), visits_until = now()")


async def test_an_order_waits_without_a_worker_and_goes_on_when_it_is_called(paced):
    async with somebody_there(paced):
        order_id = await accepted(paced)
        order = await paced.drain(order_id)
        assert order.state is OrderState.PROMISED
        assert (order.waiting.system, order.waiting.place) == ("erp_na", 1)
        assert (await paced.process.monitor("acme", order_id)).waiting.place == 1
        assert await paced.store.fetchval("select due_at from order_to_ship.sales_order") is None
        assert await paced.called(order_id) == []
        assert await paced.calling.look() == 0
    assert await paced.calling.look() == 1
    order = await paced.drain(order_id)
    assert (order.state, order.waiting) == (OrderState.RELEASED, None)
    assert await paced.store.fetchval("select count(*) from pacing.place") == 0


async def test_with_room_nothing_waits_and_a_visit_is_one_turn(paced):
    order_id = await accepted(paced)
    assert (await paced.drain(order_id)).state is OrderState.RELEASED
    assert await paced.store.fetchval("select count(*) from dbos.workflow_status") == 1
    assert await paced.store.fetchval("select count(*) from pacing.visit") == 1


async def test_a_buyers_order_of_a_committed_channel_passes_older_ones(paced):
    async with somebody_there(paced):
        first = await accepted(paced, "PO-1")
        await paced.drain(first)
        sold = await accepted(paced, "PO-2", channel="market")
        assert (await paced.drain(sold)).waiting.place == 1
        assert (await paced.process.get_order("acme", first)).waiting.place == 2


async def test_being_told_to_slow_down_is_no_failure_and_keeps_the_place(paced):
    erp, order_id = paced.process._systems.erp, await accepted(paced)
    told = []

    async def busy(call, *, order):
        told.append(order.order)
        raise Throttled("slow down", code="outbound.throttled", retry_after=0.0)

    erp.submit_order, kept = busy, erp.submit_order
    try:
        order = await paced.drain(order_id)
        for _ in range(5):
            assert order.waiting.place == 1
            assert await paced.calling.look() == 0, "nobody is called while the system rests"
            await rested(paced)
            assert await paced.calling.look() == 1
            order = await paced.drain(order_id)
    finally:
        erp.submit_order = kept
    assert len(told) == 6
    assert order.exceptions == ()
    assert order.task(TaskKind.ERP_ORDER, "erp_na").attempts == 0
    await rested(paced)
    assert await paced.calling.look() == 1
    assert (await paced.drain(order_id)).state is OrderState.RELEASED
    assert len(await paced.sales(order_id)) == 1


async def test_cancelling_what_waits_needs_no_place_and_leaves_none(paced):
    async with somebody_there(paced):
        order_id = await accepted(paced)
        await paced.drain(order_id)
        order = await paced.process.cancel_order(CALLER, order_id, reason="no longer wanted")
        assert order.state is OrderState.CANCELLED
        assert (await paced.process.get_order("acme", order_id)).waiting is None
    assert await paced.calling.look() == 1
    await paced.drain(order_id)
    assert await paced.called(order_id) == []
    assert await paced.store.fetchval("select count(*) from pacing.place") == 0


async def test_what_became_of_a_lost_call_is_looked_up_before_new_orders(paced):
    await paced.fault("submit_order", "unknown_after")
    lost = await accepted(paced, "PO-1")
    run = paced.process.workflows()[0].run
    await run(lost, 1)
    async with somebody_there(paced):
        await paced.drain(await accepted(paced, "PO-0"))
        order = await paced.drain(lost)
        assert order.waiting.place == 1
    assert await paced.calling.look() == 1
    await paced.drain(lost)
    assert len(await paced.sales(lost)) == 1


def test_the_work_of_a_visit_is_told_by_step_and_channel():
    class Bought:
        channel = "web"

    def of(kind, *, look_first=False, attempts=0, urgent=()):
        task = Task(kind=TaskKind.ERP_ORDER, target="erp", system="erp", attempts=attempts)
        return work_of(Bought, Step(kind, task, look_first), urgent)

    assert of(StepKind.SUBMIT_ORDER) is Work.ORDINARY
    assert of(StepKind.POST_SHIPMENT) is Work.POSTING
    assert of(StepKind.CANCEL_ORDER) is Work.UNDO
    assert of(StepKind.CANCEL_ORDER, urgent={"web"}) is Work.COMMITTED
    assert of(StepKind.SUBMIT_ORDER, attempts=1) is Work.UNCERTAIN
    assert of(StepKind.SUBMIT_ORDER, look_first=True, urgent={"web"}) is Work.UNCERTAIN
    assert of(StepKind.VERIFY_ORDER) is Work.UNCERTAIN
