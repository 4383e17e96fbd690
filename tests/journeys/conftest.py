"""A gateway without systems behind it: two worker processes on a record of their own."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import pytest
from msgspec import Struct

from gateway.app import Core, administer, migrate_record
from gateway.canonical.item import ReportedItem
from gateway.engines import EngineUrls
from gateway.engines.ports import free_port
from gateway.engines.process import Child, log_tail, spawn
from gateway.identity.partners import PartnerCredentials, add_partner
from gateway.kernel.money import Money
from gateway.plays.settings_file import write_settings
from gateway.settings import load_settings

WEBHOOK_SECRET: Final = "a-secret-of-the-test"
ITEMS: Final = tuple((f"W-{number}", f"ONE-{number}") for number in range(10))
_WORKERS: Final = 2
_READY_S: Final = 60.0
_SYSTEMS: Final = """
[systems.wms]
product = "regional_wms"
[systems.wms.settings]
base_url = "http://127.0.0.1:9"
api_key = "file:{folder}/wms-secret"
webhook_secret = "file:{folder}/wms-secret"

[[locations]]
location = "north"
name = "North DC"
region = "na"
time_zone = "America/New_York"
holder = "wms"
codes = {{ wms = "NOR1" }}

[[channels]]
name = "web"

[rate_limit.plans.standard.default]
rate = "1000000/minute"
"""


class Door(Struct, frozen=True, kw_only=True):
    """A running gateway: its master process, its port, its record, and two partners of its."""

    pid: int
    port: int
    workers: int
    record: str
    partners: tuple[PartnerCredentials, ...]
    log: Path


@pytest.fixture(scope="module")
async def door(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """Two gateway workers that know `ITEMS`, all out of stock, and two partners; vendors sign with `WEBHOOK_SECRET`."""
    folder = tmp_path_factory.mktemp("door")
    record = await _own_database(urls, "journeys_door")
    own = EngineUrls(postgres=record, nats=urls.nats, valkey=f"{urls.valkey.rpartition('/')[0]}/0")
    port = free_port(set())
    settings = folder / "settings.toml"
    installation = await migrate_record(record, progress=lambda _: None)
    write_settings(
        settings,
        secrets_folder=folder,
        urls=own,
        installation=installation,
        ports=(port, free_port({port})),
        gateway_workers=_WORKERS,
        demo=None,
    )
    (folder / "wms-secret").write_text(WEBHOOK_SECRET, encoding="ascii")
    with settings.open("a", encoding="utf-8") as file:
        file.write(_SYSTEMS.format(folder=folder))
    partners = tuple([await _partner(settings, number) for number in (1, 2)])
    await _adopt_items(settings)
    command = [sys.executable, "-m", "gateway.asgi", "gateway", "--settings", str(settings)]
    log = folder / "gateway.log"
    child = spawn(command, folder=folder, log=log, account=None, dies_by=signal.SIGTERM)
    try:
        await _ready(child, port, log)
        yield Door(pid=child.identity.pid, port=port, workers=_WORKERS, record=record, partners=partners, log=log)
    finally:
        await child.end([(signal.SIGTERM, 12.0)])
        await _drop_database(urls, "journeys_door")
        shutil.rmtree(folder, ignore_errors=True)


async def _own_database(urls: EngineUrls, name: str) -> str:
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"create database {name}")
    await connection.close()
    return urls.postgres.removesuffix("crossdock") + name


async def _drop_database(urls: EngineUrls, name: str) -> None:
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


async def _partner(settings: Path, number: int) -> PartnerCredentials:
    return await administer(
        load_settings(settings),
        lambda connection, ring: add_partner(
            connection,
            ring,
            tenant="demo",
            name=f"Partner {number}",
            channel="web",
            plan="standard",
            accounts=[f"CUST{number}"],
        ),
    )


async def _adopt_items(settings: Path) -> None:
    core = Core(load_settings(settings))
    price = Money(Decimal("9.95"), "USD")
    async with core.opened():
        await core.items.adopt(
            "demo",
            "wms",
            [ReportedItem(source_code=code, sku=sku, name=sku, base_uom="EA", list_price=price) for code, sku in ITEMS],
            correlation_id="journeys",
        )


async def _ready(child: Child, port: int, log: Path) -> None:
    end = time.monotonic() + _READY_S
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            assert child.exit_status is None, log_tail(log)
            assert time.monotonic() < end, log_tail(log)
