"""Counts in each one's own database what was promised. Imports nothing of anybody; prints nothing of its own account.

``orders``: how many have every line promised. ``sold``: of each article of one piece, what is at hand and what is
promised, from the rows of the promises (Vendure: the lines of paid orders); ``counted`` is what the counter that is
kept beside them says, where there is one.
"""

from __future__ import annotations

from typing import Any

import asyncpg

ORDERS = {
    "crossdock": "select count(distinct order_id) from availability.claim where open > 0",
    "tryton": "select count(*) from stock_shipment_out where state = 'assigned'",
    "vendure": """select count(*) from "order" where state in ('PaymentAuthorized', 'PaymentSettled')""",
}
SOLD = {
    "crossdock": """
        select i.sku, p.amount as at_hand, coalesce(sum(c.open), 0) as sold, l.reserved as counted
        from items.item i
        join availability.position p on p.tenant = i.tenant and p.item = i.item and p.bucket = 'sellable'
        join availability.stock_line l on l.tenant = i.tenant and l.item = i.item
        left join availability.claim c on c.tenant = i.tenant and c.item = i.item and c.open > 0
        where i.sku like 'ONE-%' group by i.sku, p.amount, l.reserved""",
    "tryton": """
        select p.code as sku,
               coalesce(sum(case when m.to_location = w.storage_location then m.quantity
                                 when m.from_location = w.storage_location then -m.quantity end)
                        filter (where m.state = 'done'), 0) as at_hand,
               coalesce(sum(m.quantity)
                        filter (where m.state = 'assigned' and m.from_location = w.storage_location), 0) as sold,
               null::numeric as counted
        from product_product p cross join stock_location w left join stock_move m on m.product = p.id
        where p.code like 'ONE-%' and w.type = 'warehouse' and w.code = 'WH-N' group by 1""",
    "vendure": """
        select v.sku, l.at_hand, coalesce(sum(o.quantity) filter (where p.id is not null), 0) as sold, l.counted
        from product_variant v
        join (select "productVariantId" as variant, sum("stockOnHand") as at_hand, sum("stockAllocated") as counted
              from stock_level group by 1) l on l.variant = v.id
        left join order_line o on o."productVariantId" = v.id
        left join "order" p on p.id = o."orderId" and p.state in ('PaymentAuthorized', 'PaymentSettled')
        where v.sku like 'ONE-%' group by v.sku, l.at_hand, l.counted""",
}


async def orders(side: str, url: str) -> int:
    """Orders that have all their lines promised."""
    return int((await _rows(url, ORDERS[side]))[0][0])


async def sold(side: str, url: str) -> dict[str, Any]:
    """How many pieces of the articles of one piece are promised, and of how many articles more than there are."""
    rows = await _rows(url, SOLD[side])
    if any(row["at_hand"] != 1 for row in rows):
        raise SystemExit(f"{side}: an article of one piece has not one piece at hand")
    return {
        "rounds": len(rows),
        "sold": int(sum(row["sold"] for row in rows)),
        "oversold_rounds": sum(row["sold"] > row["at_hand"] for row in rows),
        "unsold_rounds": sum(row["sold"] < row["at_hand"] for row in rows),
        "counted": None if any(row["counted"] is None for row in rows) else int(sum(row["counted"] for row in rows)),
    }


async def _rows(url: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()
