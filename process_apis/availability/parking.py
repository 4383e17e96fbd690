"""What cannot be recorded waits here, visible, until its mapping is mended or a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.store.queries import queries_beside
from process_apis.availability.models import Parked

_sql: Final = queries_beside(__file__)
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Codes(NamedTuple):
    """What changed: sources, each with what it calls an item or a location. None: nothing is known of that."""

    items: Sequence[tuple[str, str]] | None = None
    places: Sequence[tuple[str, str]] | None = None


ALL: Final = Codes()
"""Whatever waits."""


def any_of(several: Sequence[Codes]) -> Codes:
    """What waits for any of these."""
    items = [pair for each in several for pair in each.items or ()]
    places = [pair for each in several for pair in each.places or ()]
    return Codes(
        items=None if any(each.items is None for each in several) else items,
        places=None if any(each.places is None for each in several) else places,
    )


def code_columns(codes: Codes) -> tuple[list[str] | None, ...]:
    """Codes as SQL takes them: sources and codes of items, then of locations; null for all that waits.

    A snapshot as a whole names several locations: it is tried with any.
    """
    return (*_columns(codes.items), *_columns(codes.places))


def _columns(pairs: Sequence[tuple[str, str]] | None) -> tuple[list[str] | None, list[str] | None]:
    return (None, None) if pairs is None else ([source for source, _ in pairs], [code for _, code in pairs])


async def park(connection: Connection, tenant: str, parked: Sequence[Parked], now: datetime) -> list[Event]:
    """Keep these, once each; returns the events of those that were not waiting already."""
    if not parked:
        return []
    rows = sorted(
        {(p.source, p.event_id, p.line, p.kind, p.fingerprint): p for p in parked}.items(), key=lambda entry: entry[0]
    )
    columns = zip(*(_row(each) for _, each in rows), strict=True)
    return [_event(tenant, row, now) for row in await connection.fetch(_sql.park, tenant, *map(list, columns))]


def _row(each: Parked) -> tuple[object, ...]:
    refusal = each.refusal
    return (
        each.source,
        each.event_id,
        each.line,
        each.kind,
        each.fingerprint,
        refusal.cause,
        refusal.detail,
        refusal.mendable,
        _encode(each.payload).decode(),
    )


def _event(tenant: str, row: Any, now: datetime) -> Event:
    data = {key: row[key] for key in ("source", "event_id", "line", "kind", "cause", "detail")}
    return Event(
        tenant=tenant,
        type="stock.movement_parked",
        aggregate=f"parked/{row['id']}",
        aggregate_version=1,
        occurred_at=now,
        data=data,
        correlation_id=f"{row['source']}:{row['event_id']}",
        causation_id=row["event_id"],
    )
