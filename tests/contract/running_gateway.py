"""A real gateway for contract tests: granian, the whole chain, a migrated record, seeded items and stock, two partners.

No worker and no outside system: what a partner's call touches while it waits, and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx

from gateway.app import Core, administer, migrate_record
from gateway.canonical.capabilities import Connection, Report
from gateway.canonical.item import ReportedItem
from gateway.canonical.stock import MovementType, OrderKey, ReportedMovement
from gateway.engines import EngineUrls
from gateway.engines.ports import free_port
from gateway.engines.process import Child, log_tail, spawn
from gateway.identity.partners import PARTNER_SCOPES, PartnerCredentials, add_partner
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from gateway.settings import Settings, load_settings
from tests.shipped_orders import ShippedLine, insert_shipped_order

TENANT = "contract"
SKUS = ("SKU-0001", "SKU-0002", "SKU/3 #é&=+%2F", "SKU-0004")
SHIPPED = "ord_01kaj7q5wzf8m0e3r6t9y2b4c7"
# More than any run can order: a contract test is not a race for stock.
_STOCK = Decimal(10) ** 15
_READY_SECONDS = 120
# A third of what these gateways wait for the next request (header_seconds): a client must be the first to give up on a
# connection that is idle, else it may ask at the moment when the server closes it (RFC 9112, section 9.5).
IMPATIENT = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=1.0)

_SETTINGS = """
tenant = "{tenant}"
store = {{ url = "{postgres}", installation = "{installation}" }}
backbone = {{ url = "{nats}" }}
cache = {{ url = "{valkey}", timeout_seconds = 5.0 }}
secrets = {{ keys = {{ "1" = "{key}" }} }}
identity = {{ issuer = "http://127.0.0.1:{port}", issuers = [{issuers}]{identity} }}
channels = [{{ name = "web" }}]

[http]
port = {port}
public_url = "http://127.0.0.1:{port}"
workers = {workers}
header_seconds = 3
body_seconds = 3
{http}

[events]
lifetime_seconds = {stream_seconds}

[rate_limit]
failure_cost = 1
addresses = {{ rate = "1000000000/minute", burst = 1000000000 }}

[rate_limit.plans.standard]
default = {{ rate = "1000000000/minute", burst = 1000000000 }}
operations = {{ {operations} }}

[systems.wms_north]
product = "regional_wms"
settings = {{ base_url = "http://127.0.0.1:9", api_key = "{key}", webhook_secret = "{key}" }}

[[locations]]
location = "north"
name = "North DC"
region = "na"
time_zone = "America/New_York"
holder = "wms_north"
codes = {{ wms_north = "NOR1" }}
"""


@dataclass(frozen=True)
class RunningGateway:
    """Where it answers, and who may ask."""

    url: str
    port: int
    settings_path: Path
    first: PartnerCredentials
    second: PartnerCredentials
    process: Child
    log: Path

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        """A client with the first partner's key, or another, or none (``""``)."""
        key = self.first.api_key if key is None else key
        headers = {"X-Api-Key": key} if key else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, limits=IMPATIENT, trust_env=False, timeout=30)

    async def stop(self) -> None:
        await self.process.end([(signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)])


async def start_gateway(
    folder: Path,
    urls: EngineUrls,
    database: str,
    *,
    workers: int = 1,
    operations: str = "",
    issuers: str = "",
    identity: str = ", trust_for = 60.0",
    http: str = "",
    more: str = "",
    stream_seconds: float = 0.05,
    scopes: Sequence[str] = PARTNER_SCOPES,
) -> RunningGateway:
    """Start one on the empty `database`; `scopes` are the partners'.

    `operations` are limits by route id, as TOML pairs, `issuers` TOML tables; `identity` and `http` are further
    settings there, `more` is added to the settings. Streams of events end after `stream_seconds`: who takes any
    operation and reads its answer to the end must not wait.
    """
    installation = await migrate_record(database, progress=lambda _: None)
    port = free_port(set())
    values = {"installation": installation, "port": port, "workers": workers, "operations": operations}
    values |= {"stream_seconds": stream_seconds}
    values |= {"issuers": issuers, "identity": identity, "http": http}
    settings_path = _write_settings(folder, urls, database, more, **values)
    settings = load_settings(settings_path)
    await _seed(settings)
    partners = [
        await _partner(settings, name, account, scopes) for name, account in (("First", "CUST1"), ("Second", "CUST2"))
    ]
    await administer(settings, lambda connection, _: _ship(connection, partners[0].partner_id))
    return await _start(folder, settings_path, port, partners)


async def start_beside(first: RunningGateway, folder: Path) -> RunningGateway:
    """Another process with the same settings on another port, as a second machine behind one balancer would be."""
    port = free_port({first.port})
    settings_path = folder / "settings.toml"
    text = first.settings_path.read_text(encoding="utf-8").replace(f"\nport = {first.port}\n", f"\nport = {port}\n")
    settings_path.write_text(text, encoding="utf-8")
    return await _start(folder, settings_path, port, [first.first, first.second])


