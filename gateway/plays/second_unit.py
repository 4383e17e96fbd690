"""A second business unit for plays: a Regional ERP and a warehouse of its own, with articles that nobody else has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.engines.ports import kept_port
from system_apis.regional_erp.sandbox import ErpSandbox
from system_apis.regional_wms.sandbox import WmsSandbox

ERP: Final = "erp_south"
WAREHOUSE: Final = "wms_south"
_LOCATION: Final = "south"
_CODE: Final = "SOU1"


class SecondUnit:
    """Starts and stops both; `stock` pieces of each of `articles` lie in the warehouse."""

    names = (ERP, WAREHOUSE)
    depot = ("D-SOUTH", "75201")

    def __init__(self, folder: Path, *, articles: int, stock: int) -> None:
        self._folder = folder
        self.skus = tuple(f"SOUTH-{number:04d}" for number in range(articles))
        self.stock = stock
        self.erp: ErpSandbox | None = None
        self.warehouse: WmsSandbox | None = None

    async def start(self, gateway_url: str, progress: Callable[[str], None]) -> None:
        """The ERP, then the warehouse, which tells the gateway."""
        progress("starting the second unit")
        self._folder.mkdir(parents=True, exist_ok=True)
        self.erp = ErpSandbox(self._folder / ERP, seed=self._books(), port=kept_port(self._folder / f"{ERP}.port"))
        await self.erp.start()
        self.warehouse = WmsSandbox(
            self._folder / WAREHOUSE,
            seed=self._shelves(),
            webhook_url=f"{gateway_url}/webhooks/v1/{WAREHOUSE}",
            port=kept_port(self._folder / f"{WAREHOUSE}.port"),
        )
        await self.warehouse.start()

    async def stop(self) -> None:
        """Safe to call twice."""
        for sandbox in (self.erp, self.warehouse):
            if sandbox is not None:
                await sandbox.stop()
        self.erp = self.warehouse = None

    def counterpart(self, name: str) -> ErpSandbox | WmsSandbox:
        """One of `names`, once started."""
        found = self.erp if name == ERP else self.warehouse
        if found is None:
            raise LookupError(f"{name} is not started")
        return found

    def folder_of(self, name: str) -> Path:
        """Where one of `names` keeps its books and logs."""
        return self._folder / name

    def systems(self) -> dict[str, Any]:
        """The settings of both instances."""
        return {
            ERP: {"product": "regional_erp", "settings": self.counterpart(ERP).settings()},
            WAREHOUSE: {"product": "regional_wms", "settings": self.counterpart(WAREHOUSE).settings()},
        }

    def location(self, carrier: str) -> dict[str, Any]:
        """The place that it ships from; `carrier` collects at its `depot`: a code and a postal code."""
        return {
            "location": _LOCATION, "name": "South DC", "region": "na", "time_zone": "America/Chicago",
            "holder": WAREHOUSE, "poster_to": ERP, "priority": 30,
            "codes": {ERP: _CODE, WAREHOUSE: _CODE, carrier: self.depot[0]},
        }  # fmt: skip

    def _books(self) -> dict[str, Any]:
        return {
            "sites": [_CODE],
            "articles": [
                {"article": f"A-{sku}", "sku": sku, "name": sku, "base_unit": "PCE", "price": "4.20", "currency": "USD"}
                for sku in self.skus
            ],
            "stock": [{"site": _CODE, "article": f"A-{sku}", "quantity": str(self.stock)} for sku in self.skus],
            "customers": [{"number": "CUST1", "name": "Harbor Outfitters", "currency": "USD"}],
        }

    def _shelves(self) -> dict[str, Any]:
        return {
            "warehouses": [_CODE],
            "items": [
                {"item_code": f"W-{sku}", "client_sku": sku, "description": sku, "base_unit": "PCE", "packs": []}
                for sku in self.skus
            ],
            "stock": [{"warehouse": _CODE, "item_code": f"W-{sku}", "quantity": str(self.stock)} for sku in self.skus],
        }
