"""Spans of movements and figures: made ahead, and made of the tables that were there before without losing a row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.migrations import find_migrations, migrate
from process_apis.availability.partitions import make_ahead, span_end, spans
from tests.process_apis.availability.conftest import FOLDERS, START

YEAR = timedelta(days=400)
MOVED = """
insert into availability.movement
    (movement, tenant, source, event_id, line, revision, epoch, sequence, type, occurred_at, recorded_at, owner,
     location, item, lot, to_bucket, amount, source_item, source_location, source_amount, source_uom, factor,
     correlation_id, moves)
select 'mov_' || n, 'acme', 'wms_n', 'e' || n, 0, 0, 1, n, 'stock_adjusted', $1, $1, 'main', 'loc_n', 'itm_a', '',
       'sellable', 1, 'X', 'N', 1, 'EA', 1, 'c', true
from generate_series(1, 100) n
"""


@given(st.integers(0, 30_000), st.integers(14, 4000))
def test_a_span_ends_with_its_month_or_its_quarter(day, days):
    begin = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day)
    end = span_end(begin, timedelta(days=days))
    assert begin < end <= begin + timedelta(days=92)
    assert (end.day, end.hour, end.minute, end.tzinfo) == (1, 0, 0, UTC)
    assert days <= 130 or end.month in (1, 4, 7, 10)


@pytest.mark.integration
async def test_spans_are_made_a_month_ahead_once(new_world):
    world = new_world
    now = world.clock.now()
    before = await spans(world.store)
    assert [each.name for each in before if each.table == "figure"] == ["figure_carried", "figure_first"]
    assert await make_ahead(world.store, now, YEAR) <= 2
    # As if no worker had run for a year: everything that is missing is made, without a gap.
    assert await make_ahead(world.store, now + timedelta(days=365), YEAR) > 6
    assert await make_ahead(world.store, now + timedelta(days=365), YEAR) == 0
    for table in ("movement", "figure"):
        known = [each for each in await spans(world.store) if each.table == table]
        assert all(one.end == other.begin for one, other in pairwise(known))
        assert known[-1].end > now + timedelta(days=397)


@pytest.mark.integration
async def test_tables_of_an_older_release_become_the_first_span_with_all_their_rows(database):
    every = find_migrations(FOLDERS)
    older = [each for each in every if each.component != "process_apis/availability" or each.number <= 17]
    await migrate(database, older)
    connection = await asyncpg.connect(database)
    await connection.execute(MOVED, START)
    await migrate(database, every)
    rows = await connection.fetch("select tableoid::regclass::text, count(*) from availability.movement group by 1")
    assert [tuple(row) for row in rows] == [("availability.movement_first", 100)]
    first, carried = [
        await connection.fetch(
            "select split_part(indexdef, ' USING ', 2) as kind from pg_indexes where tablename = $1 order by 1", name
        )
        for name in ("movement_first", "movement_carried")
    ]
    assert first == carried
    assert len(first) == 5
    await connection.close()


@pytest.mark.integration
async def test_who_records_makes_the_spans_that_no_worker_made(new_world):
    world, month = new_world, f"{world_month(new_world):%Y-%m-%d}"
    for table in ("movement", "figure"):
        whole = f"availability.{table}"
        await world.store.execute(f"alter table {whole} detach partition {whole}_first")
        until = f"for values from ('0001-01-01 00:00:00+00') to ('{month}')"
        await world.store.execute(f"alter table {whole} attach partition {whole}_first {until}")
        for each in await spans(world.store):
            if each.table == table and each.begin is not None and each.end > world_month(world):
                await world.store.execute(f"drop table availability.{each.name}")
    for _ in range(2):
        receipt = await world.record(world.movement("a", 1, "stock_adjusted", 3))
    assert [line.outcome for line in receipt.others] == ["duplicate"]
    assert (await world.positions())["sellable"] == 3


def world_month(world):
    return world.clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
