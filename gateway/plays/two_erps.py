"""The demo distributor with a second ERP beside Tryton: a simulated S/4HANA that knows the same items and customers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.app import administer
from gateway.canonical.capabilities import Call
from gateway.canonical.item import ReportedItem
from gateway.canonical.party import ReportedCustomer
from gateway.identity.partners import add_partner
from gateway.kernel.clock import SystemClock
from gateway.outbound.door import Outbound
from gateway.plays.demo import SITES, TENANT, Demo
from gateway.plays.partner_client import Credentials
from gateway.settings import load_settings
from system_apis.sap_s4.sandbox import SapSandbox, seed_of
from system_apis.tryton.adapter import Adapter

OLD: Final = "erp_na"
NEW: Final = "s4_na"
PLANTS: Final = {"north": "1710", "west": "1720"}
_SAP_UNITS: Final = {"EA": "EA", "KGM": "KG", "CS": "CS"}
# Who orders beside the demo's partner: one whose credit does not do, and one whose buyers have bought already.
PARTNERS: Final = {"poor": ("Narrow Margin", "web", "CUST4"), "market": ("Open Market", "market", "CUST2")}


class TwoErps(Demo):
    """Starts S/4HANA after Tryton, filled with what that has."""

    _sap: SapSandbox | None = None

    @property
    def sap(self) -> SapSandbox:
        """The second ERP, once started."""
        if self._sap is None:
            raise LookupError("it is not started")
        return self._sap

    async def start(self, gateway_url: str) -> None:
        """As the demo, then the second ERP."""
        await super().start(gateway_url)
        self._progress("starting S/4HANA (mock-sap)")
        items, customers = await self._known()
        self._sap = SapSandbox(self.folder / "sap", seed=_seed(items, customers))
        await self._sap.start()

    async def stop(self) -> None:
        """Stop them all; safe to call twice."""
        if self._sap is not None:
            await self._sap.stop()
        await super().stop()

    def settings(self) -> dict[str, Any]:
        """The demo's, with the second ERP and what it calls the locations."""
        tree = super().settings()
        tree["systems"][NEW] = {"product": "sap_s4", "settings": self.sap.settings()}
        for place in tree["locations"]:
            place["codes"][NEW] = PLANTS[place["location"]]
        tree["channels"].append({"name": "market", "buyer_committed": True})
        return tree

    async def seed(self, settings_path: Path) -> None:
        """The demo's partner and the two others."""
        await super().seed(settings_path)
        for key, (name, channel, account) in PARTNERS.items():
            path = self._credentials_of(key)
            if path.exists():
                continue
            made = await administer(
                load_settings(settings_path),
                partial(add_partner, tenant=TENANT, name=name, channel=channel, plan="standard", accounts=[account]),
            )
            credentials = Credentials(client_id=made.client_id, client_secret=made.client_secret, api_key=made.api_key)
            path.touch(mode=0o600)
            path.write_bytes(msgspec.json.encode(credentials))

    def credentials_of(self, partner: str) -> Credentials:
        """Those of one of `PARTNERS`."""
        return msgspec.json.decode(self._credentials_of(partner).read_bytes(), type=Credentials)

    def _credentials_of(self, partner: str) -> Path:
        return self.folder / f"partner-{partner}.json"

    async def _known(self) -> tuple[list[ReportedItem], list[ReportedCustomer]]:
        async with Outbound() as outbound:
            settings = self.tryton.settings()
            adapter = Adapter(OLD, settings, outbound.session(OLD, settings.base_url), SystemClock())
            call = Call(tenant=TENANT, correlation_id="two-erps", deadline=SystemClock().monotonic() + 60)
            page = await adapter.read_items(call, limit=1000)
            customers = await adapter.list_customers(call, limit=200)
        return list(page.items), [each for each in customers.customers if each.parent is None]


def _seed(items: list[ReportedItem], customers: list[ReportedCustomer]) -> dict[str, Any]:
    return seed_of(
        [
            {
                "code": item.sku,
                "name": item.name,
                "unit": _SAP_UNITS[item.base_uom],
                "packs": {_SAP_UNITS[p.uom]: str(p.factor) for p in item.packs if p.uom in _SAP_UNITS},
            }
            for item in items
        ],
        [{"code": each.source_code, "name": each.name, "blocked": each.hold} for each in customers],
        [
            {"code": item.sku, "plant": PLANTS[site.location], "quantity": "100", "unit": _SAP_UNITS[item.base_uom]}
            for item in items
            for site in SITES
        ],
    )
