"""Counts what became of the orders: in the record by SQL, in the ERP's and the warehouses' own books and logs.

Imports nothing of Crossdock's.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg

_RECORD = """
select count(*) as orders, count(*) filter (where completed_at is not null) as completed,
       extract(epoch from min(placed_at)) as first, extract(epoch from max(completed_at)) as last
from order_to_ship.sales_order
"""
_WRONG = {
    "lines that do not add up, or were not shipped whole": """
        select count(*) from order_to_ship.line
        where shipped <> ordered or over_shipped <> 0 or ordered <> open + backordered + shipped + cancelled""",
    "stock lines whose claims differ": """
        select count(*) from availability.stock_line s left join (
            select tenant, item, location, owner, sum(open) as open from availability.claim group by 1, 2, 3, 4
        ) c using (tenant, item, location, owner)
        where s.reserved + s.allocated <> coalesce(c.open, 0)""",
    "stock lines promised beyond what is there": """
        select count(*) from availability.stock_line where short <> 0 or negative""",
    "open exceptions": "select count(*) from order_to_ship.exception where state = 'open'",
    "dead letters": "select count(*) from store.dead_letter where resolved_at is null",
}


async def progress(url: str) -> tuple[int, int]:
    """Orders in the record, and how many of them are complete."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(_RECORD)
        return row["orders"], row["completed"]
    finally:
        await connection.close()


async def count(url: str, folder: Path, warehouses: list[str], accepted: int) -> dict[str, Any]:
    """`lost`, `duplicated`, `oversold` and what it took; `accepted` is what the load process was answered 201 for."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(_RECORD)
        turns = await connection.fetchval("select count(*) from dbos.workflow_status")
        steps = await connection.fetchval("select count(*) from dbos.operation_outputs")
        wrong = {name: await connection.fetchval(query) for name, query in _WRONG.items()}
        ids = {each[0] for each in await connection.fetch("select order_id from order_to_ship.sales_order")}
        ordered = await connection.fetchval("select sum(ordered) from order_to_ship.line")
    finally:
        await connection.close()
    sold, delivered = _erp(folder / "erp" / "erp.sqlite3")
    worked, shipped = _worked([folder / name / "wms.sqlite3" for name in warehouses])
    calls = _calls([folder / name / "received.jsonl" for name in ("erp", *warehouses)])
    lost = len(ids - sold.keys()) + len(ids - worked.keys()) + max(0, accepted - len(ids))
    return {
        "orders": row["orders"],
        "completed": row["completed"],
        "saga_seconds": float(row["last"] - row["first"]) if row["last"] else None,
        "lost": lost,
        "duplicated": sum(n - 1 for each in (sold, worked) for n in each.values() if n > 1)
        + max(0, len(ids) - accepted),
        "oversold": wrong.pop("stock lines promised beyond what is there"),
        "outside_calls_per_order": round(sum(calls.values()) / max(1, len(ids)), 2),
        "calls": dict(calls),
        "durable_turns_per_order": round(turns / max(1, len(ids)), 2),
        "durable_steps_per_order": round(steps / max(1, len(ids)), 2),
        "units": {"ordered": str(ordered), "shipped": str(shipped), "delivered_in_erp": str(delivered)},
        "wrong": {name: found for name, found in wrong.items() if found},
    }


def _erp(path: Path) -> tuple[Counter[str], int]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as books:
        sold = Counter(
            row[0] for row in books.execute("select external_reference from sales_order where status <> 'CANCELLED'")
        )
        delivered = books.execute("select sum(delivered) from order_line").fetchone()[0]
    return sold, round(delivered or 0)


def _worked(paths: list[Path]) -> tuple[Counter[str], int]:
    worked: Counter[str] = Counter()
    shipped = 0
    for path in paths:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as books:
            worked.update({row[0] for row in books.execute("select client_reference from wms_order")})
            shipped += round(books.execute("select coalesce(sum(shipped), 0) from order_line").fetchone()[0])
    return worked, shipped


def _calls(paths: list[Path]) -> Counter[str]:
    """Requests of the vendors' APIs that are about orders; lists that are polled are not."""
    found: Counter[str] = Counter()
    for path in paths:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                target = entry["target"].partition("?")[0]
                if any(part in target for part in ("/customers/", "/sales-orders", "/orders")):
                    kind = target.rpartition("/")[2] if entry["method"] == "POST" else target.split("/")[3]
                    found[f"{path.parent.name} {entry['method']} {kind}"] += 1
    return found
