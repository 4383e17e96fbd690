import asyncio
import time

import pytest

from .conftest import keeper, order, running, until, until_seen, write

pytestmark = pytest.mark.integration


async def test_events_arrive_in_order_and_once(store, nats_url):
    async with running(store, nats_url, keeper("c")) as backbone:
        for number in range(50):
            await write(store, order(f"ord_{number}"), order("other", type_="order.held"))
        await until_seen(store, [f"ord_{number}" for number in range(50)])
        assert backbone.connected
        assert backbone.runs == {"relay", "subscription/c"}


async def test_latency(store, nats_url):
    times = {}

    async def stamp(connection, recorded):
        times[recorded.event.aggregate] = time.perf_counter()

    async with running(store, nats_url, keeper("c", handler=stamp)) as backbone:
        await until(lambda: asyncio.sleep(0, backbone.connected and len(backbone.runs) == 2))
        await asyncio.sleep(1)
        delays = []
        for number in range(200):
            await write(store, order(f"o{number}"))
            t = time.perf_counter()
            await until(lambda number=number: asyncio.sleep(0, f"o{number}" in times), every=0.001)
            delays.append(times[f"o{number}"] - t)
            await asyncio.sleep(0.01)
        delays.sort()
        print("p50", delays[100], "p99", delays[198], "max", delays[-1])
