from datetime import UTC, datetime
from pathlib import Path

import pytest

import gateway.store
from gateway.canonical.events import Event
from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store

MIGRATIONS = find_migrations([Path(gateway.store.__file__).parent / "migrations"])


@pytest.fixture
async def record_url(records):
    async with records.lent(MIGRATIONS) as url:
        yield url


@pytest.fixture
async def store(record_url):
    store = Store(record_url, size=20)
    await store.open()
    yield store
    await store.close()


def event(aggregate="ord_1", version=1, *, type_="order.accepted", stream="main", **data):
    return Event(
        tenant="acme",
        type=type_,
        aggregate=aggregate,
        aggregate_version=version,
        occurred_at=datetime(2026, 1, 2, tzinfo=UTC),
        data=data,
        correlation_id="cor_1",
        stream=stream,
    )
