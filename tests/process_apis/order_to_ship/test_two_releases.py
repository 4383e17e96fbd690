"""Two releases at work side by side, in processes of their own: the later one has another word for one of the tasks."""

import asyncio
import signal
from pathlib import Path

import pytest
from order_world import CALLER, ask

from gateway.canonical.order import OrderState
from gateway.durable.workers import ask_to_drain, list_shapes, list_workers
from tests.process_apis import two_releases
from tests.process_apis.two_releases import ROOT, printed_by, ran, until

pytestmark = [pytest.mark.integration, pytest.mark.long]
_HERE = Path(__file__).parent
_OTHER_WORD = (
    "process_apis/order_to_ship/models.py", 'WAREHOUSE_WORK = "warehouse_work"', 'WAREHOUSE_WORK = "warehouse_job"',
)  # fmt: skip


def later_release(folder, *, succeeds):
    """Where it succeeds none, it does not know a task of shape ``1``."""
    return two_releases.later_release(folder, succeeds=succeeds, other_word=_OTHER_WORD)


def worker(url, release):
    return two_releases.worker(_HERE / "order_worker.py", release, url)


async def placed_by(release, url, *numbers):
    return await printed_by(_HERE / "order_gateway.py", release, url, *numbers)


async def placed(world, *numbers):
    return [(await world.process.place_order(ask(number))).order.order_id for number in numbers]


async def until_in_state(world, orders, state):
    async def check():
        rows = await world.store.fetch(
            "select order_id, state, shape from order_to_ship.sales_order where order_id = any($1)", orders
        )
        return {row["state"] for row in rows} == {state} or [tuple(row) for row in rows]

    await until(check, f"not all are {state}")


async def once_each(world, orders):
    assert [len(await world.sales(order)) for order in orders] == [1] * len(orders)
    assert [len(await world.works(order)) for order in orders] == [1] * len(orders)


async def test_each_release_finishes_its_own_orders_and_the_older_one_drains(world, tmp_path):
    later = later_release(tmp_path, succeeds=())
    await world.stock(100, "itm_1")
    shipped, cancelled, held, refused, unknown, died, fresh = await placed(world, *(f"OLD-{n}" for n in range(7)))
    for order in (shipped, cancelled):
        await world.drain(order)
    await world.fault("submit_order", "error", "error", reference=refused)
    await world.fault("submit_order", "unknown_after", reference=unknown)
    await world.fault("submit_order", "crash_after", reference=died)
    await world.store.execute("update fake.customer set hold = true where code = 'CUST1'")
    await world.drain(held)
    assert (await world.process.get_order("acme", held)).state is OrderState.HELD
    await world.store.execute("update fake.customer set hold = false where code = 'CUST1'")
    new = await placed_by(later, world.url, *(f"NEW-{n}" for n in range(4)))
    old = [shipped, cancelled, held, refused, unknown, died, fresh]
    async with (
        worker(world.url, later) as (_, newer),
        worker(world.url, ROOT) as (doomed, first),
        worker(world.url, ROOT) as (other, second),
    ):
        await until_in_state(world, [*new, refused, unknown, died, fresh], OrderState.RELEASED)
        crashed = doomed if doomed.returncode is not None else other
        assert crashed.returncode == -signal.SIGKILL, "one died after the ERP had made the sale"
        await world.process.release_hold(CALLER, held, reason="paid")
        await world.ship(shipped, 1, 2)
        await world.process.cancel_order(CALLER, cancelled, reason="a mistake")
        await until_in_state(world, [held], OrderState.RELEASED)
        await until_in_state(world, [shipped], OrderState.COMPLETED)
        await until_in_state(world, [cancelled], OrderState.CANCELLED)
        survivor, slot = (other, second) if crashed is doomed else (doomed, first)
        async with world.store.transaction() as connection:
            lines = {f"slot-{line.worker.slot}": line for line in await list_workers(connection)}
            assert {name: line.worker.shape for name, line in lines.items()} == {newer: "2", slot: "1"}
            assert lines[slot].standing == "aside", "it leaves what is done for all to the later release"
            await ask_to_drain(connection, lines[slot].worker.slot)
        assert await asyncio.wait_for(survivor.wait(), 60) == 0
    await once_each(world, [*old, *new])
    for order in new:
        assert await ran(world.store, order) == ({newer}, {"2"})
    for order in old:
        slots, shapes = await ran(world.store, order)
        assert newer not in slots
        assert shapes == {"1"}


async def test_what_no_release_runs_is_told_and_waits_for_one_that_does(world, tmp_path):
    later = later_release(tmp_path, succeeds=())
    await world.stock(10, "itm_1")
    orders = await placed(world, "OLD-1", "OLD-2")
    async with worker(world.url, later):
        new = await placed_by(later, world.url, "NEW-1")
        await until_in_state(world, new, OrderState.RELEASED)
        async with world.store.transaction() as connection:
            shapes = {line.shape: line for line in await list_shapes(connection)}
        assert (shapes["1"].is_left, shapes["1"].waiting, shapes["2"].is_left) == (True, 2, False)
        async with worker(world.url, ROOT):
            await until_in_state(world, orders, OrderState.RELEASED)
    await once_each(world, [*orders, *new])


async def test_a_declared_successor_goes_on_when_no_older_worker_is_left_and_not_before(world, tmp_path):
    later = later_release(tmp_path, succeeds=("1",))
    await world.stock(10, "itm_1")
    await world.fault("submit_order", "crash_after")
    async with worker(world.url, later) as (_, newer), worker(world.url, ROOT) as (doomed, older):
        (order,) = await placed(world, "OLD-1")
        assert await asyncio.wait_for(doomed.wait(), 120) == -signal.SIGKILL, "it went to the older one"
        await until_in_state(world, [order], OrderState.RELEASED)
        assert older != newer
        assert newer in (await ran(world.store, order))[0]
        await world.ship(order, 1, 2)
        await until_in_state(world, [order], OrderState.COMPLETED)
    await once_each(world, [order])
    shape = "select shape from order_to_ship.sales_order where order_id = $1"
    assert await world.store.fetchval(shape, order) == "2", "its turns are the successor's from now on"
