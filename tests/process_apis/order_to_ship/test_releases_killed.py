"""A worker that dies at any call of a later release: it is handed over, shipped and posted once."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace
from order_world import World, ask
from test_with_availability import COMPONENTS, ROOT, Shop, sold

from gateway.canonical.events import Event, Position, Recorded
from gateway.canonical.item import ReportedItem
from gateway.canonical.order import OrderState
from gateway.kernel.money import Money
from gateway.store.migrations import find_migrations, migrate

pytestmark = [pytest.mark.integration, pytest.mark.long]
_HEARD = "select * from store.event where id > $1 and type = any($2::text[]) order by id"
_TYPES = ["stock.movement_recorded", "claim.short", "claim.covered", "claim.supplied", "claim.redated"]


class Log:
    """What consumers would be given, one after the other."""

    def __init__(self, shop):
        self.shop = shop
        self.after = 0

    async def hear(self):
        for row in await self.shop.store.fetch(_HEARD, self.after, _TYPES):
            self.after = row["id"]
            event = Event(
                tenant=row["tenant"], type=row["type"], aggregate=row["aggregate"],
                aggregate_version=row["aggregate_version"], occurred_at=datetime.now(UTC), correlation_id="c",
                data=json.loads(row["data"]),
            )  # fmt: skip
            recorded = Recorded(position=Position(1, 1, row["id"]), recorded_at=datetime.now(UTC), event=event)
            movement = row["type"] == _TYPES[0]
            handler = self.shop.orders.shipping.on_movement if movement else self.shop.orders.covering.on_cover
            async with self.shop.store.transaction() as connection:
                await handler(connection, recorded)


@pytest.fixture
async def shop(orders_database):
    await migrate(orders_database, find_migrations([ROOT / name / "migrations" for name in COMPONENTS]))
    made = Shop(orders_database)
    await made.store.open()
    await made.seams.open()
    price = Money(Decimal(1), "USD")
    for source in ("erp_na", "wms_n", "wms_w"):
        article = ReportedItem(source_code="X-1", sku="SKU-1", name="One", base_uom="EA", list_price=price)
        await made.items.adopt("acme", source, [article], correlation_id="setup")
    yield made
    await made.seams.close()
    await made.store.close()


async def test_a_later_release_reaches_each_system_once_wherever_its_worker_dies(shop, orders_database):
    world, log = World(orders_database, shop.store, shop.seams, shop.orders), Log(shop)
    calls = [(name, kind) for name in ("submit_order", "release_work", "post_shipment") for kind in
             ("crash_before", "crash_after")]  # fmt: skip
    for number, (name, kind) in enumerate(calls):
        await shop.reported("receipt_posted", 1)
        await shop.reported("put_away", 1)
        asked = replace(ask(f"M-{number}", ("SKU-1", "3"), channel="mart"), fill="partial")
        order_id = (await shop.orders.place_order(asked)).order.order_id
        await log.hear()
        order = await world.drain(order_id)
        assert (order.state, order.lines[0].backordered) == (OrderState.RELEASED, 2), (name, kind)
        second = f"{order_id}.2"
        await world.fault(name, kind, reference=second)
        await shop.reported("receipt_posted", 2)
        await shop.reported("put_away", 2)
        await log.hear()
        await world.drain(order_id)
        await shop.reported("shipment_confirmed", 1, order=order_id, line=1)
        await shop.reported("shipment_confirmed", 2, order=second, line=1)
        await log.hear()
        order = await world.drain(order_id)
        assert order.state is OrderState.COMPLETED, (name, kind, order)
        assert await sold(shop, order_id) == {
            ("sale", ""): {(1, 1)}, ("work", ""): {(1, 1)}, ("sale", ".2"): {(1, 2)}, ("work", ".2"): {(1, 2)},
        }  # fmt: skip
        for table in ("sale", "work", "posting"):
            rows = await shop.store.fetch(
                f"select reference from fake.{table} where reference like $1 || '%'", order_id
            )
            assert sorted(row["reference"] for row in rows) == [order_id, second], (table, name, kind)
        assert not await shop.store.fetchval("select count(*) from fake.fault"), "the worker died there"
    assert await shop.promised() == (0, 0, 0)
    await told_to_reconciliation(shop, 2 * len(calls))


async def told_to_reconciliation(shop, booked):
    """Each release is a document of its own in the ERP, with the shipments that left for it; no page loses one."""
    found, after = [], ""
    early, late = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    while page := await shop.orders.booked("acme", after=after, since=early, until=late, limit=1):
        found += page
        after = page[-1].order
    assert len({each.order for each in found}) == len(found) == booked
    for each in found:
        amount = 2 if each.order.endswith(".2") else 1
        assert [shipment.lines for shipment in each.shipments] == [{1: amount}], each
