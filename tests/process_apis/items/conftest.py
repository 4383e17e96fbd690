from __future__ import annotations

from pathlib import Path

import pytest

from gateway.kernel.clock import SystemClock
from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store
from process_apis.items.process import Items

ROOT = Path(__file__).parents[3]


COMPONENTS = ("gateway/store", "gateway/reference", "process_apis/items", "process_apis/exceptions")
FOLDERS = [ROOT / part / "migrations" for part in COMPONENTS]


@pytest.fixture
async def store(records):
    async with records.lent(find_migrations(FOLDERS)) as url:
        made = Store(url)
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
