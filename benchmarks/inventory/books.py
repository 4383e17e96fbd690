"""What stands in the record before anything is measured, written by SQL: items with two sources' codes, and stock."""

from __future__ import annotations

from typing import Final

import asyncpg

TENANT: Final = "bench"
SOURCE: Final = "wms"
PLACE: Final = "WH-1"
_ITEMS = """
insert into items.item
select $1, 'itm_' || lpad(n::text, 26, '0'), 'SKU-' || lpad(n::text, 7, '0'), 'Article ' || n, 'EA', true,
       1 + n % 97, 'USD', 'bench', 1, 1, now()
from generate_series(0, $2::int - 1) as n
"""
_CODES = "insert into items.cross_reference select tenant, $2, 'X' || sku, item from items.item where tenant = $1"
_POSITIONS = """
insert into availability.position
select tenant, $2, item, 'main', 'sellable', '', $3, -1, -1, '', now() from items.item where tenant = $1
"""
_LINES = """
insert into availability.stock_line (tenant, item, location, owner, on_hand, sellable, as_of)
select tenant, item, location, owner, amount, amount, as_of from availability.position
"""
_EMPTY = """
truncate availability.claim, availability.claim_order, availability.channel_line, availability.action,
    availability.position, availability.stock_line, availability.movement, availability.once, availability.settlement,
    availability.progress, availability.figure, availability.full_snapshot, availability.full_cut,
    availability.snapshot, availability.parted_snapshot, availability.snapshot_part, store.event
"""
_FILLED = """
select string_agg(format('%I.%I', schemaname, relname), ', ') from pg_stat_user_tables
where pg_relation_size(relid) > 0
"""  # no autovacuum looks at a table that was never filled: nothing is planned as if it stayed empty


def item_of(number: int) -> str:
    """The id of item `number`."""
    return f"itm_{number:026d}"


def code_of(number: int) -> str:
    """What the warehouse calls item `number`."""
    return f"XSKU-{number:07d}"


async def write_items(url: str, items: int) -> None:
    """Items, once, in the place of those that `prepare` wrote."""
    connection = await asyncpg.connect(url)
    await connection.execute("delete from items.cross_reference where tenant = $1", TENANT)
    await connection.execute("delete from items.item")
    await connection.execute(_ITEMS, TENANT, items)
    await connection.execute("vacuum analyze items.item")  # or each code looks for its item among all of them
    await connection.execute(_CODES, TENANT, SOURCE)
    await connection.close()


async def stock(url: str, each: int) -> None:
    """Empty books with `each` pieces of every item, the statistics that autovacuum would have within its minute."""
    connection = await asyncpg.connect(url)
    await connection.execute(_EMPTY)
    await connection.execute(_POSITIONS, TENANT, PLACE, each)
    await connection.execute(_LINES)
    await connection.execute(f"vacuum analyze {await connection.fetchval(_FILLED)}")
    await connection.execute("checkpoint")
    await connection.close()
