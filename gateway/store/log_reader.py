"""Reading the event log in delivery order, so that no late commit is ever skipped (`semantics.md` 1).

Ids are given when a row is written, not when it is committed: whoever reads by id misses what commits late. Delivery
order is (log epoch, transaction id, event number), and an event is delivered once every transaction older than its own
has ended (below ``pg_snapshot_xmin``). Two events of one aggregate can stand in the opposite order of their versions,
where the later writer had taken its transaction id before it waited for the aggregate's row. Both become deliverable in
the same instant, and `in_version_order` puts them right within a stretch; across stretches consumers compare versions.
A row may hold several events (`rows.py`): they are read one by one, a place may lie among them.

Retention: nothing here deletes. Whoever prunes `store.event` keeps what is younger than the longest replay window, what
lies after the lowest position in `store.consumer`, and every event with an open dead letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import TAXONOMY, UPCASTS, Position, Recorded, Upcasts
from gateway.kernel.errors import NotFound, Unavailable
from gateway.store.queries import Queries
from gateway.store.rows import Shared, row_of

BEGINNING: Final = Position(0, 0, 0)
sql: Final = Queries(Path(__file__).with_name("queries.sql"))


class Stretch(Struct, frozen=True):
    """Consecutive events of one stream. Everything up to `reached` has been looked at."""

    events: tuple[Recorded, ...]
    reached: Position


class NewerRelease(Unavailable):
    """An event was written by a newer release than this one: leave it to a process of that release."""

    default_code = "log.newer_release"


class LogReader:
    """Reads one installation's log. `upcasts` lift old events to the version that this release knows."""

    def __init__(self, upcasts: Upcasts | None = None) -> None:
        self._upcasts = UPCASTS if upcasts is None else upcasts

    async def read_after(
        self,
        connection: Connection,
        position: Position,
        *,
        stream: str = "main",
        types: frozenset[str] | None = None,
        limit: int = 500,
    ) -> Stretch:
        """Up to `limit` events after `position`, of all types or of some. Not yet deliverable ones are left out."""
        rows, end = await self._rows(connection, position, stream, types, limit)
        found = (each for row in rows for each in self.events_of(row) if each.position > position)
        events = tuple(islice(found, limit))
        return Stretch(events, events[-1].position if len(events) == limit else max(end, position))

    async def rows_after(
        self, connection: Connection, position: Position, *, stream: str = "main", limit: int = 500
    ) -> Sequence[Recorded | Shared]:
        """As they were written, for who carries them and need not understand them: rows after `position`.

        As many as hold `limit` events, and one at least.
        """
        rows, _ = await self._rows(connection, position, stream, None, limit)
        return rows

    async def end(self, connection: Connection, *, stream: str = "main") -> Position:
        """The last place that can be delivered now."""
        row = await connection.fetchrow(sql.end_of_log, stream)
        return BEGINNING if row is None else Position(row["log_epoch"], row["transaction_id"], row["id"])

    async def read_one(self, connection: Connection, event_id: int) -> Recorded:
        """One event by its number; raises `NotFound` when it was pruned."""
        row = await connection.fetchrow(sql.read_event, event_id)
        for recorded in () if row is None else self.events_of(row_of(row)):
            if recorded.position.event == event_id:
                return recorded
        raise NotFound(f"event {event_id} is no longer in the log", code="log.event_not_found")

    async def read_aggregate(
        self, connection: Connection, tenant: str, aggregate: str, *, limit: int = 500
    ) -> Sequence[Recorded]:
        """What happened to one aggregate, oldest first; nobody looks for stock lines so, and no index has them."""
        rows = await connection.fetch(sql.read_aggregate, tenant, aggregate, limit)
        return [each for row in rows for each in self.events_of(row_of(row))]

    async def is_recorded(self, connection: Connection, position: Position, *, stream: str = "main") -> bool:
        """Whether the log holds an event of `stream` at exactly this place."""
        found: bool = await connection.fetchval(
            sql.is_recorded, position.epoch, position.transaction, position.event, stream
        )
        return found

    async def streams(self, connection: Connection) -> frozenset[str]:
        """The streams that have events."""
        return frozenset(row["stream"] for row in await connection.fetch(sql.streams))

    def events_of(self, row: Recorded | Shared) -> Sequence[Recorded]:
        """The events of a row, each as `current` has it."""
        if isinstance(row, Recorded):
            return (self.current(row),)
        _check(row.type, row.version)  # before it is taken apart: a later release may put rows together in another way
        return [self.current(each) for each in row.events()]

    def current(self, recorded: Recorded) -> Recorded:
        """This event as the present release writes it; raises `NewerRelease` when it is from a later one."""
        known = TAXONOMY.get(recorded.event.type)
        if known is None or recorded.version == known.version:
            return recorded
        _check(recorded.event.type, recorded.version)
        data = recorded.event.data
        for version in range(recorded.version, known.version):
            data = self._upcasts[recorded.event.type, version](data)
        event = msgspec.structs.replace(recorded.event, data=data)
        return msgspec.structs.replace(recorded, event=event, version=known.version)

    async def _rows(
        self, connection: Connection, position: Position, stream: str, types: frozenset[str] | None, limit: int
    ) -> tuple[Sequence[Recorded | Shared], Position]:
        """Rows, and where the log ends now: they end there too, or hold `limit` events after `position`."""
        wanted = None if types is None else sorted(types)
        rows = await connection.fetch(
            sql.read_after, stream, position.epoch, position.transaction, position.event, wanted, limit
        )
        return [row_of(row) for row in rows if row["id"] is not None], _end_position(rows[0]) if rows else BEGINNING


def in_version_order(events: Sequence[Recorded]) -> list[Recorded]:
    """`events` with those of one aggregate in the order of their versions, in the places that aggregate has."""
    lines: dict[tuple[str, str], list[Recorded]] = {}
    for recorded in events:
        lines.setdefault((recorded.event.tenant, recorded.event.aggregate), []).append(recorded)
    turns = {
        key: iter(sorted(line, key=lambda recorded: (recorded.position.epoch, recorded.event.aggregate_version)))
        for key, line in lines.items()
    }
    return [next(turns[recorded.event.tenant, recorded.event.aggregate]) for recorded in events]


def _check(kind: str, version: int) -> None:
    known = TAXONOMY.get(kind)
    if known is not None and version > known.version:
        raise NewerRelease(f"{kind} version {version} needs a newer release than this one")


def _end_position(row: Mapping[str, Any]) -> Position:
    return Position(row["end_epoch"], row["end_transaction"], row["end_event"])
