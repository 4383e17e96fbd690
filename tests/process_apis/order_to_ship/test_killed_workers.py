import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from order_world import ask

from gateway.canonical.order import OrderState

pytestmark = pytest.mark.integration
_WORKER = Path(__file__).with_name("order_worker.py")
_ROOT = Path(__file__).parents[3]


async def start(url):
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_WORKER), url, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    await asyncio.wait_for(process.stdout.readline(), 60)
    return process


@asynccontextmanager
async def workers(url, count):
    running = list(await asyncio.gather(*(start(url) for _ in range(count))))
    try:
        yield running
    finally:
        for process in running:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def until_all(world, orders, state, seconds=100):
    states = {}
    for _ in range(int(seconds / 0.1)):
        states = {order: (await world.process.get_order("acme", order)).state for order in orders}
        if set(states.values()) == {state}:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"still {states}")


async def test_killed_after_the_erp_made_the_sale_and_before_that_was_recorded_there_is_one_sale(world):
    await world.stock(10, "itm_1")
    order = (await world.process.place_order(ask("PO-1"))).order.order_id
    await world.fault("submit_order", "crash_after")
    async with workers(world.url, 2) as running:
        await until_all(world, [order], OrderState.RELEASED)
        assert sorted(process.returncode is None for process in running) == [False, True]
    assert len(await world.sales(order)) == 1
    assert len(await world.works(order)) == 1


async def test_workers_killed_at_every_seam_while_others_are_started_lose_and_double_nothing(world):
    seams = ["read_customer", "submit_order", "release_work"]
    plans = [(seam, crash) for seam in seams for crash in ("crash_before", "crash_after")]
    orders = []
    for number, (seam, crash) in enumerate(plans):
        await world.stock(10, f"itm_{number}")
        await world.store.execute("insert into fake.customer (code) values ($1)", f"K{number}")
        placed = await world.process.place_order(ask(f"PO-{number}", (f"SKU-{number}", "2"), sold_to=f"K{number}"))
        orders.append(placed.order.order_id)
        await world.fault(seam, crash, reference=f"K{number}" if seam == "read_customer" else orders[-1])
    async with workers(world.url, 2) as running:
        done = asyncio.create_task(until_all(world, orders, OrderState.RELEASED))
        while not done.done():
            for index, process in enumerate(running):
                if process.returncode is not None:
                    running[index] = await start(world.url)
            await asyncio.sleep(0.1)
        await done
    assert await world.store.fetchval("select count(*) from fake.fault") == 0
    assert [len(await world.sales(order)) for order in orders] == [1] * len(orders)
    assert [len(await world.works(order)) for order in orders] == [1] * len(orders)
    assert await world.process.list_exceptions("acme") == []
