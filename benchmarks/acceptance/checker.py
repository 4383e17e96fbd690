"""Counts in the record what was accepted, and whether it adds up. Knows the tables and imports nothing of ours."""

from __future__ import annotations

from typing import Any

import asyncpg

_COUNTS = {
    "orders": "select count(*) from order_to_ship.sales_order where state = 'promised'",
    "order_lines": "select count(*) from order_to_ship.line",
    "allocated_lines": "select count(distinct (order_id, line)) from order_to_ship.allocation",
    "claims": "select count(*) from availability.claim where state = 'reserved'",
    "workflows": "select count(*) from dbos.workflow_status where status = 'ENQUEUED'",
    "accepted_events": "select count(*) from store.event where type = 'order.accepted'",
    "claim_events": "select count(*) from store.event where type = 'claim.made'",
    "audited": "select count(*) from store.audit where action = 'order.place'",
    "answers_kept": "select count(*) from idempotency.record where state = 'done' and status = 201",
    "keys": "select count(*) from idempotency.record",
    "answers_kept_by_peer": "select count(*) from peer.idempotency_key where status = 201",
    "keys_of_peer": "select count(*) from peer.idempotency_key",
}
# Each finds what must not be there.
WRONG = {
    "stock lines whose reserved differs from their claims": """
        select count(*) from availability.stock_line l
        left join (select tenant, item, location, owner, sum(open) as open
                   from availability.claim group by 1, 2, 3, 4) c
          using (tenant, item, location, owner)
        where l.reserved <> coalesce(c.open, 0)""",
    "stock lines promised beyond what is there": """
        select count(*) from availability.stock_line where reserved + allocated + external > sellable""",
    "channel counters that differ from their claims": """
        select count(*) from availability.channel_line l
        left join (select tenant, item, channel, owner, sum(open) as open from availability.claim group by 1, 2, 3, 4) c
          using (tenant, item, channel, owner)
        where l.open <> coalesce(c.open, 0)""",
    "order lines whose allocations differ from what was ordered": """
        select count(*) from order_to_ship.line l
        left join (select order_id, line, sum(amount) as amount from order_to_ship.allocation group by 1, 2) a
          using (order_id, line)
        where l.ordered <> coalesce(a.amount, 0)""",
    "allocations without their claim": """
        select count(*) from order_to_ship.allocation a
        left join availability.claim c on c.claim = a.claim and c.order_id = a.order_id and c.order_line = a.line
         and c.amount = a.amount and c.location = a.location
        where c.claim is null""",
    "orders without a workflow of their own": """
        select count(*) from order_to_ship.sales_order o
        left join dbos.workflow_status w on w.workflow_uuid = o.order_id where w.workflow_uuid is null""",
    "orders whose answer was not kept in their own transaction": """
        select count(*) from order_to_ship.sales_order o
        where o.xmin::text not in (select xmin::text from idempotency.record where state = 'done'
                                   union all select xmin::text from peer.idempotency_key where status is not null)""",
    "stock lines whose version differs from their events": """
        select count(*) from availability.stock_line l
        left join (select tenant, aggregate, count(*) as told from store.told
                   where type = 'availability.changed' group by 1, 2) e
          on e.tenant = l.tenant and e.aggregate = 'stock_line/' || l.owner || '/' || l.item || '/' || l.location
        where l.version <> coalesce(e.told, 0)""",
}


_SCANS = """
select schemaname || '.' || relname as name, seq_scan as scans, seq_tup_read as rows from pg_stat_user_tables
where seq_tup_read > 100000 order by seq_tup_read desc limit 5
"""


async def count(url: str) -> dict[str, Any]:
    """The counts, what is wrong (empty when nothing is), and the durability that was in force."""
    connection = await asyncpg.connect(url)
    try:
        counts: dict[str, Any] = {name: await connection.fetchval(query) for name, query in _COUNTS.items()}
        found = {name: await connection.fetchval(query) for name, query in WRONG.items()}
        durable = {
            name: await connection.fetchval(f"show {name}")
            for name in ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "server_version")
        }
        scans = {row["name"]: [row["scans"], row["rows"]] for row in await connection.fetch(_SCANS)}
        return {
            "whole_table_scans": scans,
            "counts": counts,
            "wrong": {name: number for name, number in found.items() if number},
            **durable,
        }
    finally:
        await connection.close()
