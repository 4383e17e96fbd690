"""Running gateways for all contract tests of a session: one with one worker process, one with two."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.engines import EngineUrls
from tests.gateway.identity.small_issuer import SmallIssuer

sys.path.insert(0, str(Path(__file__).parent))

from cut_off import Line, Pair
from running_gateway import TENANT, RunningGateway, start_beside, start_gateway

# One limit of each sort, each on an operation of its own.
LIMITS = ", ".join(
    f'"{route}" = {{ {limit} }}'
    for route, limit in {
        "GET /storefront/v1/availability": 'rate = "100/hour", mode = "exact"',
        "GET /storefront/v1/items": 'rate = "600/hour", burst = 100000, when_store_down = "open"',
        "POST /storefront/v1/availability-queries": 'rate = "600/hour", burst = 400, when_store_down = "local_share"',
        "POST /storefront/v2/availability-queries": 'rate = "100/hour", mode = "exact"',
        "GET /storefront/v1/orders": 'rate = "100000/hour", mode = "exact", when_store_down = "closed"',
    }.items()
)


@asynccontextmanager
async def running_on(name: str, urls: EngineUrls, folder: Path, **options: Any) -> AsyncIterator[RunningGateway]:
    """A gateway on a database `name` of its own, both gone afterwards; `options` are those of `start_gateway`."""
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    database = urls.postgres.removesuffix("crossdock") + name
    running = await start_gateway(folder, urls, database, **options)
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
async def outside_issuer() -> AsyncIterator[SmallIssuer]:
    """An issuer that the gateways trust for applications that read items."""
    issuer = SmallIssuer()
    await issuer.start()
    yield issuer
    await issuer.stop()


def trust_in(issuer: SmallIssuer) -> str:
    """The settings of a gateway that trusts `issuer`."""
    when = '{ client_id = "shop-backend" }'
    grant = f'{{ when = {when}, tenant = "{TENANT}", kind = "application", always = ["items:read"] }}'
    return (
        f'{{ name = "outside", issuer = "{issuer.url}", audience = "https://api.example", algorithms = ["ES256"], '
        f"refetch_every = 2.0, grants = [{grant}] }}"
    )


@pytest.fixture(scope="session")
async def gateway(
    urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory, outside_issuer: SmallIssuer
) -> AsyncIterator[RunningGateway]:
    """A gateway of its own database, behind granian, with one worker process; see `running_gateway`."""
    folder = tmp_path_factory.mktemp("contract")
    async with running_on("test_of_contracts", urls, folder, workers=1, issuers=trust_in(outside_issuer)) as running:
        yield running


@pytest.fixture(scope="session")
async def gateway_of_two(
    urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory, outside_issuer: SmallIssuer
) -> AsyncIterator[RunningGateway]:
    """The same with two worker processes, and streams of events that do not end by themselves."""
    folder = tmp_path_factory.mktemp("two")
    options = {"workers": 2, "issuers": trust_in(outside_issuer), "stream_seconds": 3600.0}
    async with running_on("test_of_two_workers", urls, folder, **options) as running:
        yield running


@pytest.fixture(scope="session")
async def pair(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """Two processes that meet in the engines only. 127.0.0.1 is a peer whose `Client-Cert` they believe."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "beside").mkdir()
    settings = {"identity": ', client_certificates = "verified"', "http": 'trusted_peers = ["127.0.0.1"]'}
    async with Line(urls.postgres) as postgres, Line(urls.nats) as nats, Line(urls.valkey) as valkey:
        by_line = EngineUrls(postgres.url, nats.url, valkey.url)
        async with running_on("test_of_a_pair", by_line, folder, **settings) as first:
            second = await start_beside(first, folder / "beside")
            try:
                yield Pair((first, second), postgres, nats, valkey)
            finally:
                for line in (postgres, nats, valkey):
                    line.mend()
                await second.stop()


@pytest.fixture(scope="module")
async def limited(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """Two worker processes; see `LIMITS`."""
    async with running_on(
        "test_of_limits", urls, tmp_path_factory.mktemp("limits"), workers=2, operations=LIMITS
    ) as running:
        yield running


@pytest.fixture(params=["gateway", "gateway_of_two"], ids=["one worker", "two workers"])
def door(request: pytest.FixtureRequest) -> RunningGateway:
    """Each of the two, one after the other."""
    running: RunningGateway = request.getfixturevalue(request.param)
    return running
