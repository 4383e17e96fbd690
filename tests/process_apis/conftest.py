"""One migrated record for all tests of master data: each test has a tenant of its own."""

from __future__ import annotations

from itertools import count

import asyncpg
import pytest

from gateway.app import component_migrations
from gateway.kernel.context import Caller, Principal, Zone
from gateway.store.migrations import migrate
from gateway.store.postgres import Store

_tenants = count()


@pytest.fixture(scope="session")
async def reference_store(urls, database_template):
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"CREATE DATABASE reference_tests TEMPLATE {database_template}")
    url = urls.postgres.removesuffix("crossdock") + "reference_tests"
    await migrate(url, component_migrations())
    store = Store(url)
    await store.open()
    yield store
    await store.close()
    await connection.execute("DROP DATABASE reference_tests WITH (FORCE)")
    await connection.close()


@pytest.fixture
def tenant():
    return f"tenant-{next(_tenants)}"


@pytest.fixture
def caller(tenant):
    principal = Principal(
        subject="app", tenant=tenant, zones=frozenset({Zone.PROCESS}), scopes=frozenset(), credential="key"
    )
    return Caller(principal=principal, correlation_id="c", request_id="r", deadline=float("inf"))
