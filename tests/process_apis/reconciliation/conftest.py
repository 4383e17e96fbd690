"""A record with everything that reconciliation reads, shared by this folder's tests: each has a tenant of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from gateway.engines import EngineUrls
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store

ROOT = Path(__file__).parents[3]
FOLDERS = [
    ROOT / "gateway/store/migrations",
    ROOT / "gateway/reference/migrations",
    *(
        ROOT / f"process_apis/{name}/migrations"
        for name in ("items", "availability", "order_to_ship", "reconciliation", "exceptions")
    ),
]


@pytest.fixture(scope="session")
async def store(urls: EngineUrls, database_template: str) -> AsyncIterator[Store]:
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"create database of_reconciliation template {database_template}")
    url = urls.postgres.removesuffix("crossdock") + "of_reconciliation"
    await migrate(url, find_migrations(FOLDERS))
    made = Store(url, size=8)
    await made.open()
    yield made
    await made.close()
    await connection.execute("drop database of_reconciliation with (force)")
    await connection.close()
