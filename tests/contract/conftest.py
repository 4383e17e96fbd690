"""One running gateway for all contract tests of a session."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from gateway.engines import EngineUrls

sys.path.insert(0, str(Path(__file__).parent))

from running_gateway import RunningGateway, start_gateway


@pytest.fixture(scope="session")
async def gateway(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """A gateway of its own database, behind granian; see `running_gateway`."""
    name = "test_of_contracts"
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    folder = tmp_path_factory.mktemp("contract")
    running = await start_gateway(folder, urls, urls.postgres.removesuffix("crossdock") + name)
    yield running
    await running.stop()
    # Tests between may have restarted PostgreSQL: what was connected then is not any more.
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()
    shutil.rmtree(folder, ignore_errors=True)
