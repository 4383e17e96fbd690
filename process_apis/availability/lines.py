"""Stock lines: locked in one order, refreshed from what they summarise, told to the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection, GathersWrites
from gateway.canonical.events import Alike, Event
from gateway.store import log
from gateway.store.arrays import Element, column_arrays
from gateway.store.queries import queries_beside
from process_apis.availability.models import Effect, LineKey, StockLine

_sql: Final = queries_beside(__file__)
_parts: Final = queries_beside(__file__, "line_queries.sql")
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_ZERO: Final = Decimal(0)


class LineRow(NamedTuple):
    """The row of a stock line, its amounts as text; `as_of` may be text too."""

    item: str
    location: str
    owner: str
    on_hand: str
    sellable: str
    reserved: str
    allocated: str
    external: str
    short: str
    version: int
    as_of: datetime | str

    @property
    def key(self) -> LineKey:
        """The line's key."""
        return LineKey._make(self[:3])

    @property
    def line(self) -> StockLine:
        """The line, its amounts reckoned with."""
        return _line(*self[:8], *self[9:])


_FIGURES: Final = LineRow._fields
_TOLD: Final = (*_FIGURES, "channels?")
_OF_LINE: Final = tuple(name for name in _FIGURES if name != "short")


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
    return (await lock_places(connection, tenant, keys)).awaited


class Places(NamedTuple):
    """Where the rows of locked stock lines are until this transaction updates them; `awaited` as in `lock_lines`.

    `rows` is the literal of an array, in the order of the lines' keys.
    """

    awaited: list[LineKey]
    rows: str


async def lock_places(connection: Connection, tenant: str, keys: Iterable[LineKey]) -> Places:
    """As `lock_lines`, for whoever moves the lines next."""
    ordered = sorted(set(keys))
    if not ordered:
        return Places([], "{}")
    columns = column_arrays(ordered)
    statement, asked = _sql.lock_lines, columns
    if len({(key.location, key.owner) for key in ordered}) == 1:
        statement, asked = _sql.lock_place, [columns[0], ordered[0].location, ordered[0].owner]
    row = await connection.fetchrow(statement, tenant, *asked)
    if row["locked"] < len(ordered):
        await connection.execute(_sql.make_lines, tenant, *columns)
        row = await connection.fetchrow(statement, tenant, *asked)
    return Places([LineKey(*key) for key in row["awaited"] or ()], row["places"])


async def refresh_lines(connection: Connection, tenant: str, changes: Mapping[LineKey, LineChange]) -> Sequence[Any]:
    """Write the promises of locked lines, of which no position changed; returns the rows, with their new version."""
    ordered = sorted(changes)
    if not ordered:
        return ()
    rows = [changes[key] for key in ordered]
    figures = [(row.reserved, row.allocated, row.external, row.as_of) for row in rows]
    return await connection.fetch(_sql.move_promises, tenant, *column_arrays(ordered), *column_arrays(figures))


async def tell_lines(
    connection: Connection,
    tenant: str,
    changes: Mapping[LineKey, LineChange],
    now: datetime,
    cause: Mapping[LineKey, Cause],
    default: Cause,
) -> list[Event]:
    """Write the figures of locked lines and tell the log of those that changed: `availability.changed`.

    The physical figures are read from positions. Returns what is left to tell: `stock.position_negative` of lines where
    a figure fell below zero.
    """
    ordered = sorted(changes)
    if not ordered:
        return []
    arrays = column_arrays([(*key, *_line_values(changes[key], cause.get(key, default))) for key in ordered])
    fallen = await connection.fetch(_READ, tenant, *arrays, now)
    return [_fallen(tenant, row, now) for row in fallen if row["item"] is not None]


class MovedLines(NamedTuple):
    """What is to be written and told of `lines` stock lines that only effects move: arrays of `move_lines`."""

    lines: int
    arrays: Sequence[str]


def moved_lines(
    changes: Mapping[LineKey, LineChange], cause: Mapping[LineKey, Cause], default: Cause, effects: Sequence[Effect]
) -> MovedLines:
    """All that can be reckoned for `tell_moved` before the lines are locked."""
    ordered = sorted(changes)
    if not ordered:
        return MovedLines(0, [])
    numbers: dict[tuple[str, ...], int] = {key: number for number, key in enumerate(ordered, 1)}
    moved = [(*each, numbers[each.item, each.location, each.owner]) for each in sorted(effects)]
    lines = [(numbers[key], *_line_values(changes[key], cause.get(key, default))) for key in ordered]
    arrays = column_arrays(moved) if moved else ["{}"] * (len(Effect._fields) + 1)
    return MovedLines(len(ordered), arrays + column_arrays(lines))


