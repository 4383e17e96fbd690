"""Changes of items in one transaction: what sources say, what counts then, codes and events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.canonical.item import Item
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict
from gateway.kernel.ids import new_id
from gateway.reference.ownership import matrix_of
from gateway.reference.statements import keep_statements, statements_of
from gateway.store import log
from gateway.store.queries import queries_beside
from process_apis.items.describing import ATTRIBUTES
from process_apis.items.models import DOMAIN, ITEM_PREFIX, Change, Code, Known, Plan, known_of_row
from process_apis.items.rules import plan, recounted

_sql: Final = queries_beside(__file__)
_PAGE: Final = 500
_MOST_CODES: Final = 100


async def change_items(
    connection: Connection,
    clock: Clock,
    *,
    tenant: str,
    source: str,
    changes: Sequence[Change],
    correlation_id: str,
) -> Plan:
    """Let `source` say `changes`; what cannot hold is refused, the rest is written with events."""
    version = await _locked_catalogue(connection, tenant) + 1
    known = await _known(connection, tenant, source, changes)
    matrix = await matrix_of(connection, tenant, DOMAIN, ATTRIBUTES)
    made = plan(source, changes, known, matrix.attributes, clock.now(), lambda: new_id(ITEM_PREFIX))
    await write(connection, clock, tenant, source, made, version, correlation_id)
    return made


async def recount(connection: Connection, clock: Clock, tenant: str, version: int, correlation_id: str) -> None:
    """Let what counts of every item follow an ownership that changed; raises `Conflict` (``item.sku_taken``)."""
    matrix = await matrix_of(connection, tenant, DOMAIN, ATTRIBUTES)
    after: str | None = None
    while rows := await connection.fetch(_sql.item_page, tenant, after, _PAGE):
        after = rows[-1]["item"]
        known = await _of_ids(connection, tenant, [row["item"] for row in rows])
        wanted = {each.attributes.get("sku") for some in known.said.values() for each in some} - {None}
        known.skus = await _by_sku(connection, tenant, wanted)
        made = recounted(known, matrix.attributes)
        if made.refused:
            raise Conflict(f"{made.refused[0].record}: {made.refused[0].detail}", code=made.refused[0].code)
        await write(connection, clock, tenant, "", made, version, correlation_id)


async def codes_there(connection: Connection, tenant: str, codes: Iterable[Code]) -> dict[Code, str]:
    """The items that these codes mean already."""
    pairs = sorted(set(codes))
    if not pairs:
        return {}
    rows = await connection.fetch(_sql.codes_there, tenant, *map(list, zip(*pairs, strict=True)))
    return {(row["source"], row["code"]): row["item"] for row in rows}


async def _locked_catalogue(connection: Connection, tenant: str) -> int:
    """The catalogue's version, which stays so long as nothing is written: copies look again only for what changed."""
    version: int | None = await connection.fetchval(_sql.lock_catalogue, tenant)
    return version if version is not None else int(await connection.fetchval(_sql.begin_catalogue, tenant))


async def _known(connection: Connection, tenant: str, source: str, changes: Sequence[Change]) -> Known:
    own = [(source, code) for each in changes if (code := each.own or each.sku) is not None]
    codes = await codes_there(connection, tenant, [*own, *(code for each in changes for code in each.codes)])
    skus = await _by_sku(
        connection, tenant, (sku for each in changes for sku in (each.sku, each.attributes.get("sku")))
    )
    ids = {*codes.values(), *skus.values(), *(each.item for each in changes if each.item is not None)}
    found = await _of_ids(connection, tenant, sorted(ids))
    return Known(items=found.items, skus=skus, codes=codes, said=found.said)


async def _by_sku(connection: Connection, tenant: str, skus: Iterable[str | None]) -> dict[str, str]:
    wanted = sorted({sku for sku in skus if sku is not None})
    return {row["sku"]: row["item"] for row in await connection.fetch(_sql.items_by_sku, tenant, wanted)}


async def _of_ids(connection: Connection, tenant: str, ids: Sequence[str]) -> Known:
    if not ids:
        return Known(items={}, skus={}, codes={}, said={})
    rows = await connection.fetch(_sql.items_by_id, tenant, list(ids))
    said = await statements_of(connection, tenant, DOMAIN, ids)
    return Known(items={row["item"]: known_of_row(row) for row in rows}, skus={}, codes={}, said=said)


async def write(
    connection: Connection,
    clock: Clock,
    tenant: str,
    source: str,
    made: Plan,
    version: int,
    correlation_id: str,
    also: frozenset[str] = frozenset(),
) -> None:
    """Write what was planned, with the event of each item that changed; `also`: items that lost a code."""
    now = clock.now()
    described = list(made.described.values())
    touched = sorted({*made.touched, *also} - set(made.described))
    await keep_statements(connection, tenant, DOMAIN, [(item, said) for (item, _), said in made.said.items()])
    if described:
        columns = [_columns(item) for item in described]
        await connection.execute(
            _sql.upsert_items, tenant, *map(list, zip(*columns, strict=True)), source, version, now
        )
        await _date_packs(connection, tenant, described, now)
    if touched:
        await connection.execute(_sql.touch_items, tenant, touched, version, now)
    if made.codes:
        rows = [(name, code, item) for (name, code), item in sorted(made.codes.items())]
        await connection.execute(_sql.upsert_codes, tenant, *map(list, zip(*rows, strict=True)))
    if changed := [item.item for item in described] + touched:
        await connection.execute(_sql.set_catalogue_version, tenant, version)
        rows = await connection.fetch(_sql.versions_of, tenant, changed, _MOST_CODES + 1)
        await log.append(connection, [_event(tenant, row, now, correlation_id) for row in rows])


def _event(tenant: str, row: Any, now: datetime, correlation_id: str) -> Event:
    """`codes` is left out where there are too many to tell: whoever waits for one of them looks again."""
    data = {key: row[key] for key in ("item", "sku", "name", "sellable")}
    if len(row["codes"] or ()) <= _MOST_CODES:
        pairs = zip(row["sources"] or (), row["codes"] or (), strict=True)
        data["codes"] = [{"source": source, "code": code} for source, code in pairs]
    return Event(
        tenant=tenant,
        type="item.changed",
        aggregate=row["item"],
        aggregate_version=row["version"],
        occurred_at=now,
        correlation_id=correlation_id,
        data=data,
    )


def _columns(item: Item) -> tuple[object, ...]:
    price = item.list_price
    amount, currency = (None, None) if price is None else (price.amount, price.currency)
    return (item.item, item.sku, item.name, item.base_uom, item.sellable, amount, currency, item.group)


async def _date_packs(connection: Connection, tenant: str, items: Sequence[Item], now: datetime) -> None:
    """Let other factors hold from now on. A unit that an item never had is taken to have held what it holds."""
    rows = [(item.item, pack.uom, pack.factor) for item in items for pack in item.packs]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]
    await connection.execute(_sql.end_packs, tenant, [item.item for item in items], now, *columns)
    if rows:
        await connection.execute(_sql.begin_packs, tenant, now, *columns)
