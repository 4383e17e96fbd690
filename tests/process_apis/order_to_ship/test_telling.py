"""What order to ship tells reconciliation: what is booked in ERPs, and what left and is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.canonical.reconciliation import BookedOrder, BookedShipment, UnpostedLine
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from process_apis.order_to_ship.reading import Reading

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]
FOLDERS = [ROOT / "gateway/store/migrations", ROOT / "process_apis/order_to_ship/migrations"]


@pytest.fixture
async def store(database):
    await migrate(database, find_migrations(FOLDERS))
    made = Store(database, size=2)
    await made.open()
    yield made
    await made.close()


async def order(store, name, tenant="acme", *, erp="done", closed=None, cancelled=None, shipments=()):
    """Shipments are (id, state of its posting, attempts, lines as (line, amount))."""
    await store.execute(
        "insert into order_to_ship.sales_order (order_id, tenant, channel, sold_to, external_number, fingerprint,"
        " currency, ship_to, total, placed_at, correlation_id, state, exposure, completed_at, cancelled_at)"
        " values ($1, $2, 'web', 'C', $1, '', 'USD', '{}', 1, now(), 'c', 'submitted', 1, $3, $4)",
        *(name, tenant, closed, cancelled),
    )
    task = (
        "insert into order_to_ship.task (order_id, kind, target, system, state, attempts, number, changed_at)"
        " values ($1, $2, $3, 'erp', $4, $5, $6, now() - interval '1 hour')"
    )
    await store.execute(task, name, "erp_order", "erp", erp, 1, "S-" + name)
    for number, (shipment, state, attempts, lines) in enumerate(shipments):
        await store.execute(
            "insert into order_to_ship.shipment values ($1, $2, $3, 'wms', $1, 'loc_n', now())", shipment, name, number
        )
        await store.execute(task, name, "shipment_posting", shipment, state, attempts, None)
        for line, amount in lines:
            await store.execute(
                "insert into order_to_ship.shipment_line values ($1, $2, $3, $4, $5)",
                *(f"{shipment}-{line}-{amount}", shipment, line, f"itm_{line}", amount),
            )


async def booked(store, **more):
    now = datetime.now(UTC)
    asked = {"after": "", "since": now - timedelta(days=3), "until": now, "limit": 10, **more}
    found = await Reading(store).booked("acme", **asked)
    assert all(shipment.shipped_at is not None for each in found for shipment in each.shipments)
    return [
        replace(each, shipments=tuple(replace(shipment, shipped_at=None) for shipment in each.shipments))
        for each in found
    ]


async def test_orders_that_an_erp_confirmed_are_told_with_what_was_posted(store):
    shipments = [
        ("shp_1", "done", 1, [(1, Decimal(2)), (1, Decimal("1.5")), (2, Decimal(4))]),
        ("shp_2", "pending", 0, [(2, Decimal(1))]),
    ]
    await order(store, "ord_1", shipments=shipments)
    await order(store, "ord_2", erp="attempted")
    await order(store, "ord_3", erp="absent", cancelled=datetime.now(UTC))
    await order(store, "ord_4", erp="absent")
    await order(store, "ord_5", closed=datetime.now(UTC) - timedelta(days=9))
    await order(store, "ord_6", tenant="other")
    await order(store, "ord_7")
    lines = {1: Decimal("3.5"), 2: Decimal(4)}
    assert await booked(store) == [
        BookedOrder(order="ord_1", system="erp", number="S-ord_1", gone=False,
                    shipments=(BookedShipment(posting="shp_1", location="loc_n", lines=lines),)),
        BookedOrder(order="ord_3", system="erp", number="S-ord_3", gone=True),
        BookedOrder(order="ord_7", system="erp", number="S-ord_7", gone=False),
    ]  # fmt: skip
    assert [each.order for each in await booked(store, after="ord_1", limit=1)] == ["ord_3"]
    assert await booked(store, until=datetime.now(UTC) - timedelta(hours=2)) == []


async def test_what_left_is_not_booked_until_its_posting_is_done_and_uncertain_while_it_is_tried(store):
    shipments = [
        ("shp_1", "done", 1, [(1, Decimal(9))]),
        ("shp_2", "pending", 0, [(1, Decimal(2))]),
        ("shp_3", "attempted", 1, [(2, Decimal(4))]),
        ("shp_4", "pending", 2, [(3, Decimal(1))]),
    ]
    await order(store, "ord_1", shipments=shipments)
    await order(store, "ord_2", tenant="other", shipments=[("shp_9", "pending", 0, [(1, Decimal(7))])])
    found = await Reading(store).unposted("acme", ["loc_n"])
    assert sorted((each.item, each.amount, each.certain) for each in found) == [
        ("itm_1", 2, True),
        ("itm_2", 4, False),
        ("itm_3", 1, False),
    ]
    assert await Reading(store).unposted("acme", ["loc_s"]) == []


async def test_what_a_warehouse_reported_and_nobody_has_counted_yet_is_uncertain(store):
    await store.execute(
        "insert into store.consumer (name, log_epoch, transaction_id, event_id)"
        " values ('order_to_ship.shipping', 1, '0', 0)"
    )
    for number, order_id in ((1, '"ord_1"'), (2, "null")):
        await store.execute(
            "insert into store.event (stream, tenant, type, version, aggregate, aggregate_version, occurred_at,"
            " correlation_id, data)"
            " values ('main', 'acme', 'stock.movement_recorded', 1, $1, 1, now(), 'c', $2::jsonb)",
            *(f"mov_{number}", f'{{"item": "itm_{number}", "location": "loc_n", "order": {order_id}}}'),
        )
    found = await Reading(store).unposted("acme", ["loc_n"])
    assert found == [UnpostedLine(item="itm_1", location="loc_n", amount=Decimal(0), certain=False)]
    await store.execute(
        "update store.consumer set (transaction_id, event_id) = (select transaction_id, id from store.event"
        " where aggregate = 'mov_2')"
    )
    assert await Reading(store).unposted("acme", ["loc_n"]) == []
    await store.execute(
        "insert into store.dead_letter (consumer, event_id, log_epoch, transaction_id, tenant, aggregate, state,"
        " error_class, error_code, detail, fault_domain)"
        " select 'order_to_ship.shipping', id, log_epoch, transaction_id, tenant, aggregate, 'dead', 'c', 'c', 'd', 'f'"
        " from store.event where aggregate = 'mov_1'"
    )
    assert await Reading(store).unposted("acme", ["loc_n"]) == found
