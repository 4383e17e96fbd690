from pathlib import Path

import pytest

import gateway.pacing
import gateway.store
from gateway.durable.schema import migrate_durable
from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store

MIGRATIONS = find_migrations([Path(each.__file__).parent / "migrations" for each in (gateway.store, gateway.pacing)])


@pytest.fixture
async def record_url(records):
    async with records.lent(MIGRATIONS, migrate_durable) as url:
        yield url


@pytest.fixture
async def store(record_url):
    store = Store(record_url, size=12)
    await store.open()
    yield store
    await store.close()
