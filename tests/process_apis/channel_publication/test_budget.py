"""Many figures, few calls: what a vendor allows is one budget of everybody, and a call takes as much as it may."""

import asyncio
import math

import pytest

from gateway.cache.valkey import Cache
from gateway.kernel.clock import SystemClock
from gateway.outbound.budget import Budgets
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.storefront_shop.sandbox import ShopSandbox
from tests.process_apis.channel_publication.conftest import World

pytestmark = [pytest.mark.integration, pytest.mark.long]
ITEMS, BATCH, RATE, BURST = 1_000, 50, 20.0, 5


@pytest.fixture
async def limited(published_store, tmp_path, valkey_url):
    """A world whose shop bears twenty calls a second, five at once, fifty figures in each."""
    levels = {f"SKU-{number:04d}": 5 for number in range(ITEMS)}
    shop = ShopSandbox(tmp_path / "limited", levels=levels, rate=RATE, burst=2 * BURST)
    cache = Cache(valkey_url)
    await cache.open()
    await shop.start()
    limits = SystemLimits(breaker_failures=10_000, retries=0, rate=RATE, burst=BURST)
    async with Outbound(SystemClock(), budgets=Budgets(cache, SystemClock(), processes=2)) as outbound:
        world = World(published_store, shop, outbound, {"batch_size": BATCH}, limits=limits)
        await world.list_items(*levels)
        yield world
    await shop.stop()
    await cache.close()


async def test_a_backlog_takes_as_few_calls_as_there_are_batches_and_never_more_than_the_vendor_allows(limited):
    world, shop = limited, limited.shop
    skus = list(world.id)
    await world.stock_of(dict.fromkeys(skus, 5))
    await world.settle()
    assert (await shop.look("history"))["changes"] == []  # everything was as it should be
    seen = len((await shop.look("requests"))["entries"])
    await world.stock_of({sku: 0 if number % 100 == 7 else 6 for number, sku in enumerate(skus)})
    await world.settle()
    requests = (await shop.look("requests"))["entries"][seen:]
    changes = (await shop.look("history"))["changes"]
    assert 429 not in {request["status"] for request in requests}
    assert sorted(change["sku"] for change in changes) == sorted(skus)  # each once
    assert len([r for r in requests if r["target"].endswith("/levels/set")]) == math.ceil(ITEMS / BATCH)
    assert {change["quantity"] for change in changes[:10]} == {0}  # what must not be sold first of all
    assert await world.disagreements() == []


async def test_two_workers_share_the_vendors_budget_and_send_each_figure_once(limited):
    world, shop = limited, limited.shop
    skus = list(world.id)
    await world.stock_of(dict.fromkeys(skus, 5))
    await world.settle()
    workers, stop = [world.publication, world.again()], asyncio.Event()
    running = [asyncio.create_task(worker.run(stop)) for worker in workers]
    try:
        await world.stock_of(dict.fromkeys(skus, 9))
        await world.shows(skus[0], 9)
        async with asyncio.timeout(60):
            while set((await world.shown()).values()) != {9}:  # noqa: ASYNC110 - bounded
                await asyncio.sleep(0.1)
    finally:
        stop.set()
        await asyncio.gather(*running)
    assert len((await shop.look("history"))["changes"]) == ITEMS
    assert 429 not in {request["status"] for request in (await shop.look("requests"))["entries"]}
