"""The demo distributor: a real Tryton, two warehouses, a carrier, a partner that listens. Each a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.app import administer
from gateway.canonical.capabilities import Call
from gateway.canonical.item import ReportedItem
from gateway.canonical.stock import ReportedFigure
from gateway.engines.ports import kept_port
from gateway.identity.partners import add_partner
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured
from gateway.outbound.door import Outbound
from gateway.plays.partner_client import Credentials, PartnerClient
from gateway.plays.second_unit import SecondUnit
from gateway.settings import load_settings
from system_apis.parcel_carrier.sandbox import CarrierSandbox
from system_apis.regional_erp.sandbox import ErpSandbox
from system_apis.regional_wms.sandbox import WmsSandbox
from system_apis.tryton.adapter import Adapter
from system_apis.tryton.sandbox import TrytonSandbox

TENANT: Final = "demo"
_STOCK_SECONDS: Final = 60.0
_PROBES: Final = ("SKU-0002", "SKU-0100", "SKU-0160", "SKU-0169", "SKU-0189")
_WMS_UNITS: Final = {"EA": "PCE", "CS": "CTN", "KGM": "KG"}


class Site(Struct, frozen=True):
    """One warehouse of the demo: its WMS instance, our location, the codes of the systems, and where it stands."""

    instance: str
    location: str
    name: str
    wms_code: str
    tryton_code: str
    time_zone: str
    priority: int
    depot: str
    postcode: str


SITES: Final = (
    Site("wms_north", "north", "North DC", "NOR1", "WH-N", "America/New_York", 10, "D-NORTH", "10118"),
    Site("wms_west", "west", "West DC", "WES1", "WH-W", "America/Los_Angeles", 20, "D-WEST", "97201"),
)
CARRIER: Final = "carrier_na"


class Demo:
    """Starts and stops the counterparts. `folder` keeps their data.

    With a `unit` there is a second business unit beside it. Tryton's environment and template are built once in
    `cache`, which several demos may share: ``cache/tryton`` of `folder` unless given.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cache: Path | None = None,
        unit: SecondUnit | None = None,
        progress: Callable[[str], None],
    ) -> None:
        self.unit = unit
        self.folder = folder / "demo"
        self._progress = progress
        self.tryton = TrytonSandbox(cache or folder / "cache" / "tryton", self.folder / "tryton", progress=progress)
        self.warehouses: dict[str, WmsSandbox] = {}
        self.carrier: CarrierSandbox | None = None
        self._receiver: asyncio.subprocess.Process | None = None
        self._receiver_port = 0

    @property
    def names(self) -> tuple[str, ...]:
        """What `kill` and `restart` know."""
        return ("tryton", *(site.instance for site in SITES), CARRIER, *(self.unit.names if self.unit else ()))

    @property
    def credentials_path(self) -> Path:
        """The partner's credentials, mode 0600."""
        return self.folder / "partner.json"

    @property
    def webhook_log(self) -> Path:
        """What the partner's receiver got, one JSON object a line."""
        return self.folder / "partner-webhooks.jsonl"

    @property
    def webhook_secret_path(self) -> Path:
        """The secret that signs the partner's webhooks, mode 0600."""
        return self.folder / "partner-webhook-secret"

    async def start(self, gateway_url: str) -> None:
        """Start Tryton, then the warehouses with the stock that Tryton has, then the partner's receiver."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._progress("starting Tryton")
        await self.tryton.start()
        seeds = await self._seeds()
        for site in SITES:
            self._progress(f"starting the warehouse {site.name}")
            sandbox = WmsSandbox(
                self.folder / site.instance,
                seed=seeds[site.instance],
                webhook_url=f"{gateway_url}/webhooks/v1/{site.instance}",
                port=kept_port(self.folder / f"{site.instance}.port"),
            )
            await sandbox.start()
            self.warehouses[site.instance] = sandbox
        self._progress("starting the carrier")
        self.carrier = CarrierSandbox(
            self.folder / CARRIER,
            depots={depot: {"postcode": code, "country": "US", "currency": "USD"} for depot, code in self._depots()},
            webhook_url=f"{gateway_url}/webhooks/v1/{CARRIER}",
            port=kept_port(self.folder / f"{CARRIER}.port"),
        )
        await self.carrier.start()
        if self.unit is not None:
            await self.unit.start(gateway_url, self._progress)
        await self._start_receiver()

    async def stop(self) -> None:
        """Stop them; safe to call twice."""
        if self._receiver is not None and self._receiver.returncode is None:
            self._receiver.terminate()
            await self._receiver.wait()
        self._receiver = None
        for sandbox in self.warehouses.values():
            await sandbox.stop()
        self.warehouses.clear()
        if self.carrier is not None:
            await self.carrier.stop()
        self.carrier = None
        if self.unit is not None:
            await self.unit.stop()
        await self.tryton.stop()

    def _depots(self) -> list[tuple[str, str]]:
        """Where the carrier collects, and the postal codes there."""
        own = [(site.depot, site.postcode) for site in SITES]
        return own if self.unit is None else [*own, self.unit.depot]

    async def kill(self, name: str) -> None:
        """SIGKILL one counterpart."""
        await self._counterpart(name).kill()

    async def restart(self, name: str) -> None:
        """Start it again with its data."""
        await self._counterpart(name).restart()

    def _counterpart(self, name: str) -> TrytonSandbox | WmsSandbox | CarrierSandbox | ErpSandbox:
        if self.unit is not None and name in self.unit.names:
            return self.unit.counterpart(name)
        if name == CARRIER and self.carrier is not None:
            return self.carrier
        return self.tryton if name == "tryton" else self.warehouses[name]

    def settings(self) -> dict[str, Any]:
        """The part of the settings file that describes the demo's systems and places."""
        wms = {
            site.instance: {
                "product": "regional_wms",
                "settings": self.warehouses[site.instance].settings(),
            }
            for site in SITES
        }
        carrier = {}
        if self.carrier is not None:
            carrier = {CARRIER: {"product": "parcel_carrier", "settings": self.carrier.settings()}}
        erp = {"product": "tryton", "settings": msgspec.to_builtins(self.tryton.settings())}
        return {
            "systems": {"erp_na": erp, **wms, **carrier, **(self.unit.systems() if self.unit else {})},
            "locations": [
                {
                    "location": site.location,
                    "name": site.name,
                    "region": "na",
                    "time_zone": site.time_zone,
                    "holder": site.instance,
                    "poster_to": "erp_na",
                    "codes": {"erp_na": site.tryton_code, site.instance: site.wms_code, CARRIER: site.depot},
                    "priority": site.priority,
                }
                for site in SITES
            ]
            + ([self.unit.location(CARRIER)] if self.unit else []),
            "channels": [{"name": "web"}],
            "orders": {"erp": "erp_na"},
            "freight": {"rules": [{"carriers": [CARRIER], "channel": "web"}]},
            "notifications": {"private_targets": ["127.0.0.0/8"]},
            # One trytond computes on one core: more turns at once only make each of them too late.
            "worker": {"poll_seconds": 5.0, "concurrency": 4},
        }

    async def seed(self, settings_path: Path) -> None:
        """Add the demo's partner, once; its credentials go to a file of mode 0600."""
        if self.credentials_path.exists():
            return
        made = await administer(
            load_settings(settings_path),
            lambda connection, ring: add_partner(
                connection,
                ring,
                tenant=TENANT,
                name="Harbor Outfitters",
                channel="web",
                plan="standard",
                accounts=["CUST1"],
                webhook_url=f"http://127.0.0.1:{self._receiver_port}/webhooks",
            ),
        )
        credentials = Credentials(client_id=made.client_id, client_secret=made.client_secret, api_key=made.api_key)
        _write_secret(self.webhook_secret_path, made.webhook_secret or "")
        _write_secret(self.credentials_path, msgspec.json.encode(credentials).decode())

    async def wait_for_stock(self, settings_path: Path) -> None:
        """Wait until the opening stock of every warehouse is known."""
        self._progress("reading items and opening stock")
        settings = load_settings(settings_path)
        end = time.monotonic() + _STOCK_SECONDS
        async with PartnerClient(settings.http.public_url, self.credentials()) as client:
            while time.monotonic() < end:
                figures = [await client.availability(sku) for sku in _PROBES]
                if all(figure is not None and figure > 0 for figure in figures):
                    return
                await asyncio.sleep(0.2)
        raise Misconfigured(f"the opening stock did not arrive within {_STOCK_SECONDS:.0f} s: see the worker's log")

    def credentials(self) -> Credentials:
        """The partner's."""
        return msgspec.json.decode(self.credentials_path.read_bytes(), type=Credentials)

    async def _seeds(self) -> dict[str, dict[str, Any]]:
        """What each warehouse starts with: all items, and Tryton's own quantities."""
        async with Outbound() as outbound:
            settings = self.tryton.settings()
            adapter = Adapter("erp_na", settings, outbound.session("erp_na", settings.base_url), SystemClock())
            call = Call(tenant=TENANT, correlation_id="demo-seed", deadline=time.monotonic() + 60)
            items: list[ReportedItem] = []
            cursor: str | None = None
            while True:
                page = await adapter.read_items(call, cursor=cursor)
                items += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
            stock = await adapter.read_stock(call, locations=[site.tryton_code for site in SITES])
        return {site.instance: _seed(site, items, stock.figures) for site in SITES}

    async def _start_receiver(self) -> None:
        self._receiver_port = kept_port(self.folder / "receiver.port")
        self._receiver = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.plays.receiver", "--port", str(self._receiver_port),
            "--log", str(self.webhook_log), "--secret-file", str(self.webhook_secret_path),
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for us, who then end it in its turn
        )  # fmt: skip
        if self._receiver.stdout is None or not await self._receiver.stdout.readline():
            raise Misconfigured(f"the partner's receiver did not start on port {self._receiver_port}: is it taken?")


def _seed(site: Site, items: list[ReportedItem], figures: tuple[ReportedFigure, ...]) -> dict[str, Any]:
    numbers = {item.source_code: number for number, item in enumerate(items, start=1)}
    return {
        "warehouses": [site.wms_code],
        "items": [
            {
                "item_code": f"W-{numbers[item.source_code]:06d}",
                "client_sku": item.sku,
                "description": item.name,
                "base_unit": _WMS_UNITS[item.base_uom],
                "packs": [
                    {"unit": _WMS_UNITS[pack.uom], "quantity": str(pack.factor)}
                    for pack in item.packs
                    if pack.uom in _WMS_UNITS
                ],
            }
            for item in items
        ],
        "stock": [
            {
                "warehouse": site.wms_code,
                "item_code": f"W-{numbers[figure.source_item]:06d}",
                "quantity": str(figure.amount),
            }
            for figure in figures
            if figure.source_location == site.tryton_code and figure.amount > 0
        ],
    }


def _write_secret(path: Path, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value)
