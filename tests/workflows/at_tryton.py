"""A distributor whose ERP is a real Tryton, with articles of its own there; one warehouse is a sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.engines import EngineUrls
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.regional_wms.sandbox import WmsSandbox
from system_apis.tryton.client import Client
from system_apis.tryton.sandbox import TrytonSandbox
from tests.system_apis.tryton.buying import Buyer
from tests.system_apis.tryton.scenarios import call
from tests.workflows.conftest import running_distributor, warehouse_seed
from tests.workflows.site import SETTLE, Site
from tests.workflows.stories import CALLER, SUPPLIER

_FIRST = 1000
"""Behind the articles that the demo distributor has in Tryton."""
_LIKE = "SKU-0010"
_AT_ONCE = 20
_WAREHOUSE = "WH-N"


class TrytonErp:
    """A real Tryton beside the product: a buyer who enters purchases, and its books."""

    def __init__(self, sandbox: TrytonSandbox, door: Outbound) -> None:
        session = door.session("beside", sandbox.url, SystemLimits(breaker_failures=1000, timeout=120))
        self._admin = Client(session, database=sandbox.database, user="admin", password=sandbox.admin_password)
        self.buyer = Buyer(sandbox, session)

    async def books(self, sku: str) -> dict[str, list[tuple[Any, ...]]]:
        """What is alive and what was moved of an article; without numbers and times."""
        alive = ("state", "!=", "cancelled")
        of_lines = [("lines.product.code", "=", sku), alive]
        rows = self.buyer.rows
        standing = ("state", "shipment_state", "invoice_state", "untaxed_amount")
        sales = await rows("sale.sale", of_lines, *standing)
        purchases = await rows("purchase.purchase", of_lines, *standing)
        bills = await rows("account.invoice", of_lines, "type", "state", "untaxed_amount")
        moves = await rows(
            "stock.move", [("product.code", "=", sku), alive], "state", "quantity", "from_location.type",
            "to_location.type",
        )  # fmt: skip
        return {
            "sales": sorted(tuple(row[name] for name in standing) for row in sales),
            "purchases": sorted(tuple(row[name] for name in standing) for row in purchases),
            "bills": sorted((row["type"], row["state"], row["untaxed_amount"]) for row in bills),
            "moves": sorted(
                (row["state"], row["quantity"], row["from_location."]["type"], row["to_location."]["type"])
                for row in moves
            ),
        }

    async def know(self, numbers: Sequence[int]) -> None:
        """Make articles like one of the demo's. None are in stock there: what leaves is forced."""
        [company] = await self._found({}, "company.company", [], "currency")
        here = {"company": company["id"]}
        kept = ("default_uom", "sale_uom", "purchase_uom", "account_category", "list_price", "cost_price_method")
        [like] = await self._found(here, "product.template", [("code", "=", _LIKE)], *kept)
        same = {name: like[name] for name in kept} | {"type": "goods", "salable": True, "purchasable": True}
        made = [
            {**same, "name": sku, "code": sku, "products": [("create", [{"cost_price": Decimal(4)}])]}
            for sku in (f"SKU-{number:04d}" for number in numbers)
        ]
        for start in range(0, len(made), _AT_ONCE):
            records = made[start : start + _AT_ONCE]
            await self._admin.write(call(120), "model.product.template.create", records, context=here)

    async def _found(
        self, context: Mapping[str, object], model: str, domain: Sequence[object], *fields: str
    ) -> list[dict[str, Any]]:
        return await self._admin.search_read(call(120), model, domain, fields, context=context)


@asynccontextmanager
async def running_site_at_tryton(
    urls: EngineUrls, cache: Path, folders: pytest.TempPathFactory, items: int
) -> AsyncIterator[Site]:
    """A distributor of `items` articles, with a supplier who may be sent orders."""
    numbers = range(_FIRST, _FIRST + items)
    async with AsyncExitStack() as running:
        tryton = TrytonSandbox(cache, folders.mktemp("tryton"))
        await tryton.start()
        running.push_async_callback(tryton.stop)
        erp = TrytonErp(tryton, await running.enter_async_context(Outbound()))
        await erp.know(numbers)
        warehouse = WmsSandbox(folders.mktemp("wms_north"), seed=warehouse_seed("NOR1", numbers))
        await warehouse.start()
        running.push_async_callback(warehouse.stop)
        sandboxes = {"tryton": erp, "wms_north": warehouse}
        settings = _settings(tryton, warehouse)
        site = await running.enter_async_context(running_distributor(urls, folders, sandboxes, settings, first=_FIRST))
        await _onboard(site)
        yield site


async def _onboard(site: Site) -> None:
    suppliers = site.core.procurement.suppliers
    made = await suppliers.make_known(CALLER, name=SUPPLIER, codes={"tryton": SUPPLIER}, partner=None)
    for step in ("documents", "terms", "test_order"):
        await suppliers.finish_step(CALLER, made.supplier, step)
    await site.rest()


def _settings(tryton: TrytonSandbox, warehouse: WmsSandbox) -> dict[str, Any]:
    erp = {**msgspec.to_builtins(tryton.settings()), "settle_time_s": SETTLE}
    return {
        "systems": {
            "tryton": {"product": "tryton", "settings": erp},
            "wms_north": {"product": "regional_wms", "settings": warehouse.settings()},
        },
        "locations": [
            {
                "location": "north", "name": "north", "region": "na", "time_zone": "UTC", "holder": "wms_north",
                "poster_to": "tryton", "codes": {"tryton": _WAREHOUSE, "wms_north": "NOR1"}, "priority": 1,
            }
        ],
        "channels": [{"name": "web"}],
        # What is given up while Tryton is slow may arrive later than it settles here: only the seams are to do that.
        "orders": {"erp": "tryton", "call_seconds": 120},
        "procurement": {"sources": ["tryton"], "booked": ["tryton"]},
    }  # fmt: skip
