from __future__ import annotations

import itertools
from decimal import Decimal

import pytest

from gateway.canonical.item import ReportedItem
from gateway.canonical.stock import DemandFeed, DemandLine, OrderKey

pytestmark = pytest.mark.integration


def line(reference, amount, *, item="X-A"):
    return DemandLine(
        source_reference=reference, source_item=item, source_location="WH-N", amount=Decimal(amount), uom="EA"
    )


async def tell(world, sequence, *lines, full=True):
    feed = DemandFeed(source="erp", order_key=OrderKey(1, sequence), full=full, lines=list(lines))
    return await world.availability.take_demand("acme", feed)


async def external(world):
    return int((await world.figures())["external"])


async def test_an_older_feed_that_comes_late_changes_nothing_a_newer_one_said(world):
    await world.stock("A", 20)
    feeds = [
        (10, True, [line("S1", 3), line("S2", 4)]),
        (11, False, [line("S1", 1)]),
        (12, True, [line("S2", 4), line("S3", 2)]),
        (13, False, [line("S3", 0), line("S4", 5)]),
    ]
    for order in itertools.permutations(feeds):
        await world.store.execute("truncate availability.demand, availability.demand_cut")
        await world.store.execute("update availability.stock_line set external = 0, short = 0")
        for sequence, full, lines in order:
            await tell(world, sequence, *lines, full=full)
        assert await external(world) == 9
        again = await tell(world, 11, line("S1", 1), full=False)
        assert [(other.outcome.value, other.cause) for other in again.others] == [("superseded", "demand.superseded")]
        assert await external(world) == 9
    assert await world.broken_invariants() == []


async def test_a_line_that_waits_for_its_item_is_let_in_unless_a_newer_word_came(world):
    await world.stock("A", 20)
    told = await tell(world, 10, line("S1", 3), line("S2", 4, item="X-NEW"), line("S3", 5, item="X-NEW"))
    assert [other.cause for other in told.others] == ["stock.item_unknown"] * 2
    await tell(world, 11, line("S3", 0), full=False)
    assert await external(world) == 3
    known = ReportedItem(source_code="X-NEW", sku="A", name="A", base_uom="EA")
    await world.items.adopt("acme", "erp", [known], correlation_id="mend")
    await world.availability.unpark("acme")
    assert await external(world) == 7
    assert await world.store.fetchval("select count(*) from availability.parked where resolved_at is null") == 0
    await tell(world, 12)
    assert await external(world) == 0
    assert await world.broken_invariants() == []


async def test_a_reading_that_took_long_does_not_win_over_one_that_began_later(world):
    await world.stock("A", 20)
    began = world.clock.now()
    await world.availability.record_demand("acme", "erp", [line("S1", 2)])
    await world.availability.record_demand("acme", "erp", [line("S1", 9)], read_at=began)
    assert await external(world) == 2
