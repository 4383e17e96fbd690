"""Orders whose goods have left, as the record has them: written at once, for tests of what comes after shipping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gateway.canonical.capabilities import Connection
from gateway.kernel.ids import new_id


@dataclass(frozen=True)
class ShippedLine:
    """Ordered and shipped: `amount` base units (EA), asked for in `asked_uom` of `factor` base units each."""

    item: str
    sku: str
    price: Decimal
    amount: Decimal
    asked_uom: str = "EA"
    factor: Decimal = Decimal(1)


async def insert_shipped_order(
    connection: Connection,
    lines: Sequence[ShippedLine],
    *,
    tenant: str,
    partner: str,
    shipped_at: datetime,
    order: str | None = None,
    channel: str = "shop",
    sold_to: str = "CUST1",
    place: str = "north",
    system: str | None = None,
) -> str:
    """One shipment of all lines from `place`; `system` is the ERP that has the order. Its id."""
    order = order or new_id("ord")
    total = sum((line.amount * line.price for line in lines), Decimal(0))
    await connection.execute(
        "insert into order_to_ship.sales_order (order_id, tenant, channel, partner, sold_to, external_number,"
        " fingerprint, currency, ship_to, total, placed_at, correlation_id, state, exposure) values ($1, $2, $3, $4,"
        """ $5, $1, '', 'USD', '{"name": "N", "street": "S", "city": "C", "postal_code": "1", "country": "US"}', $6,"""
        " now(), 'c', 'shipped', 0)",
        *(order, tenant, channel, partner, sold_to, total),
    )
    shipment = new_id("shp")
    await connection.execute(
        "insert into order_to_ship.shipment (shipment_id, order_id, sequence, source, event_id, location,"
        " confirmed_at) values ($1, $2, 1, 'wms', 'e', $3, $4)",
        *(shipment, order, place, shipped_at),
    )
    for number, line in enumerate(lines, start=1):
        await connection.execute(
            "insert into order_to_ship.line (order_id, line, item, sku, asked_amount, asked_uom, uom, factor,"
            " unit_price, ordered, open, shipped) values ($1, $2, $3, $4, $5, $6, 'EA', $7, $8, $9, 0, $9)",
            *(order, number, line.item, line.sku, line.amount / line.factor, line.asked_uom, line.factor, line.price),
            line.amount,
        )
        await connection.execute(
            "insert into order_to_ship.shipment_line values ($1, $2, $3, $4, $5)",
            *(new_id("mov"), shipment, number, line.item, line.amount),
        )
    if system is not None:
        await connection.execute(
            "insert into order_to_ship.task (order_id, kind, target, system, state)"
            " values ($1, 'erp_order', 'erp', $2, 'done')",
            *(order, system),
        )
    return order
