"""A record with everything that reconciliation reads, shared by this folder's tests: each has a tenant of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store

ROOT = Path(__file__).parents[3]
FOLDERS = [
    ROOT / "gateway/store/migrations",
    *(
        ROOT / f"process_apis/{name}/migrations"
        for name in ("items", "availability", "order_to_ship", "reconciliation")
    ),
]


@pytest.fixture
async def store(database):
    await migrate(database, find_migrations(FOLDERS))
    made = Store(database, size=8)
    await made.open()
    yield made
    await made.close()
