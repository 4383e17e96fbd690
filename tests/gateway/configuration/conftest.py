"""A record with the configuration's tables, and followers on it."""

import os
from pathlib import Path

import asyncpg
import pytest

import gateway.configuration
import gateway.store
from gateway.configuration.following import Follower
from gateway.configuration.snapshots import write
from gateway.configuration.tree import Configuration
from gateway.kernel.clock import SystemClock
from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store
from policies.rate_limit.options import Limit, PlanLimits, RateLimitOptions

MIGRATIONS = find_migrations(
    [Path(part.__file__).parent / "migrations" for part in (gateway.store, gateway.configuration)]
)
CLOCK = SystemClock()


def limits(rate="600/minute", **limit):
    return RateLimitOptions(plans={"standard": PlanLimits(default=Limit(rate=rate, **limit))})


def configuration(rate="600/minute", **parts):
    return Configuration(rate_limit=limits(rate), **parts)


@pytest.fixture
async def record_url(records):
    async with records.lent(MIGRATIONS) as url:
        yield url


@pytest.fixture
async def store(record_url):
    store = Store(record_url, size=5)
    await store.open()
    yield store
    await store.close()


async def apply(store, wanted, *, replaces):
    async with store.transaction() as connection:
        return await write(connection, wanted, replaces=replaces, tenant="acme", actor="ada", note="")


class Process:
    """A process that follows; `refuses` is what it cannot build."""

    def __init__(self, store, *, role="gateway", refuses=(), every=0.05):
        self.taken = []
        self._refuses = refuses
        self.follower = Follower(store, CLOCK, role=role, initial=Configuration(), adopt=self._adopt, every=every)

    def _adopt(self, wanted):
        if wanted in self._refuses:
            raise ValueError("not here")
        self.taken.append(wanted)


async def put_by_hand(store, version, content):
    """A snapshot that another release wrote."""
    connection = await asyncpg.connect(store.url)
    await connection.execute(
        "insert into configuration.snapshot (version, content, sha256, actor) values ($1, $2, 'x', 'newer')",
        version,
        content,
    )
    await connection.close()


OWN_PID = os.getpid()
