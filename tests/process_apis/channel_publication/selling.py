"""A shop's world with orders beside it, and who buys there."""

import sys
from contextlib import asynccontextmanager
from decimal import Decimal

from gateway.canonical.item import ReportedItem
from gateway.durable.schema import migrate_durable
from gateway.kernel.money import Money
from gateway.store.migrations import find_migrations, migrate

from .conftest import FOLDERS, ROOT

sys.path.append(str(ROOT / "tests/process_apis/order_to_ship"))
import order_fakes as fakes
from order_world import CALLER

__all__ = ["BUYER", "CALLER", "Systems", "orders_beside"]

BUYER = {
    "currency": "EUR",
    "ship_to": {"name": "Ann", "street": "Way 1", "city": "Bern", "postal_code": "3000", "country": "CH"},
}


class Systems(fakes.Systems):
    def warehouse_of(self, tenant, location):
        return "wms_n"


@asynccontextmanager
async def orders_beside(world, database, kind):
    """A `kind` of the world and the seams of its systems, with 20 of item A at 9.50 EUR."""
    await migrate(database, find_migrations([*FOLDERS, ROOT / "process_apis/order_to_ship/migrations"]))
    await migrate_durable(database)
    await world.store.execute(fakes.SCHEMA)
    seams = fakes.Seams(database)
    await seams.open()
    reported = ReportedItem(source_code="A", sku="A", name="A", base_uom="EA", list_price=Money(Decimal("9.50"), "EUR"))
    await world.items.adopt("acme", "erp", [reported], correlation_id="setup")
    await world.stock_of({"A": 20})
    made = kind(world, seams)
    await world.settle()
    try:
        yield made
    finally:
        await seams.close()