async def _start(
    folder: Path, settings_path: Path, port: int, partners: Sequence[PartnerCredentials]
) -> RunningGateway:
    log = folder / "gateway.log"
    command = [sys.executable, "-m", "gateway.asgi", "gateway", "--settings", str(settings_path)]
    process = spawn(command, folder=folder, log=log, account=None, dies_by=signal.SIGTERM)
    running = RunningGateway(f"http://127.0.0.1:{port}", port, settings_path, *partners, process, log)
    await _ready(running)
    return running


def _write_settings(folder: Path, urls: EngineUrls, database: str, more: str, **values: str | float) -> Path:
    secrets = {
        "postgres": database,
        "nats": urls.nats,
        "valkey": f"{urls.valkey.rpartition('/')[0]}/0",
        "key": base64.b64encode(os.urandom(48)).decode(),
    }
    refs = {}
    for name, value in secrets.items():
        path = folder / name
        path.write_text(value, encoding="utf-8")
        path.chmod(0o600)
        refs[name] = f"file:{path}"
    settings_path = folder / "settings.toml"
    text = _SETTINGS.format(tenant=TENANT, **values, **refs)
    settings_path.write_text(text + more, encoding="utf-8")
    return settings_path


async def _partner(settings: Settings, name: str, account: str, scopes: Sequence[str]) -> PartnerCredentials:
    return await administer(
        settings,
        lambda connection, ring: add_partner(
            connection,
            ring,
            tenant=TENANT,
            name=name,
            channel="web",
            plan="standard",
            accounts=[account],
            scopes=scopes,
        ),
    )


async def _seed(settings: Settings) -> None:
    """Items with prices and a pack, and stock of each in the one location."""
    core = Core(settings)
    async with core.opened():
        reported = [
            ReportedItem(
                source_code=f"W-{number}",
                sku=sku,
                name=f"Item {sku}",
                base_uom="EA",
                packs=(UnitConversion("CS", Decimal(12)),),
                list_price=Money(Decimal("19.99"), "USD"),
            )
            for number, sku in enumerate(SKUS, start=1)
        ]
        await core.items.adopt(TENANT, "wms_north", reported, correlation_id="seed")
        opening = tuple(
            ReportedMovement(
                source="wms_north",
                event_id="opening",
                line=number,
                order_key=OrderKey(1, 1),
                type=MovementType.STOCK_ADJUSTED,
                occurred_at=datetime.now(UTC),
                source_item=f"W-{number}",
                source_location="NOR1",
                amount=_STOCK,
                uom="EA",
            )
            for number in range(1, len(SKUS) + 1)
        )
        receipt = await core.availability.record(TENANT, Report(movements=opening))
        assert receipt.recorded == len(SKUS), receipt


async def _ship(connection: Connection, partner: str) -> None:
    """An order of the first partner has left and is billed: the one that the contract's examples name."""
    rows = await connection.fetch("select sku, item from items.item where tenant = $1", TENANT)
    items = {row["sku"]: row["item"] for row in rows}
    lines = [
        ShippedLine(items[sku], sku, Decimal("19.99"), amount)
        for sku, amount in zip(SKUS, (_STOCK, Decimal(5)), strict=False)
    ]
    await insert_shipped_order(
        connection, lines, tenant=TENANT, partner=partner, order=SHIPPED, channel="web", shipped_at=datetime.now(UTC)
    )
    await billed(connection, SHIPPED)


async def billed(connection: Connection, order: str, *, shipment: str | None = None) -> str:
    """Let an ERP have billed `shipment` (the order's first, if None) of `order`: its id."""
    known = shipment or await connection.fetchval(
        "select shipment_id from order_to_ship.shipment where order_id = $1 order by sequence limit 1", order
    )
    line = {"line": 1, "amount": "2", "unit_price": "10", "net": "20"}
    invoice = {
        "shipment": known, "system": "erp", "number": "INV/17 №4", "issued_on": "2026-11-22", "currency": "USD",
        "net": "20", "tax": "3.8", "total": "23.8", "lines": [line],
    }  # fmt: skip
    await connection.execute(
        "update order_to_ship.sales_order set invoices = $2 where order_id = $1", order, json.dumps([invoice])
    )
    return str(known)


async def _ready(running: RunningGateway) -> None:
    end = time.monotonic() + _READY_SECONDS
    async with running.client("") as client:
        while time.monotonic() < end:
            assert running.process.exit_status is None, log_tail(running.log)
            with suppress(httpx.HTTPError):
                if (await client.get("/readyz")).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(0.1)
    raise AssertionError(f"the gateway was not ready within {_READY_SECONDS} s: {log_tail(running.log)}")
