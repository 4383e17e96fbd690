import asyncio
import contextlib
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

import gateway.store
from gateway.backbone.backbone import Backbone
from gateway.backbone.consumer import Subscription
from gateway.canonical.events import Event
from gateway.kernel.clock import SystemClock
from gateway.store.log import append
from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store

MIGRATIONS = find_migrations([Path(gateway.store.__file__).parent / "migrations"])
ACCEPTED = frozenset({"order.accepted"})


async def _with_seen(url):
    connection = await asyncpg.connect(url)
    await connection.execute(
        "create table seen (n bigint generated always as identity, consumer text, event_id bigint, aggregate text, "
        "version int, primary key (consumer, event_id))"
    )
    await connection.close()


@pytest.fixture
async def record_url(records):
    async with records.lent(MIGRATIONS, _with_seen) as url:
        yield url


@pytest.fixture
async def store(record_url):
    store = Store(record_url, size=20)
    await store.open()
    yield store
    await store.close()


def order(name="ord_1", version=1, *, type_="order.accepted", stream="main", **data):
    return Event(
        tenant="acme",
        type=type_,
        aggregate=name,
        aggregate_version=version,
        occurred_at=datetime(2026, 1, 2, tzinfo=UTC),
        data=data,
        correlation_id="cor_1",
        stream=stream,
    )


async def write(store, *events):
    async with store.transaction() as connection:
        await append(connection, events)


def keeper(name, **options):
    """A subscription that writes down what it gets; a second delivery breaks the primary key."""

    async def keep(connection, recorded):
        await connection.execute(
            "insert into seen (consumer, event_id, aggregate, version) values ($1, $2, $3, $4)",
            name,
            recorded.position.event,
            recorded.event.aggregate,
            recorded.event.aggregate_version,
        )

    return Subscription(**{"name": name, "types": ACCEPTED, "handler": keep} | options)


async def seen(store, consumer="c"):
    rows = await store.fetch("select aggregate from seen where consumer = $1 order by n", consumer)
    return [row["aggregate"] for row in rows]


async def until(condition, within=60.0, every=0.02):
    """Wait for an async condition; fails with its last value when it does not come true in time."""
    deadline = time.monotonic() + within
    while not (value := await condition()):
        assert time.monotonic() < deadline, f"did not come true in {within} s: {value!r}"
        await asyncio.sleep(every)
    return value


async def until_seen(store, expected, consumer="c", within=60.0):
    async def complete():
        return await store.fetchval("select count(*) from seen where consumer = $1", consumer) >= len(expected)

    await until(complete, within)
    assert await seen(store, consumer) == list(expected)


async def carried(backbone):
    """Wait until events come by JetStream: the relay runs and every feed is live."""

    async def ready():
        feeds = backbone._feeds.values()
        return feeds and all(feed.live for feed in feeds) and backbone.runs >= {"relay", "subscription/c"}

    await until(ready)


@contextlib.asynccontextmanager
async def running(store, nats_url, *subscriptions, **options):
    """A backbone under way; stopped at the end, within a bound."""
    backbone, stop = Backbone(store, nats_url, SystemClock()), asyncio.Event()
    task = asyncio.create_task(backbone.run(subscriptions, stop, **options))
    try:
        yield backbone
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await task