async def tell_moved(
    connection: Connection, tenant: str, moved: MovedLines, places: Places, now: datetime
) -> list[Event]:
    """As `tell_lines`, of lines at `places` whose figures nothing else moved: they are moved here.

    What moved is added to what the lines had.
    """
    if not moved.lines:
        return []
    fallen = await connection.fetch(_MOVE, tenant, *moved.arrays, places.rows, now)
    if fallen[0]["found"] != moved.lines:
        raise AssertionError("a locked stock line is not where its lock found it")
    return [_fallen(tenant, row, now) for row in fallen if row["item"] is not None]


def _telling(count: int, *parts: str) -> str:
    """The statement of these parts that writes and tells; `count` of its parameters are arrays."""
    told = log.appended("availability.changed", _parts.tell_lines, _TOLD, tenant="$1", at=f"${count + 2}")
    return f"with {', '.join([*parts, _parts.write_lines])}, told as ({told})\n{_parts.fallen_lines}"


_READ: Final = _telling(10, _parts.read_lines)
_MOVE: Final = _telling(19, _parts.move_figures, _parts.move_lines)


class Reserved(NamedTuple):
    """So much `more` reserved at a line, whose `row` was read behind its lock; why, and what it tells of channels."""

    row: LineRow
    more: Decimal
    why: str
    channels: list[dict[str, Any]]


def tell_reserved(writes: GathersWrites, tenant: str, reserved: Iterable[Reserved], now: datetime) -> None:
    """Let `writes`, which reserve that much at these lines, tell the log of them: `availability.changed`.

    Nothing is read for it: nobody else changes a row behind the lock.
    """
    told = [_reserved_values(*each) for each in reserved]
    writes.tell_alike(Alike(tenant=tenant, type="availability.changed", occurred_at=now, fields=_TOLD, events=told))


def _reserved_values(row: LineRow, more: Decimal, why: str, channels: list[dict[str, Any]]) -> list[Any]:
    item, location, owner, on_hand, sellable, reserved, allocated, external, short, version, as_of = row
    version += 1
    return [
        _aggregate(item, location, owner), version, why, None, item, location, owner, on_hand, sellable,
        Decimal(reserved) + more, allocated, external, short, version, as_of, channels or None,
    ]  # fmt: skip


def line_of_row(row: Mapping[str, Any]) -> StockLine:
    """A stock line from its row, whose amounts may be text."""
    return _line(*[row[name] for name in _OF_LINE])


def _line(
    item: str,
    location: str,
    owner: str,
    on_hand: Any,
    sellable: Any,
    reserved: Any,
    allocated: Any,
    external: Any,
    version: int,
    as_of: Any,
) -> StockLine:
    return StockLine(
        item=item,
        location=location,
        owner=owner,
        on_hand=Decimal(on_hand),
        sellable=Decimal(sellable),
        reserved=Decimal(reserved),
        allocated=Decimal(allocated),
        external=Decimal(external),
        version=version,
        as_of=as_of,
    )


def line_events(
    tenant: str,
    rows: Sequence[Any],
    now: datetime,
    cause: Mapping[LineKey, Cause],
    default: Cause,
    changes: Mapping[LineKey, LineChange] | None = None,
) -> list[Event]:
    """`availability.changed` for each line whose promises changed."""
    events = []
    for row in rows:
        key = LineKey(row["item"], row["location"], row["owner"])
        why = cause.get(key, default)
        figures = line_figures(row)
        if changes is not None and (channels := changes[key].channels):
            figures["channels"] = channels
        events.append(_event("availability.changed", tenant, row, now, why, figures))
    return events


def line_figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a line as its event and the projection carry them, in base units."""
    return {name: row[name] for name in _FIGURES}


def _event(kind: str, tenant: str, row: Mapping[str, Any], now: datetime, why: Cause, data: dict[str, Any]) -> Event:
    return Event(
        tenant=tenant,
        type=kind,
        aggregate=_aggregate(row["item"], row["location"], row["owner"]),
        aggregate_version=row["version"],
        occurred_at=now,
        data=data,
        correlation_id=why.correlation_id,
        causation_id=why.causation_id,
    )


def _aggregate(item: str, location: str, owner: str) -> str:
    return f"stock_line/{owner}/{item}/{location}"


def _fallen(tenant: str, row: Mapping[str, Any], now: datetime) -> Event:
    data = {name: row[name] for name in ("item", "location", "owner", "lowest")}
    return _event("stock.position_negative", tenant, row, now, Cause(row["correlation_id"], row["causation_id"]), data)


def _line_values(change: LineChange, why: Cause) -> tuple[Element, ...]:
    channels = _encode(change.channels).decode() if change.channels else None
    promises = (change.reserved, change.allocated, change.external)
    return (*promises, change.as_of, why.correlation_id, why.causation_id, channels)
