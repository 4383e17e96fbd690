"""What changes while nothing waits in line is set at once, and what cannot be is left to the line."""

import asyncio

import pytest

from gateway.kernel.errors import Rejected

pytestmark = pytest.mark.integration


class Watched:
    """Keeps what was sent in each call; refuses the SKUs in `refuses`."""

    figures_per_call, compares = 100, True

    def __init__(self, inner):
        self.read_figures, self.read_channel_orders = inner.read_figures, inner.read_channel_orders
        self._publish = inner.publish_figures
        self.calls, self.refuses = [], set()

    async def publish_figures(self, call, *, figures):
        self.calls.append(sorted((each.sku, each.quantity) for each in figures))
        if self.refuses & {each.sku for each in figures}:
            raise Rejected("no such figure here", code="shop.rejected")
        return await self._publish(call, figures=figures)


async def calm(world):
    """A shop that shows everything as it should be, and whose line was seen empty; what it is told from then on."""
    await world.stock_of({"A": 20, "B": 5})
    await world.settle()
    watched = Watched(world.shop_adapter(world.shop.url))
    world.begin(adapter=watched)
    async with asyncio.timeout(60):
        while await world.publication.step("shop"):
            pass
    return watched


async def change(world, **figures):
    await world.stock_of(figures)
    await world.hear()


async def test_a_change_takes_no_place_in_line(world):
    watched = await calm(world)
    await world.store.execute(
        "alter table channel_publication.due add constraint takes_no_place check (tier is null) not valid"
    )
    await change(world, A=21, B=0)
    assert await world.publication.step("shop")
    assert watched.calls == [[("A", 21), ("B", 0)]]
    assert await world.store.fetchval("select count(*) from channel_publication.due") == 0


async def test_a_figure_that_is_refused_waits_and_holds_up_no_other(world):
    watched = await calm(world)
    watched.refuses = {"A"}
    await change(world, A=21, B=6)
    for _ in range(6):
        await world.publication.step("shop")
    assert (await world.shown())["B"] == 6
    assert watched.calls[0] == [("A", 21), ("B", 6)]
    assert sorted(watched.calls[1:]) == [[("A", 21)], [("B", 6)]]  # once each, and then one of them waits
    await change(world, B=7)
    for _ in range(3):
        await world.publication.step("shop")
    assert watched.calls[3:] == [[("B", 7)]]
    assert [row[:3] for row in await world.disagreements()] == [("A", "refused", 21)]


async def test_a_sale_that_is_not_told_yet_is_looked_at_before_anything_is_set_again(world):
    watched = await calm(world)
    await world.shop.control("feed", delay_s=0.2)
    await world.buy("A", 3)
    await change(world, A=30)
    await world.publication.step("shop")  # the shop has another version: nothing is overwritten
    assert watched.calls == [[("A", 30)]]
    assert (await world.shown())["A"] == 17
    await world.settle()
    assert (await world.shown())["A"] == 27 == (await world.sellable())["A"]
    assert await world.disagreements() == []


async def test_what_more_than_one_call_takes_goes_through_the_line(world):
    watched = await calm(world)
    watched.figures_per_call = 1
    await change(world, A=21, B=0)
    await world.settle()
    assert watched.calls == [[("B", 0)], [("A", 21)]]
