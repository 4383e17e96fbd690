"""One distributor for all tests of a module: a record, two warehouses, a carrier and two ERPs of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from gateway.app import migrate_record
from gateway.engines import EngineUrls
from gateway.plays.settings_file import write_settings
from system_apis.parcel_carrier.sandbox import CarrierSandbox
from system_apis.regional_erp.sandbox import ErpSandbox
from system_apis.regional_wms.sandbox import WmsSandbox
from tests.workflows.seams import Seams, watch_commits
from tests.workflows.site import SETTLE, Site, hurried

SOME, MANY = 80, 900
"""Articles of a site: one for each telling."""
WAREHOUSES = {"wms_north": ("north", "NOR1"), "wms_west": ("west", "WES1")}
ERPS = ("erp", "erp_new")


@pytest.fixture(scope="module")
async def site(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Everything known and at rest; the first article nobody has touched is `site.article()`."""
    async with running_site(urls, tmp_path_factory, SOME) as made:
        yield made


@pytest.fixture
async def large_site(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """The same with articles for every seam of a story, and nothing of another one's in it."""
    async with running_site(urls, tmp_path_factory, MANY) as made:
        yield made


@asynccontextmanager
async def running_sandboxes(folders: pytest.TempPathFactory, items: int) -> AsyncIterator[dict[str, Any]]:
    """The systems of others, by instance."""
    depots = {code: {"postcode": "10118", "country": "US", "currency": "USD"} for _, code in WAREHOUSES.values()}
    running: dict[str, Any] = {
        name: WmsSandbox(folders.mktemp(name), seed=warehouse_seed(code, range(items)))
        for name, (_, code) in WAREHOUSES.items()
    }
    running["carrier"] = CarrierSandbox(folders.mktemp("carrier"), depots=depots, rate=0)
    running |= {name: ErpSandbox(folders.mktemp(name), seed=_books(items)) for name in ERPS}
    await asyncio.gather(*(sandbox.start() for sandbox in running.values()))
    try:
        yield running
    finally:
        await asyncio.gather(*(sandbox.stop() for sandbox in running.values()))


@asynccontextmanager
async def running_site(urls: EngineUrls, folders: pytest.TempPathFactory, items: int) -> AsyncIterator[Site]:
    """A distributor of `items` articles."""
    async with (
        running_sandboxes(folders, items) as sandboxes,
        running_distributor(urls, folders, sandboxes, _settings(sandboxes)) as made,
    ):
        yield made


@asynccontextmanager
async def running_distributor(
    urls: EngineUrls,
    folders: pytest.TempPathFactory,
    sandboxes: dict[str, Any],
    more: dict[str, Any],
    *,
    first: int = 0,
) -> AsyncIterator[Site]:
    """One with a record of its own in front of `sandboxes`, which `more` of its settings names; at rest."""
    folder = folders.mktemp("site")
    name = f"workflows_{folder.name}".replace("-", "_")
    record = await _database(urls, name)
    settings = folder / "settings.toml"
    write_settings(
        settings,
        secrets_folder=folder,
        urls=EngineUrls(postgres=record, nats=urls.nats, valkey=f"{urls.valkey.rpartition('/')[0]}/0"),
        installation=await migrate_record(record, progress=lambda _: None),
        ports=(1, 2),
        gateway_workers=1,
        demo=None,
        more=more,
    )
    with pytest.MonkeyPatch.context() as patches:
        seams = Seams()
        hurried(patches)
        watch_commits(patches, seams)
        made = Site(settings, seams, sandboxes, first=first)
        await made.open()
        await made.know_items()
        await made.rest()
        yield made
        await made.close()
    await _drop(urls, name)
    shutil.rmtree(folder, ignore_errors=True)


def _settings(sandboxes: dict[str, Any]) -> dict[str, Any]:
    warehouses = {name: {"product": "regional_wms", "settings": sandboxes[name].settings()} for name in WAREHOUSES}
    erps = {
        name: {"product": "regional_erp", "settings": {**sandboxes[name].settings(), "settle_time_s": SETTLE}}
        for name in ERPS
    }
    carrier = {"product": "parcel_carrier", "settings": sandboxes["carrier"].settings()}
    return {
        "systems": {"carrier": carrier, **erps, **warehouses},
        "locations": [
            {
                "location": location, "name": location, "region": "na", "time_zone": "UTC", "holder": name,
                "poster_to": "erp", "codes": dict.fromkeys((name, "carrier", *ERPS), code), "priority": rank,
            }
            for rank, (name, (location, code)) in enumerate(WAREHOUSES.items(), start=1)
        ],
        "channels": [{"name": "web"}, {"name": "freighted"}],
        "orders": {"erp": "erp", "invoicing": {"systems": ["erp"]}},
        "freight": {"rules": [{"carriers": ["carrier"], "channel": "freighted"}]},
    }  # fmt: skip


def _books(items: int) -> dict[str, Any]:
    return {
        "sites": [code for _, code in WAREHOUSES.values()],
        "articles": [
            {
                "article": f"A-{number:06d}", "sku": f"SKU-{number:04d}", "name": f"Article {number}",
                "base_unit": "PCE", "price": "2.50", "currency": "USD", "tax_percent": "10",
            }
            for number in range(items)
        ],
        "stock": [],
        "customers": [{"number": "CUST1", "name": "One", "currency": "USD"}],
    }  # fmt: skip


def warehouse_seed(warehouse: str, numbers: range) -> dict[str, Any]:
    """What a warehouse starts with: a hundred pieces of each article."""
    codes = {number: f"W-{number:06d}" for number in numbers}
    return {
        "warehouses": [warehouse],
        "items": [
            {"item_code": code, "client_sku": f"SKU-{number:04d}", "description": code, "base_unit": "PCE", "packs": []}
            for number, code in codes.items()
        ],
        "stock": [{"warehouse": warehouse, "item_code": code, "quantity": "100"} for code in codes.values()],
    }


async def _database(urls: EngineUrls, name: str) -> str:
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"create database {name}")
    await connection.close()
    return urls.postgres.removesuffix("crossdock") + name


async def _drop(urls: EngineUrls, name: str) -> None:
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()
