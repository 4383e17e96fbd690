"""Stock lines: locked in one order, refreshed from what they summarise, told to the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.store.arrays import column_arrays
from gateway.store.queries import queries_beside
from process_apis.availability.models import LineKey, StockLine

_sql: Final = queries_beside(__file__)
_ZERO: Final = Decimal(0)


class LineChange(Struct):
    """What changes in the promises on one stock line, in base units; its physical figures are read from positions."""

    reserved: Decimal = _ZERO
    allocated: Decimal = _ZERO
    external: Decimal = _ZERO
    as_of: datetime | None = None
    channels: list[dict[str, Any]] = []


class Cause(Struct, frozen=True):
    """Why a line changed, for the log."""

    correlation_id: str
    causation_id: str | None = None


async def lock_lines(connection: Connection, tenant: str, keys: Iterable[LineKey]) -> list[LineKey]:
    """Lock the stock lines, making those that do not exist yet, always in the same order.

    Returns those of them that promises wait at.
    """
    ordered = sorted(set(keys))
    if not ordered:
        return []
    columns = column_arrays(ordered)
    row = await connection.fetchrow(_sql.lock_lines, tenant, *columns)
    if row["locked"] < len(ordered):
        await connection.execute(_sql.make_lines, tenant, *columns)
        row = await connection.fetchrow(_sql.lock_lines, tenant, *columns)
    return [LineKey(*key) for key in row["awaited"] or ()]


async def refresh_lines(
    connection: Connection, tenant: str, changes: Mapping[LineKey, LineChange], *, physical: bool
) -> Sequence[Any]:
    """Write the figures of locked lines; returns the rows that changed, with their new version.

    `physical` says that positions may have changed; only then a line may become short.
    """
    ordered = sorted(changes)
    if not ordered:
        return ()
    rows = [changes[key] for key in ordered]
    statement = _sql.refresh_lines if physical else _sql.move_promises
    figures = [(row.reserved, row.allocated, row.external, row.as_of) for row in rows]
    return await connection.fetch(statement, tenant, *column_arrays(ordered), *column_arrays(figures))


def line_of_row(row: Mapping[str, Any]) -> StockLine:
    """A stock line from its row."""
    return StockLine(
        item=row["item"],
        location=row["location"],
        owner=row["owner"],
        on_hand=row["on_hand"],
        sellable=row["sellable"],
        reserved=row["reserved"],
        allocated=row["allocated"],
        external=row["external"],
        version=row["version"],
        as_of=row["as_of"],
    )


def line_events(
    tenant: str,
    rows: Sequence[Any],
    now: datetime,
    cause: Mapping[LineKey, Cause],
    default: Cause,
    changes: Mapping[LineKey, LineChange] | None = None,
) -> list[Event]:
    """`availability.changed` for each changed line, and `stock.position_negative` where a figure fell below zero."""
    events = []
    for row in rows:
        key = LineKey(row["item"], row["location"], row["owner"])
        why = cause.get(key, default)
        figures = line_figures(row)
        if changes is not None and (channels := changes[key].channels):
            figures["channels"] = channels
        events.append(_event("availability.changed", tenant, row, now, why, figures))
        if row["negative"] and not row["was_negative"]:
            data = {key: row[key] for key in ("item", "location", "owner", "lowest")}
            events.append(_event("stock.position_negative", tenant, row, now, why, data))
    return events


def line_figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a line as its event and the projection carry them, in base units."""
    return {
        "item": row["item"],
        "location": row["location"],
        "owner": row["owner"],
        "on_hand": row["on_hand"],
        "sellable": row["sellable"],
        "reserved": row["reserved"],
        "allocated": row["allocated"],
        "external": row["external"],
        "short": row["short"],
        "version": row["version"],
        "as_of": row["as_of"],
    }


def _event(kind: str, tenant: str, row: Mapping[str, Any], now: datetime, why: Cause, data: dict[str, Any]) -> Event:
    return Event(
        tenant=tenant,
        type=kind,
        aggregate=f"stock_line/{row['owner']}/{row['item']}/{row['location']}",
        aggregate_version=row["version"],
        occurred_at=now,
        data=data,
        correlation_id=why.correlation_id,
        causation_id=why.causation_id,
    )
