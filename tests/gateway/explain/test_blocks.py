"""Blocks in a real record: kept for a day, counted against the cap, found by the second of a request's id."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import gateway.explain
import gateway.store
import policies.idempotency
from gateway.edge.chain import WAY_IN
from gateway.explain.blocks import add_blocks, drop_old, pack
from gateway.explain.collecting import Collector
from gateway.explain.options import ExplainOptions
from gateway.explain.reading import explain
from gateway.explain.record import record_of
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import NotFound
from gateway.kernel.exchange import Exchange, Reply
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from gateway.telemetry.counters import Counters

pytestmark = pytest.mark.integration
MIGRATIONS = find_migrations(
    [Path(part.__file__).parent / "migrations" for part in (gateway.store, gateway.explain, policies.idempotency)]
)
NOW = datetime.now(UTC)


@pytest.fixture
async def store(database):
    await migrate(database, MIGRATIONS)
    store = Store(database, size=2)
    await store.open()
    yield store
    await store.close()


def refused(at, number):
    made = Exchange({"type": "http", "method": "GET", "path": "/x"}, None, 0.0)
    made.path, made.peer = "/x", "192.0.2.7"
    made.request_id = made.correlation_id = f"req_{int(at.timestamp()):08x}{number:024x}"
    made.error = NotFound("nothing here", code="route.not_found")
    made.entered, made.reply = len(WAY_IN), Reply(404, [], b"")
    return record_of(made, 0.001, epoch=at.timestamp(), names=WAY_IN, configuration=0)


async def keep(store, *records):
    async with store.connection() as connection:
        await add_blocks(connection, "host/7", pack(WAY_IN, records))


async def ask(store, record):
    async with store.connection() as connection:
        return await explain(connection, record.request_id, tenant="acme", now=NOW, hours=24)


async def test_a_request_is_found_among_the_blocks_of_its_second_by_either_worker(store):
    records = [refused(NOW - timedelta(seconds=second), number) for second in range(60) for number in (1, 2)]
    for record in records:
        await keep(store, record)
    for record in records[::7]:
        found = await ask(store, record)
        assert found.record == record
        assert found.answer == "404: refused by the router with route.not_found"
    nobody = await ask(store, refused(NOW - timedelta(seconds=30), 3))
    assert nobody.record is None


async def test_what_is_older_than_a_day_goes_and_no_longer_counts(store):
    now = datetime.now(UTC)  # the record goes by its own clock, and a whole run of tests takes hours
    young, old = refused(now - timedelta(hours=23), 1), refused(now - timedelta(hours=25), 2)
    for record in (young, *[old] * 30):
        await keep(store, record)
    kept = await drop_old(store, 24)
    assert kept == len(pack(WAY_IN, [young])[0].content)
    assert await store.fetchval("select count(*) from explain.block") == 1
    assert (await ask(store, young)).record == young
    assert "records are kept for 24 hours" in (await ask(store, old)).advice


async def test_what_all_workers_have_kept_counts_against_the_cap_of_each(store):
    now = datetime.now(UTC)
    first, second = (
        Collector(store, SystemClock(), ExplainOptions(most_bytes=100), worker=name, names=WAY_IN, counters=Counters())
        for name in ("host/1", "host/2")
    )
    made = Exchange({"type": "http", "method": "POST", "path": "/x"}, None, SystemClock.monotonic())
    made.path = "/x"
    made.request_id = made.correlation_id = f"req_{int(now.timestamp()):08x}{7:024x}"
    made.reply, made.decisions = Reply(201, [], b""), []
    first(made, 0.001)
    await first.pack()
    await first.write()
    await second.tidy()
    made.request_id = made.correlation_id = f"req_{int(now.timestamp()):08x}{8:024x}"
    second(made, 0.001)
    await second.pack()
    await second.write()
    rows = await store.fetch("select worker, kept, not_kept, reason from explain.block order by block")
    assert [tuple(row) for row in rows] == [("host/1", 1, 0, None), ("host/2", 0, 1, "cap")]
    async with store.connection() as connection:
        found = await explain(connection, made.request_id, tenant="acme", now=now, hours=24)
    assert "the cap was reached at" in found.advice
    assert "host/2 left 1 requests out" in found.advice
