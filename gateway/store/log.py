"""Appending to the event log, on the connection of the transaction that made the events true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import TAXONOMY, Event
from gateway.store.arrays import Element, column_arrays

APPEND: Final = """
insert into store.event
    (log_epoch, stream, tenant, type, version, aggregate, aggregate_version, occurred_at, correlation_id, causation_id,
     data)
select (select log_epoch from store.installation), e.*
from unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::int[], $5::text::text[],
            $6::text::bigint[], $7::text::timestamptz[], $8::text::text[], $9::text::text[],
            $10::text::jsonb[]) as e
"""
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


async def append(connection: Connection, events: Sequence[Event]) -> None:
    """Write `events` in order. An unknown type raises KeyError: the taxonomy is the list of what may happen."""
    if events:
        await connection.execute(APPEND, *columns_of(events))


def appended(kind: str, select: str, *, tenant: str, at: str) -> str:
    """The part of a statement that appends events of one kind: those that `select` makes of its other parts.

    It gives aggregate, aggregate_version, correlation_id, causation_id and data; `tenant` and `at` (when it happened)
    are SQL expressions. An unknown kind raises KeyError.
    """
    return f"""
insert into store.event
    (log_epoch, stream, tenant, type, version, occurred_at, aggregate, aggregate_version, correlation_id, causation_id,
     data)
select (select log_epoch from store.installation), 'main', {tenant}, '{kind}', {TAXONOMY[kind].version},
       {at}::timestamptz, e.*
from (
{select}
) as e
"""


def columns_of(events: Sequence[Event]) -> Sequence[str]:
    """The parameters of `APPEND`."""
    return column_arrays(map(_row, events))


def _row(event: Event) -> tuple[Element, ...]:
    return (
        event.stream,
        event.tenant,
        event.type,
        TAXONOMY[event.type].version,
        event.aggregate,
        event.aggregate_version,
        event.occurred_at,
        event.correlation_id,
        event.causation_id,
        _encode(event.data).decode(),
    )
