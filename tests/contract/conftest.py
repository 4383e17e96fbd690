"""Running gateways for all contract tests of a session: one with one worker process, one with two."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from gateway.engines import EngineUrls

sys.path.insert(0, str(Path(__file__).parent))

from running_gateway import RunningGateway, start_gateway


@asynccontextmanager
async def _running(name: str, urls: EngineUrls, folder: Path, *, workers: int) -> AsyncIterator[RunningGateway]:
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    running = await start_gateway(folder, urls, urls.postgres.removesuffix("crossdock") + name, workers=workers)
    try:
        yield running
    finally:
        await running.stop()
        # Tests between may have restarted PostgreSQL: what was connected then is not any more.
        connection = await asyncpg.connect(urls.postgres)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def gateway(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """A gateway of its own database, behind granian, with one worker process; see `running_gateway`."""
    async with _running("test_of_contracts", urls, tmp_path_factory.mktemp("contract"), workers=1) as running:
        yield running


@pytest.fixture(scope="session")
async def gateway_of_two(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """The same with two worker processes."""
    async with _running("test_of_two_workers", urls, tmp_path_factory.mktemp("two"), workers=2) as running:
        yield running


@pytest.fixture(params=["gateway", "gateway_of_two"], ids=["one worker", "two workers"])
def door(request: pytest.FixtureRequest) -> RunningGateway:
    """Each of the two, one after the other."""
    running: RunningGateway = request.getfixturevalue(request.param)
    return running
