"""Counts in the record what was claimed and moved, and whether it adds up. Imports nothing of ours."""

from __future__ import annotations

from typing import Any

import asyncpg

_COUNTS = {
    "claimed_orders": "select count(distinct order_id) from availability.claim",
    "claims": "select count(*) from availability.claim",
    "pieces_claimed": "select coalesce(sum(amount), 0)::bigint from availability.claim",
    "claim_events": "select count(*) from store.event where type = 'claim.made'",
    "movements": "select count(*) from availability.movement where live",
    "movement_events": """
        select count(*) from store.told
        left join lateral jsonb_array_elements(data -> 'movements') on type = 'stock.movements_recorded'
        where type in ('stock.movement_recorded', 'stock.movements_recorded')""",
    "once": "select count(*) from availability.once where line >= 0",
}
OVERSOLD = """
select coalesce(sum(greatest(0, coalesce(c.open, 0) - p.amount)), 0)::bigint from availability.position p
left join (select tenant, item, location, owner, sum(amount - consumed - released) as open
           from availability.claim group by 1, 2, 3, 4) c using (tenant, item, location, owner)
where p.bucket = 'sellable'
"""
WRONG = {
    "stock lines whose reserved differs from their claims": """
        select count(*) from availability.stock_line l
        left join (select tenant, item, location, owner, sum(amount - consumed - released) as open
                   from availability.claim group by 1, 2, 3, 4) c using (tenant, item, location, owner)
        where l.reserved <> coalesce(c.open, 0)""",
    "channel counters that differ from their claims": """
        select count(*) from availability.channel_line l
        left join (select tenant, item, channel, owner, sum(amount - consumed - released) as open
                   from availability.claim group by 1, 2, 3, 4) c using (tenant, item, channel, owner)
        where l.open <> coalesce(c.open, 0)""",
    "orders that were claimed in part": """
        select count(*) from (select order_id from availability.claim group by 1
                              having count(distinct order_line) <> $1) as partial""",
    "claims without their event": """
        select count(*) from availability.claim where order_id not in (
            select data ->> 'order' from store.event where type = 'claim.made')""",
    "stock lines that differ from their positions": """
        select count(*) from availability.stock_line l
        join (select tenant, item, location, owner, sum(amount) as on_hand
              from availability.position group by 1, 2, 3, 4) p
          using (tenant, item, location, owner) where l.on_hand <> p.on_hand""",
    "stock lines whose version differs from their events": """
        select count(*) from availability.stock_line l
        left join (select tenant, aggregate, count(*) as told from store.told
                   where type = 'availability.changed' group by 1, 2) e
          on e.tenant = l.tenant and e.aggregate = 'stock_line/' || l.owner || '/' || l.item || '/' || l.location
        where l.version <> coalesce(e.told, 0)""",
    "movements admitted and not written": """
        select count(*) from availability.once o where line >= 0 and not exists (
            select from availability.movement m where m.tenant = o.tenant and m.source = o.source
               and m.event_id = o.event_id and m.line = o.line)""",
}


async def tally(url: str) -> dict[str, int]:
    """How much there is."""
    connection = await asyncpg.connect(url)
    try:
        return {name: await connection.fetchval(query) for name, query in _COUNTS.items()}
    finally:
        await connection.close()


async def judge(url: str, lines: int) -> dict[str, Any]:
    """Pieces sold beyond what is there, and what is wrong (empty when nothing is)."""
    connection = await asyncpg.connect(url)
    try:
        found = {
            name: await connection.fetchval(query, *([lines] if "$1" in query else [])) for name, query in WRONG.items()
        }
        return {
            "oversold": await connection.fetchval(OVERSOLD),
            "wrong": {name: number for name, number in found.items() if number},
        }
    finally:
        await connection.close()


async def snapshot(url: str, positions: int) -> dict[str, int]:
    """What is wrong with figures that are to be 100, and 101 where the item's number is divisible by 50."""
    wrong = {
        "positions": "select $1 - count(*) from availability.position",
        "figures that are not those of the snapshot": """
            select count(*) from availability.position
            where amount <> 100 + (substr(item, 5)::bigint % 50 = 0)::int or cut_event <> 'snapshot' or $1 < 0""",
        "drift that was not told": """
            select ceil($1 / 50.0)::int - sum(drifted) from availability.snapshot where figures = $1""",
        "stock lines that differ from their positions": """
            select count(*) from availability.stock_line l
            join availability.position p using (tenant, item, location, owner) where l.on_hand <> p.amount or $1 < 0""",
    }
    connection = await asyncpg.connect(url)
    try:
        found = {name: await connection.fetchval(query, positions) for name, query in wrong.items()}
        return {name: number for name, number in found.items() if number != 0}
    finally:
        await connection.close()


async def durability(url: str) -> dict[str, str]:
    """The settings that say what a commit is worth."""
    connection = await asyncpg.connect(url)
    try:
        names = (
            "fsync",
            "synchronous_commit",
            "full_page_writes",
            "wal_sync_method",
            "shared_buffers",
            "server_version",
        )
        return {name: await connection.fetchval(f"show {name}") for name in names}
    finally:
        await connection.close()
