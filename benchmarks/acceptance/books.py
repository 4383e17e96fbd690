"""What stands in the record before orders come: items, and stock that never runs out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.acceptance.peer_keys import TABLE
from benchmarks.edge.site import TENANT, prepare
from gateway.engines import EngineUrls

_STOCK = """
insert into items.item
select $1, 'itm_' || lpad(n::text, 26, '0'), 'SKU-' || lpad(n::text, 5, '0'), 'Article ' || n, 'EA', true,
       1 + n % 97, 'USD', 'bench', 1, 1, now()
from generate_series(0, $2::int - 1) as n
on conflict (tenant, sku) do nothing
"""
_POSITIONS = """
insert into availability.position
select $1, 'WH-1', item, 'main', 'sellable', '', 1000000, -1, -1, '', now() from items.item where tenant = $1
"""
_LINES = """
insert into availability.stock_line (tenant, item, location, owner, on_hand, sellable, as_of)
select tenant, item, location, owner, amount, amount, as_of from availability.position
"""


async def open_books(folder: Path, urls: EngineUrls, *, seed: int, items: int, workers: int) -> tuple[Path, list[Any]]:
    """Settings for `workers` processes of either side and partners' credentials, on a fresh record with `items`."""
    settings, _, credentials = await prepare(folder, urls, seed)
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("[http]\n", f"[http]\nworkers = {workers}\n"), encoding="utf-8")
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute("delete from items.item")
    await connection.execute(_STOCK, TENANT, items)
    await connection.execute(_POSITIONS, TENANT)
    await connection.execute(_LINES)
    await connection.execute(TABLE)
    await connection.execute("analyze items.item, availability.position, availability.stock_line")
    await connection.close()
    return settings, credentials


async def analyze(url: str) -> None:
    """As autovacuum does within its minute: plans made while a table was empty read all of it until then."""
    connection = await asyncpg.connect(url)
    await connection.execute("analyze")
    await connection.close()
