"""What waits for a code is let in by the log's news of it: a batch of news in few transactions, each row once."""

import asyncio

import pytest

from gateway.store.log_reader import BEGINNING, LogReader
from process_apis.availability.mending import Mending
from process_apis.availability.parking import ALL, Codes, any_of

pytestmark = pytest.mark.integration


async def hear(world, kind):
    async with world.store.transaction() as connection:
        stretch = await LogReader().read_after(connection, BEGINNING, limit=1000)
        await Mending(world.availability).hear_all(connection, [e for e in stretch.events if e.event.type == kind])


async def commits(world):
    rows = await world.store.fetch("select xmin from availability.parked where resolved_at is not null group by xmin")
    return len(rows)


async def test_stock_that_came_before_its_items_is_let_in_together(world):
    await world.record(world.snapshot("s1", 10, {"A": 28, "N1": 5, "N2": 7, "N3": 9}, full=True))
    # K is sold by weight: pieces of it cannot be mapped even now.
    for code, sku in {"X-N1": "A", "X-N2": "B", "X-N3": "K"}.items():
        await world.items.cross_reference("acme", "wms_n", {code: sku}, correlation_id="mend")
    await asyncio.gather(*(hear(world, "item.changed") for _ in range(3)))
    positions = [await world.positions(sku) for sku in ("A", "B", "K")]
    assert positions == [{"sellable": 33}, {"sellable": 7}, {}]
    assert await commits(world) == 1
    assert await world.broken_invariants() == []


async def test_what_was_parked_while_its_code_came_is_tried_by_the_news_of_its_parking(world):
    figures = world.snapshot("s1", 10, {"N1": 5, "N2": 7})
    await world.record(figures, world.movement("e1", 11, "stock_adjusted", 2, source_item="X-N1"))
    await world.items.cross_reference("acme", "wms_n", {"X-N1": "A"}, correlation_id="mend")
    await hear(world, "stock.movement_parked")
    assert await world.positions() == {"sellable": 7}
    (left,) = await world.store.fetch("select payload from availability.parked where resolved_at is null")
    assert "X-N2" in left["payload"]
    await hear(world, "stock.movement_parked")
    assert await world.positions() == {"sellable": 7}


def test_news_of_several_codes_asks_for_any_of_them_and_news_without_codes_for_all():
    one, other = Codes(items=[("wms_n", "X-1")]), Codes(items=[("wms_n", "X-2")])
    assert any_of([one, other]) == Codes(items=[("wms_n", "X-1"), ("wms_n", "X-2")])
    assert any_of([one, ALL]) == ALL
