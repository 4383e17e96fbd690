from __future__ import annotations

from pathlib import Path

import pytest

from gateway.kernel.clock import SystemClock
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from process_apis.items.process import Items

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def store(database):
    await migrate(
        database, find_migrations([ROOT / "gateway/store/migrations", ROOT / "process_apis/items/migrations"])
    )
    made = Store(database)
    await made.open()
    yield made
    await made.close()


class MovingClock(SystemClock):
    ahead = 0.0

    def monotonic(self):
        return super().monotonic() + self.ahead


@pytest.fixture
def clock():
    return MovingClock()


@pytest.fixture
def items(store, clock):
    return Items(store, clock)
