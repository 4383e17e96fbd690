"""Ours: the gateway as `crossdock up` starts it; a promise is ``POST /process/availability/v1/claims``."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.acceptance.sides import ours_serving
from benchmarks.beside.sides import PLENTY, PROMISED, Want, one_of, sku_of
from benchmarks.beside.wire import Line
from benchmarks.edge.site import TENANT, prepare, tokens_of
from gateway.app import administer
from gateway.engines import EngineUrls
from gateway.identity.clients import add_client
from gateway.identity.grants import ClientKind
from gateway.settings import load_settings

_ITEMS = """
insert into items.item
select $1, 'itm_' || translate(lower(sku), '-', '_'), sku, 'Article ' || sku, 'EA', true, 100, 'USD', 'bench', 1, 1,
       now()
from unnest($2::text[]) as sku
"""
_POSITIONS = """
insert into availability.position
select tenant, 'WH-1', item, 'main', 'sellable', '', case when sku like 'ONE-%' then 1 else $2 end, -1, -1, '', now()
from items.item where tenant = $1
"""
_LINES = """
insert into availability.stock_line (tenant, item, location, owner, on_hand, sellable, as_of)
select tenant, item, location, owner, amount, amount, as_of from availability.position
"""


def _item_of(sku: str) -> str:
    return f"itm_{sku.lower().replace('-', '_')}"


class Crossdock:
    """Two gateway workers behind one port."""

    name = "crossdock"
    refusals: frozenset[str] = frozenset({"stock.insufficient"})
    busy: frozenset[str] = frozenset()

    def __init__(self, url: str, port: int, token: str, clients: int, workers: int) -> None:
        self.url = url
        self.about = f"gateway with {workers} workers; all lines or none, one POST each"
        self._token = token
        self._lines = [Line(port) for _ in range(clients)]

    async def prepare(self, orders: Sequence[Want], *, race: bool = False) -> list[Any]:  # noqa: ARG002 - one step
        """The requests."""
        made = []
        for want in orders:
            name = secrets.token_hex(12)
            lines = [
                {"line": number, "item": _item_of(sku), "amount": str(amount)}
                for number, (sku, amount) in enumerate(want, 1)
            ]
            made.append({"action": name, "order": name, "channel": "web", "lines": lines})
        return made

    async def claim(self, lane: int, prepared: Any) -> str:
        """Reserve."""
        status, _, answer = await self._lines[lane].post(
            "/process/availability/v1/claims", prepared, Authorization=f"Bearer {self._token}"
        )
        return PROMISED if status == 201 else str(answer.get("code", status) if isinstance(answer, dict) else status)

    def close(self) -> None:
        """Hang up."""
        for line in self._lines:
            line.close()


@asynccontextmanager
async def crossdock(folder: Path, urls: EngineUrls, given: Any) -> AsyncIterator[Crossdock]:
    """In the engines' own database."""
    settings, _, _ = await prepare(folder, urls, given.seed)
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("[http]\n", f"[http]\nworkers = {given.processes}\n"), encoding="utf-8")
    await _stock(urls.postgres, given)

    async def add(connection: Any, ring: Any) -> Any:
        return await add_client(
            connection, ring, tenant=TENANT, name="Shop", kind=ClientKind.APPLICATION, scopes=["claims:write"]
        )

    credentials = await administer(load_settings(settings), add)
    with ours_serving(settings) as (port, _):
        [token] = tokens_of(port, [credentials], 1)
        side = Crossdock(urls.postgres, port, token, max(given.clients, given.buyers), given.processes)
        yield side
        side.close()


async def _stock(url: str, given: Any) -> None:
    skus = [*(sku_of(number) for number in range(given.items)), *(one_of(number) for number in range(given.rounds))]
    connection = await asyncpg.connect(url)
    await connection.execute("delete from items.item")
    await connection.execute(_ITEMS, TENANT, skus)
    await connection.execute(_POSITIONS, TENANT, PLENTY)
    await connection.execute(_LINES)
    await connection.execute("vacuum analyze")
    await connection.close()
