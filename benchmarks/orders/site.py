"""Where orders go: fresh engines, a Regional ERP and two Regional WMS as processes, a gateway, workers, and people.

Everything of ours runs as `crossdock up` starts it; only the demo's Tryton is left out.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg

from benchmarks.processes import free_port, running
from gateway.app import administer, migrate_record
from gateway.engines import EngineUrls
from gateway.identity.partners import add_partner
from gateway.plays.settings_file import write_settings
from gateway.settings import load_settings
from system_apis.regional_erp.sandbox import ErpSandbox
from system_apis.regional_wms.sandbox import WmsSandbox

TENANT: Final = "demo"
WAREHOUSES: Final = {"wms_north": ("north", "NOR1"), "wms_west": ("west", "WES1")}
_PLENTY: Final = 10_000_000
_PARTNERS: Final = 20
_KNOWN_S: Final = 180.0
_ENOUGH: Final = "100000000/minute"
# Not the others: an empty table that was analysed is planned as one to be read whole, and a connection keeps that plan
# for its foreign keys while the table grows, until the next analyze.
_FILLED: Final = """
select string_agg(relid::regclass::text, ', ') from pg_stat_user_tables
where pg_relation_size(relid) > 0 and has_table_privilege(relid, 'MAINTAIN')
"""
_KNOWN: Final = "select count(*) from availability.stock_line where sellable > 0"


class Site:
    """Starts in `folder` with `items` articles; `settings` is the file, `credentials` are the partners'."""

    def __init__(self, folder: Path, urls: EngineUrls, *, items: int, gateways: int) -> None:
        self._folder = folder
        self._urls = urls
        self._items = items
        self._gateways = gateways
        self.settings = folder / "bench.toml"
        self.credentials: list[Any] = []
        self.erp = ErpSandbox(folder / "erp", seed=_books(items))
        self.warehouses: dict[str, WmsSandbox] = {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Site]:
        """Systems up, the record migrated, partners known; nothing of ours runs yet."""
        port = free_port()
        await self.erp.start()
        for name, (_, code) in WAREHOUSES.items():
            hook = f"http://127.0.0.1:{port}/webhooks/v1/{name}"
            self.warehouses[name] = WmsSandbox(self._folder / name, seed=_shelves(code, self._items), webhook_url=hook)
            await self.warehouses[name].start()
        try:
            installation = await migrate_record(self._urls.postgres, progress=lambda _: None)
            write_settings(
                self.settings, secrets_folder=self._folder, urls=self._urls, installation=installation,
                ports=(port, free_port()), gateway_workers=self._gateways, demo=None, more=self._more(),
            )  # fmt: skip
            self.credentials = await administer(load_settings(self.settings), _add_partners)
            yield self
        finally:
            for sandbox in (self.erp, *self.warehouses.values()):
                await sandbox.stop()

    @contextmanager
    def worker(self, number: int) -> Iterator[int]:
        """One worker process; gives its process id. It is there when it shows its figures."""
        port = free_port()
        text = self.settings.read_text(encoding="utf-8")
        own = self.settings.with_name(f"worker-{number}.toml")
        own.write_text(f"{text}\n[metrics]\nworker_port = {port}\n", encoding="utf-8")
        command = [sys.executable, "-m", "gateway.worker", "worker", "--settings", str(own)]
        with running(command, port=port, log=own.with_suffix(".log"), folder=self._folder) as pid:
            yield pid

    async def until_known(self) -> None:
        """Wait until the opening stock of every article is."""
        connection = await asyncpg.connect(self._urls.postgres)
        try:
            end = time.monotonic() + _KNOWN_S
            while await connection.fetchval(_KNOWN) < self._items * len(WAREHOUSES):
                if time.monotonic() > end:
                    raise SystemExit(f"the opening stock did not arrive within {_KNOWN_S:.0f} s: see the worker's log")
                await asyncio.sleep(0.5)
            with suppress(asyncpg.PostgresError):
                tables = await connection.fetchval(_FILLED)
                await connection.execute(f"analyze {tables}")
        finally:
            await connection.close()

    def _more(self) -> dict[str, Any]:
        wms = {
            name: {"product": "regional_wms", "settings": sandbox.settings()}
            for name, sandbox in self.warehouses.items()
        }
        return {
            "systems": {"erp": {"product": "regional_erp", "settings": self.erp.settings()}, **wms},
            "locations": [
                {
                    "location": location, "name": location, "region": "na", "time_zone": "UTC", "holder": name,
                    "poster_to": "erp", "codes": {name: code, "erp": code}, "priority": rank,
                }
                for rank, (name, (location, code)) in enumerate(WAREHOUSES.items(), start=1)
            ],
            "channels": [{"name": "web"}],
            "orders": {"erp": "erp"},
            "rate_limit": {"addresses": {"rate": _ENOUGH}, "plans": {"standard": {"default": {"rate": _ENOUGH}}}},
        }  # fmt: skip


async def _add_partners(connection: Any, ring: Any) -> list[Any]:
    return [
        await add_partner(
            connection, ring, tenant=TENANT, name=f"Partner {number}", channel="web", plan="standard",
            accounts=[f"CUST{number}"],
        )
        for number in range(_PARTNERS)
    ]  # fmt: skip


def _books(items: int) -> dict[str, Any]:
    return {
        "sites": [code for _, code in WAREHOUSES.values()],
        "articles": [
            {
                "article": f"A-{number:06d}", "sku": f"SKU-{number:05d}", "name": f"Article {number}",
                "base_unit": "PCE", "price": "2.50", "currency": "USD",
            }
            for number in range(items)
        ],
        "customers": [{"number": f"CUST{n}", "name": f"Customer {n}", "currency": "USD"} for n in range(_PARTNERS)],
    }  # fmt: skip


def _shelves(warehouse: str, items: int) -> dict[str, Any]:
    codes = [f"W-{number:06d}" for number in range(items)]
    return {
        "warehouses": [warehouse],
        "items": [
            {"item_code": code, "client_sku": f"SKU-{n:05d}", "description": code, "base_unit": "PCE", "packs": []}
            for n, code in enumerate(codes)
        ],
        "stock": [{"warehouse": warehouse, "item_code": code, "quantity": str(_PLENTY)} for code in codes],
    }
