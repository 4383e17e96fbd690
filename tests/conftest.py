"""Fixtures for everybody: one set of real engines per test session (under xdist per worker), started when asked for."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from functools import partial
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import hypothesis
import nats
import pytest
import redis.asyncio as redis

from gateway.engines import Engines, EngineUrls
from system_apis.parcel_carrier.sandbox import CarrierSandbox
from system_apis.regional_erp.sandbox import ErpSandbox
from system_apis.regional_wms.sandbox import WmsSandbox
from system_apis.sap_s4.sandbox import SapSandbox
from system_apis.sap_s4.sandbox import seed_of as sap_seed_of
from system_apis.storefront_shop.sandbox import ShopSandbox
from system_apis.tryton.sandbox import TrytonSandbox
from tests.records import Records

if TYPE_CHECKING:
    from gateway.plays.stack import Stack
    from tests.installation import Install

# Examples take as long as a shared machine makes them take, and so does making them up.
hypothesis.settings.register_profile(
    "crossdock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("crossdock")

_database_numbers = count()
_valkey_databases = cycle(range(1, 16))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under `make test-all` everything that a test needs is installed, so a skip is a failure."""
    report = yield
    if report.skipped and "CROSSDOCK_ALL" in os.environ:
        report.outcome = "failed"
        report.longrepr = f"skipped under make test-all: {report.longrepr}"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests open no socket (`--disable-socket`); integration tests may.

    Those that share something large are one group, so that one worker starts it and not each.
    """
    for item in items:
        if item.get_closest_marker("integration"):
            item.add_marker("enable_socket")
        placed = item.get_closest_marker("xdist_group") or item.get_closest_marker("long")
        shared = None if placed else _shared_by(item)
        if shared is not None:
            item.add_marker(pytest.mark.xdist_group(shared))


def _shared_by(item: pytest.Item) -> str | None:
    """What `item` shares with others: a Tryton, or what its module has started for all its tests."""
    fixtures: Mapping[str, Sequence[pytest.FixtureDef[Any]]] = item._fixtureinfo.name2fixturedefs
    if "tryton" in fixtures:
        return "tryton"
    of_module = any(fixture.scope == "module" and fixture.baseid for found in fixtures.values() for fixture in found)
    return item.location[0] if of_module else None


# --- engines ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
async def engines(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engines]:
    """The running engines of this session. A test that kills or wipes one starts it again before it ends."""
    folder = tmp_path_factory.mktemp("engines")
    running = Engines(folder)
    await running.start()
    yield running
    await running.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def urls(engines: Engines) -> EngineUrls:
    """Where the engines of this session answer."""
    return engines.urls


@pytest.fixture(scope="session")
async def database_template(urls: EngineUrls) -> str:
    """Name of the database that every `database` is a copy of: an empty one."""
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute("CREATE DATABASE template_of_tests")
    await connection.close()
    return "template_of_tests"


@pytest.fixture
async def database(urls: EngineUrls, database_template: str) -> AsyncIterator[str]:
    """URL of a fresh database, dropped afterwards even when something is still connected to it."""
    name = f"test_{next(_database_numbers)}"
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {database_template}")
    try:
        yield urls.postgres.removesuffix("crossdock") + name
    finally:
        if connection.is_closed():  # the test restarted PostgreSQL
            connection = await asyncpg.connect(urls.postgres)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


@pytest.fixture(scope="session")
def records(urls: EngineUrls) -> Records:
    """Databases with the tables of a component, each lent to one test at a time and emptied after it."""
    return Records(urls.postgres)


@pytest.fixture
async def nats_url(urls: EngineUrls) -> AsyncIterator[str]:
    """URL of NATS without streams; those that a test leaves behind are deleted."""
    await _delete_streams(urls.nats)
    yield urls.nats
    await _delete_streams(urls.nats)


async def _delete_streams(url: str) -> None:
    client = await nats.connect(url)
    jetstream = client.jetstream()
    for stream in await jetstream.streams_info():
        await jetstream.delete_stream(stream.config.name or "")
    await client.close()


@pytest.fixture
async def valkey_url(urls: EngineUrls) -> str:
    """URL of an empty database of Valkey, another one than the last few tests had."""
    url = f"{urls.valkey.rpartition('/')[0]}/{next(_valkey_databases)}"
    client = redis.Redis.from_url(url)
    await client.flushdb()
    await client.aclose()
    return url


@pytest.fixture
def install(database: str, valkey_url: str, nats_url: str, urls: EngineUrls, tmp_path: Path) -> Install:
    """Settings of an installation on a fresh record, with more settings as given: what a command is typed against."""
    from tests.installation import write_installation  # noqa: PLC0415 - loads the whole gateway

    own = type(urls)(postgres=database, nats=nats_url, valkey=valkey_url)
    return partial(write_installation, tmp_path, own)


# --- regional_wms -----------------------------------------------------------------------------------------------------

_ODD_SKUS: Final = {"W/001 #a": "SKU/1 #é", "W-000 002": "SKU%2F+&=?"}
WMS_SEED: Final[dict[str, Any]] = {
    "warehouses": ["NOR1"],
    "items": [
        {
            "item_code": code,
            "client_sku": sku,
            "description": f"Item {sku}",
            "base_unit": "PCE",
            "packs": [{"unit": "CTN", "quantity": "12"}],
        }
        for code, sku in {**{f"W-{n:06d}": f"SKU-{n:04d}" for n in range(1, 6)}, **_ODD_SKUS}.items()
    ],
    "stock": [
        *({"warehouse": "NOR1", "item_code": f"W-{n:06d}", "quantity": "100"} for n in range(1, 5)),
        {"warehouse": "NOR1", "item_code": "W-000005", "quantity": "12345678901.123456789"},
        *({"warehouse": "NOR1", "item_code": code, "quantity": "7"} for code in _ODD_SKUS),
    ],
}


@pytest.fixture
async def wms(tmp_path: Path) -> AsyncIterator[WmsSandbox]:
    """A running Regional WMS of its own: warehouse NOR1, items W-000001… with 100 each, and some odd ones."""
    sandbox = WmsSandbox(tmp_path / "wms", seed=WMS_SEED)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


# --- regional_erp -----------------------------------------------------------------------------------------------------

ERP_SEED: Final[dict[str, Any]] = {
    "sites": ["NOR1"],
    "articles": [
        {
            "article": f"A{code}", "sku": sku, "name": sku, "base_unit": "PCE", "price": "9.9513", "currency": "USD",
            "packs": [{"unit": "CTN", "quantity": "12"}],
        }
        for code, sku in {**{f"{n:05d}": f"SKU-{n:04d}" for n in range(1, 6)}, "/1 #é": "SKU/1 #é",
                          " 2": "SKU%2F+&=?"}.items()
    ],
    "stock": [
        {"site": "NOR1", "article": "A00005", "quantity": "12345678901.123456789"},
        {"site": "NOR1", "article": "A/1 #é", "quantity": "7"},
    ],
    "customers": [
        {"number": "CUST1", "name": "One", "currency": "USD", "payment_term": "30 days", "credit_limit": "100000"},
        {"number": "C/2 #é", "name": "Two", "currency": "EUR", "blocked": True, "balance": "12.50"},
    ],
}  # fmt: skip


@pytest.fixture
async def regional_erp_sandbox(tmp_path: Path) -> AsyncIterator[ErpSandbox]:
    """A running Regional ERP of its own: site NOR1, articles A00001 and on, some odd ones, two customers."""
    sandbox = ErpSandbox(tmp_path / "erp", seed=ERP_SEED)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


# --- storefront_shop --------------------------------------------------------------------------------------------------

SHOP_LEVELS: Final[dict[str, int]] = {"A": 10, "B": 0, "SKU/1 #é": 7, "SKU%2F+&=?": 3}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[ShopSandbox]:
    """A running shop of its own, without a call limit, that sells A, B and some odd SKUs."""
    sandbox = ShopSandbox(tmp_path / "shop", levels=SHOP_LEVELS, rate=0)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


# --- sap_s4 -----------------------------------------------------------------------------------------------------------

SAP_CODES: Final = ("A/B-100", "C#-200", "GRÖßE 'Ü' #3", "SKU%2F+&=?", *(f"SKU-{number:04d}" for number in range(80)))
SAP_SEED: Final = sap_seed_of(
    [
        {"code": code, "name": f"Article {code}", "unit": "KG" if code == "SKU-0003" else "EA", "packs": {"CS": "12"}}
        for code in SAP_CODES
    ],
    [
        {"code": "CUST1", "name": "Müller & Söhne", "terms": "NT30"},
        {"code": "CUST5", "name": "Stopped", "blocked": True},
        *({"code": str(1_000_001 + number), "name": f"Customer {number}"} for number in range(3)),
    ],
    [
        {"code": "SKU-0003", "plant": "1710", "quantity": "123456789012.123", "unit": "KG"},
        {"code": "A/B-100", "plant": "1710", "quantity": "100", "unit": "EA"},
    ],
)


@pytest.fixture(scope="session")
async def sap(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SapSandbox]:
    """A simulated S/4HANA (mock-sap in another process): plant 1710, odd product numbers, five customers; shared."""
    sandbox = SapSandbox(tmp_path_factory.mktemp("sap"), seed=SAP_SEED)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


# --- parcel_carrier ---------------------------------------------------------------------------------------------------

DEPOTS: Final[dict[str, dict[str, str]]] = {
    "D-NORTH": {"postcode": "97201", "country": "US", "currency": "USD"},
    "D-WEST": {"postcode": "89101", "country": "US", "currency": "USD"},
}


@pytest.fixture
async def carrier(tmp_path: Path) -> AsyncIterator[CarrierSandbox]:
    """A running parcel carrier of its own, without a call limit, that collects at two depots."""
    sandbox = CarrierSandbox(tmp_path / "carrier", depots=DEPOTS, rate=0)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


# --- tryton -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tryton_cache() -> Path:
    """What every Tryton of every session shares: its environment and the template of its database."""
    return Path(__file__).parents[1] / ".crossdock" / "cache" / "tryton"


@pytest.fixture(scope="session")
async def tryton(tryton_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TrytonSandbox]:
    """A real Tryton with the demo distributor, started when asked for. A test that stops it starts it again."""
    sandbox = TrytonSandbox(tryton_cache, tmp_path_factory.mktemp("tryton"))
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


# --- the whole product ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
async def stack(tryton_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """What `crossdock up --demo` starts, with two gateway workers: one for all tests of a session.

    Tests that use it bear ``xdist_group("stack")``, take articles of their own, and leave everything running.
    """
    from gateway.plays.stack import Stack  # noqa: PLC0415 - it imports the whole product, which few tests need

    folder = tmp_path_factory.mktemp("stack")
    async with Stack(folder, demo=True, gateway_workers=2, cache=tryton_cache, progress=lambda _: None) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)
