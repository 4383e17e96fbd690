"""A worker that publishes to a shop and imports its orders, killed at every commit and every call to that shop.

The shop is a process with books of its own, which are the judge: every figure that was set replaced the one it was
compared with, every sale is promised once, and the end shows what may be sold.
"""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.outbound.door import Outbound
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store

from .conftest import processes_on
from .deaths import WHENS
from .shop_actors import world_module

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]


@pytest.fixture
async def shop_world(database, shop):
    await migrate(database, find_migrations(world_module.FOLDERS))
    store = Store(database, size=4)
    await store.open()
    await store.execute("create table heard as select 0 as epoch, 0::bigint as transaction, 0::bigint as event")
    async with Outbound() as outbound:
        made = world_module.World(store, shop, outbound, {})
        await made.list_items("A", "B")
        yield made
    await store.close()


@pytest.fixture
async def workers(shop_world):
    async with processes_on(shop_world.store.url) as made:
        yield made


class Turn:
    """One life: stock moves while the shop sells and takes back, and somebody dies of it."""

    def __init__(self, world, workers, number):
        self.world, self.workers, self.number = world, workers, number
        self.shop = {"url": world.shop.url, "settings": world.shop.settings()}
        self.orders = []

    async def run(self, *commands, die=None, count=1):
        plan = {"shop": self.shop, "commands": list(commands), "die": die}
        results = await self.workers.side_by_side(*[plan] * count)
        for each in results:
            told = [answer for answer in each["answers"].values() if answer is not None]
            assert told == [], told
            assert each["killed"] or each["code"] == 0
        return results

    def count(self, part, **figures):
        return {"do": "count", "sequence": 10 * self.number + part, "figures": figures}

    def commands(self):
        """What is killed: other stock, another channel's sale, and what the shop sold meanwhile."""
        sold = {"do": "sell", "sku": "B", "amount": 2, "order": f"ord_{self.number}"}
        return [self.count(2, A=50, B=9), {"do": "publish"}, sold, self.count(3, A=44), {"do": "publish"}]

    async def begin(self):
        """All is as it should be; then the shop sells A and takes an order back, and nobody of us knows."""
        await self.run(self.count(1, A=20, B=5), {"do": "publish"})
        self.orders.append(await self.world.buy("A", 2))
        await self.run({"do": "read_back"}, {"do": "publish"})
        await self.world.shop.control("cancel", order=self.orders[0])
        self.orders.append(await self.world.buy("A", 3))
        self.orders.append(await self.world.buy("B", 1))

    async def end(self):
        """What the dead one left is finished by two at once, who do more than they need and no harm."""
        self.orders.append(await self.world.buy("A", 1))
        await self.run(*self.commands(), count=2)
        await self.run({"do": "read_back"}, {"do": "publish"})
        await self.judge()
        for order in self.orders[1:]:
            await self.world.shop.control("cancel", order=order)
        await self.world.availability.claims.release(
            "acme", action=f"back-{self.number}", order=f"ord_{self.number}", lines=None, correlation_id="c"
        )
        await self.run({"do": "read_back"}, {"do": "publish"})

    async def judge(self):
        shown = await self.world.shown()
        assert {"A": shown["A"], "B": shown["B"]} == {"A": 44 - 4, "B": 9 - 2 - 1} == await self.world.sellable()
        assert await self.world.disagreements() == []
        promised = await self.world.store.fetch(
            """select order_id, sum(amount - released) as kept from availability.claim
               where order_id = any($1) group by 1 order by 1""",
            [f"channel/shop/{order}" for order in self.orders],
        )
        kept = {row["order_id"].rpartition("/")[2]: int(row["kept"]) for row in promised}
        assert kept == dict(zip(map(str, self.orders), (0, 3, 1, 1), strict=True))
        wrong = await self.workers.wrong()
        assert wrong == {}, wrong


async def killed_at(shop_world, workers, points, first=1):
    """Die at each of `points`; how often at which seam. Turns are numbered from `first`."""
    died = Counter()
    for number, point in enumerate(points, first):
        turn = Turn(shop_world, workers, number)
        await turn.begin()
        [ended] = await turn.run(*turn.commands(), die=point)
        await turn.end()
        if ended["killed"]:
            died[ended["seams"][-1]] += 1
    return died


@pytest.mark.long
async def test_a_worker_killed_as_it_tells_a_shop_leaves_a_figure_that_its_survivors_set_right(shop_world, workers):
    died = await killed_at(shop_world, workers, [["after", 9]])
    assert died.total() == 1


@pytest.mark.long
@pytest.mark.parametrize("when", WHENS)
async def test_a_worker_killed_at_every_seam_shows_what_may_be_sold_and_promises_each_sale_once(
    shop_world, workers, when
):
    turn = Turn(shop_world, workers, 1)
    await turn.begin()
    [whole] = await turn.run(*turn.commands())
    await turn.end()
    # How often it looks depends on its pace: beyond the last seam of this run others may come, before it all do.
    points = [[when, nth] for nth in range(1, len(whole["seams"]) + 1)]
    died = await killed_at(shop_world, workers, points, first=2)
    print(f"{when}: {died.total()} deaths at {dict(died)}")  # noqa: T201 - the count is what is asked for
    called = [name for name in died if name.startswith(("PUT", "POST", "GET"))]
    assert len(called) >= 2
    assert died.total() >= 20
