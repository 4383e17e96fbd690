"""A whole catalogue changes at once: its shop is told in as few calls as there are batches."""

import asyncio
import math
from collections import Counter

import pytest

from gateway.cache.valkey import Cache
from gateway.kernel.clock import SystemClock
from gateway.outbound.budget import Budgets
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from process_apis.channel_publication.subscriptions import subscriptions
from system_apis.storefront_shop.sandbox import ShopSandbox
from tests.process_apis.channel_publication.conftest import World
from tests.process_apis.channel_publication.shop_books import TRUTH, Told, shown

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(1_500)]
BATCH, RATE, BURST, PART = 250, 40.0, 10, 2_000
WHOLE, SOME, HOT = 40_000, 4_000, 20


class Catalogue(World):
    """A world that hears in batches, as the worker does."""

    async def hear(self):
        [follow] = subscriptions(["shop"])
        while True:
            async with self.store.transaction() as connection:
                stretch = await self._reader.read_after(connection, self._position, types=follow.types)
                if stretch.events:
                    await follow.together(connection, stretch.events)
            if stretch.reached == self._position:
                return
            self._position = stretch.reached

    async def list_items(self, *skus):
        for first in range(0, len(skus), PART):
            await super().list_items(*skus[first : first + PART])
        known = await self.items.by_sku("acme", list(skus))
        self.id = {sku: known[sku].item for sku in skus}

    async def count(self, figures):
        skus = list(figures)
        for first in range(0, len(skus), PART):
            await self.stock_of({sku: figures[sku] for sku in skus[first : first + PART]})


@pytest.fixture
async def catalogue(request, published_store, tmp_path, valkey_url):
    """A shop with so many articles that bears forty calls a second of 250 figures each."""
    levels = {f"SKU-{number:05d}": 5 for number in range(request.param)}
    shop = ShopSandbox(tmp_path / "shop", levels=levels, rate=RATE, burst=2 * BURST)
    cache = Cache(valkey_url)
    await cache.open()
    await shop.start()
    limits = SystemLimits(breaker_failures=10_000, retries=0, rate=RATE, burst=BURST)
    async with Outbound(SystemClock(), budgets=Budgets(cache, SystemClock(), processes=1)) as outbound:
        world = Catalogue(published_store, shop, outbound, {"batch_size": BATCH}, limits=limits)
        await world.list_items(*levels)
        yield world
    await shop.stop()
    await cache.close()


@pytest.mark.parametrize("catalogue", [WHOLE], ids=["whole"], indirect=True)
async def test_a_whole_catalogue_takes_a_call_for_each_batch_within_the_vendors_budget(catalogue, tmp_path):
    """Lag is the backlog over the budget: nothing is told twice, in more calls than batches, or faster than borne."""
    world, folder = catalogue, tmp_path / "shop"
    await world.count(dict.fromkeys(world.id, 5))
    await world.settle(1_200)
    before = Told(folder)
    assert before.sets == []  # everything was as it should be
    assert before.refused == 0

    figures = {sku: 0 if number % 100 == 7 else 6 + number % 90 for number, sku in enumerate(world.id)}
    await world.count(figures)
    await world.count(figures | dict.fromkeys(list(world.id)[:PART], 3))  # a later figure stands for the one before
    await world.hear()
    await world.settle(1_200)
    told = Told(folder, before.last)
    assert shown(folder) == await truth(world)
    assert told.refused == 0
    assert told.fullest <= 2 * BURST
    assert told.times == Counter(world.id.keys())  # each once
    assert len(told.sets) == math.ceil(WHOLE / BATCH)
    assert {call["target"].partition("?")[0].rpartition("/")[2] for call in told.calls} == {"set", "order-events"}


@pytest.mark.parametrize("catalogue", [SOME], ids=["some"], indirect=True)
async def test_the_fastest_sellers_are_told_while_they_sell_and_all_is_right_in_the_end(catalogue, tmp_path):
    world, folder = catalogue, tmp_path / "shop"
    await world.count(dict.fromkeys(world.id, 5))
    await world.settle(600)
    before = Told(folder)
    hot, stop = list(world.id)[:HOT], asyncio.Event()
    await world.count({sku: 9 for sku in world.id if sku not in hot})

    async def sell():
        """New figures of the fastest between each two steps of publication, as long as there is a backlog."""
        amount = 1_000
        while not stop.is_set():
            amount -= 1
            await world.stock_of(dict.fromkeys(hot, amount))
            await world.hear()
            await asyncio.sleep(0)

    selling = asyncio.create_task(sell())
    try:
        async with asyncio.timeout(600):
            while set(Told(folder, before.last).times) < set(world.id):
                await world.publication.step("shop")
    finally:
        stop.set()
        await selling
    told = Told(folder, before.last)
    await world.settle(600)
    cold = told.times - Counter(dict.fromkeys(hot, 1_000_000))
    assert set(cold.values()) == {1}
    assert shown(folder) == await truth(world)
    assert Told(folder, before.last).refused == 0


async def truth(world):
    return {row["sku"]: row["free"] for row in await world.store.fetch(TRUTH)}
