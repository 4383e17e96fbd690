"""What the books say of a story's article and subject: ours, and those of the systems it passed."""

from __future__ import annotations

from collections import Counter

_LINES = """
select location, on_hand, sellable, reserved, allocated, external, waiting, short from availability.stock_line
where item = $1 order by location
"""
_CLAIMS = """
select state, location, amount, consumed, released from availability.claim where item = $1 order by 1, 2, 3, 4, 5
"""
_TASKS = "select kind, state, look from stock_operations.task where subject = $1"
_MOVEMENTS = """
select source, type, location, amount, from_bucket, to_bucket from availability.movement
where item = $1 and live order by recorded_at, source, type, location, amount
"""
_LEFT = """
select (select count(*) from store.dead_letter where resolved_at is null) as letters,
       (select count(*) from availability.parked where resolved_at is null) as parked
"""


async def books_of(site, article, subject):
    """Everything that must be the same however often something failed on the way; without ids and times."""
    found = {name: [tuple(row) for row in await site.sql(query, article.item)] for name, query in (
        ("lines", _LINES), ("claims", _CLAIMS))}  # fmt: skip
    found["movements"] = Counter(tuple(row) for row in await site.sql(_MOVEMENTS, article.item))
    found["tasks"] = [tuple(row) for row in await site.sql(_TASKS, subject)]
    found["events"] = await _events(site, subject)
    found["left"] = [tuple(row) for row in await site.sql(_LEFT)]
    for name, sandbox in site.sandboxes.items():
        found[name] = await _warehouse(sandbox, article, subject)
    return found


# What is not said when news came first: goods that have moved were accepted.
_OVERTAKEN = {"stock.status.accepted"}


async def _events(site, subject):
    rows = await site.sql("select type from store.event where data::text like '%' || $1 || '%'", subject)
    return Counter(row["type"] for row in rows if row["type"] not in _OVERTAKEN)


async def _warehouse(sandbox, article, subject):
    orders = [order for order in (await sandbox.look("orders"))["orders"] if order["client_reference"] == subject]
    stock = [
        (line["state"], line["quantity"])
        for line in (await sandbox.look("stock"))["lines"]
        if line["item_code"] == article.code
    ]
    lines = [[(line["line_number"], line["ordered"], line["shipped"]) for line in order["lines"]] for order in orders]
    return [order["status"] for order in orders], lines, sorted(stock)
