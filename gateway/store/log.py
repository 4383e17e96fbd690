"""Appending to the event log, on the connection of the transaction that made the events true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import TAXONOMY, Alike, Event
from gateway.store.arrays import Element, array
from gateway.store.rows import MOST, members_of, members_of_values, shares

APPEND: Final = """
insert into store.event
    (log_epoch, stream, tenant, type, version, occurred_at, aggregate, aggregate_version, correlation_id, causation_id,
     data, events, members)
select (select log_epoch from store.installation), unnest($1::text::text[]), unnest($2::text::text[]),
       unnest($3::text::text[]), unnest($4::text::int[]), unnest($5::text::timestamptz[]), unnest($6::text::text[]),
       unnest($7::text::bigint[]), unnest($8::text::text[]), unnest($9::text::text[]), unnest($10::jsonb[]),
       unnest($11::text::smallint[]), unnest($12::json[])
"""
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_CORRELATION: Final = 2
"""Where `Alike` has it."""


async def append(connection: Connection, events: Sequence[Event]) -> None:
    """Write `events` in order, those that share rows last. Raises KeyError for a type that is not in the taxonomy."""
    if events:
        await connection.execute(APPEND, *columns_of(events))


def appended(kind: str, select: str, fields: Sequence[str], *, tenant: str, at: str) -> str:
    """The part of a statement that appends events of one kind that share rows: those that `select` makes.

    It gives `correlation_id` and `event`, a JSON array as in `Members`, with a value for each of `fields`; `tenant` and
    `at` (when it happened) are SQL expressions. An unknown kind raises KeyError.
    """
    return f"""
insert into store.event
    (log_epoch, stream, tenant, type, version, occurred_at, aggregate, aggregate_version, correlation_id, data, events,
     members)
select (select log_epoch from store.installation), 'main', {tenant}, '{kind}', {TAXONOMY[kind].version},
       {at}::timestamptz, '', 0, min(e.correlation_id), '{{}}', count(*),
       json_build_object('fields', '{_encode(fields).decode()}'::json, 'events', json_agg(e.event))
from (
    select t.*, (row_number() over () - 1) / {MOST} as share
    from ({select}) as t
) as e
group by e.share
"""


def columns_of(events: Sequence[Event], alike: Sequence[Alike] = ()) -> Sequence[Any]:
    """The parameters of `APPEND`."""
    *about, data, count, members = zip(*_rows(events), *_rows_of_values(alike), strict=True)
    # Lists, not literals: every quote of a long text would be escaped on one side and unescaped on the other.
    return [*map(array, about), data, array(count), members]


def _rows(events: Sequence[Event]) -> Iterator[tuple[Element, ...]]:
    sharing = []
    for event in events:
        kind = TAXONOMY[event.type]
        about = (event.aggregate, event.aggregate_version, event.correlation_id, event.causation_id)
        if kind.together:
            sharing.append(event)
        elif kind.bulky:
            yield (*_kind(event), *about, _encode(_lengths(event.data)).decode(), 1, members_of([event]))
        else:
            yield (*_kind(event), *about, _encode(event.data).decode(), None, None)
    for some in shares(sharing):
        first = some[0]
        yield (*_kind(first), "", 0, first.correlation_id, None, "{}", len(some), members_of(some))


def _lengths(data: Mapping[str, Any]) -> dict[str, int]:
    """What can be told of a bulky event without reading it."""
    return {name: len(value) for name, value in data.items() if isinstance(value, (list, tuple))}


def _rows_of_values(alike: Sequence[Alike]) -> Iterator[tuple[Element, ...]]:
    for each in alike:
        for start in range(0, len(each.events), MOST):
            some = each.events[start : start + MOST]
            members = members_of_values(each.fields, some)
            yield (*_kind(each), "", 0, some[0][_CORRELATION], None, "{}", len(some), members)


def _kind(event: Event | Alike) -> tuple[Element, ...]:
    return event.stream, event.tenant, event.type, TAXONOMY[event.type].version, event.occurred_at
