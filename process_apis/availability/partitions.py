"""The spans that movements and figures lie in, by the time they were recorded at: made ahead, dropped when through.

A new span is a month or a quarter long, so that a reading by key never has to look into many. Those who record never
wait for one: a span is made a month before it begins, and attaching it keeps nobody out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.kernel.errors import Unavailable
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__, "history_queries.sql")
TABLES: Final = ("movement", "figure")
_AHEAD: Final = timedelta(days=32)
_BY_MONTH: Final = timedelta(days=130)
"""History of up to so long is kept in months, a longer one in quarters."""
_UNTIL: Final = {
    "movement": """
        select exists (
            select from availability.{} m left join availability.history h on h.tenant = m.tenant
            where m.moves and (m.live or m.retired_at >= $1) or h.since is null or h.since < $1
               or h.after_item is not null)
    """,
    "figure": "select exists (select from availability.{}) and $1::timestamptz is not null",
}
"""Whether something of a span that ends at $1 counts still."""
_BOUND: Final = re.compile(r"FROM \((?:MINVALUE|'(?P<begin>[^']+)')\) TO \('(?P<end>[^']+)'\)")
_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)


class Span(Struct, frozen=True, kw_only=True):
    """One partition of `table`: what was recorded from `begin` on (None: what is condensed) and before `end`."""

    table: str
    name: str
    begin: datetime | None
    end: datetime
    rows: int
    bytes: int


def span_end(begin: datetime, keep: timedelta) -> datetime:
    """Where the span ends that begins then: with its month, or its quarter, in UTC."""
    months = 1 if keep <= _BY_MONTH else 3
    month = begin.year * 12 + (begin.month - 1) // months * months + months
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)


async def spans(connection: Connection | Store) -> Sequence[Span]:
    """All of them, by table and time; `rows` as the record estimates them."""
    return [_span(*row) for row in await connection.fetch(_sql.spans, list(TABLES))]


def _span(table: str, name: str, bound: str, rows: int, size: int) -> Span:
    found = _BOUND.fullmatch(bound.removeprefix("FOR VALUES "))
    if found is None:
        raise AssertionError(bound)  # we made it
    begin = None if found["begin"] is None else _instant(found["begin"])
    return Span(table=table, name=name, begin=begin, end=_instant(found["end"]), rows=rows, bytes=size)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


async def make_ahead(store: Store, now: datetime, keep: timedelta) -> int:
    """Make every span that begins within a month; returns how many. Any number of processes may try at once."""
    made = 0
    for table in TABLES:
        while True:
            async with store.transaction() as connection:
                await connection.execute(_sql.lock_spans)
                last = max(each.end for each in await spans(connection) if each.table == table)
                if last > now + _AHEAD:
                    break
                await connection.execute(_attach(table, last, span_end(last, keep)))
                made += 1
    return made


def lacks_span(error: asyncpg.CheckViolationError) -> bool:
    """Whether something could not be recorded because nobody made the span of now: no worker ran for a month."""
    return error.schema_name == "availability" and error.table_name in TABLES and error.constraint_name is None


async def last_end(store: Store, before: datetime) -> datetime | None:
    """The latest instant at which a span ends that lies wholly before `before`."""
    return max((each.end for each in await spans(store) if each.begin is not None and each.end <= before), default=None)


async def drop_through(store: Store, now: datetime) -> int:
    """Drop the spans of which nothing counts any more, for any tenant; returns how many.

    Nobody waits for it longer than a moment: a span that is being read is left to the next turn.
    """
    dropped = 0
    for each in await spans(store):
        if each.begin is None or each.end > now or await store.fetchval(_UNTIL[each.table].format(each.name), each.end):
            continue
        with suppress(Unavailable):
            async with store.transaction() as connection:
                await connection.execute("set local lock_timeout = '1s'")
                await connection.execute(f"drop table if exists availability.{each.name}")
            dropped += 1
    return dropped


def _attach(table: str, begin: datetime, end: datetime) -> str:
    name = f"availability.{table}_{begin:%Y_%m}"
    return (
        f"create table {name} (like availability.{table}_carried including all);"
        f" alter table availability.{table} attach partition {name}"
        f" for values from ('{begin.isoformat()}') to ('{end.isoformat()}')"
    )
