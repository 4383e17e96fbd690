"""Goods come in, or supply changes: promises that wait are given what is free, and told when the rest is expected.

Runs in the transaction of whoever holds the stock lines, before the figures of the lines are told, so that nobody can
take the goods in between. A promise on supply is changed under its line's lock alone; its events are the claim's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.kernel.clock import Clock
from gateway.kernel.ids import new_id
from gateway.store.queries import queries_beside
from process_apis.availability.foreseeing import Ahead, Calendar, look_ahead
from process_apis.availability.fulfilling import move_waiting, note_channels
from process_apis.availability.lines import Cause, LineChange, line_events, refresh_lines
from process_apis.availability.models import LineKey
from process_apis.availability.promising_dates import Waiting, serve

_supply: Final = queries_beside(__file__, "supply_queries.sql")
_ZERO: Final = Decimal(0)


class _Part(Struct, frozen=True):
    """What one promise is given: `part` is the id of the claim that it becomes, None when it is the whole promise."""

    row: Any
    amount: Decimal
    part: str | None


class Arrivals:
    """Attends to promises that wait at stock lines."""

    def __init__(self, calendar: Calendar, clock: Clock) -> None:
        self._calendar = calendar
        self._clock = clock

    async def attend_alone(
        self, connection: Connection, tenant: str, awaited: Sequence[LineKey], cause: Cause
    ) -> list[Event]:
        """`attend` for whoever changes nothing else of these lines, and writes their figures."""
        if not awaited:
            return []
        changes: dict[LineKey, LineChange] = {}
        events = await self.attend(connection, tenant, awaited, changes)
        rows = await refresh_lines(connection, tenant, changes)
        return line_events(tenant, rows, self._clock.now(), {}, cause, changes) + events

    async def attend(
        self, connection: Connection, tenant: str, awaited: Sequence[LineKey], changes: dict[LineKey, LineChange]
    ) -> list[Event]:
        """Give what is free at `awaited`, which are locked, to promises there; say when the rest will be covered.

        The effect on stock lines is added to `changes`, which has what the caller did and has not written yet.
        """
        if not awaited:
            return []
        columns = [list(column) for column in zip(*sorted(awaited), strict=True)]
        rows: dict[LineKey, list[Any]] = defaultdict(list)
        for row in await connection.fetch(_supply.waiting_at, tenant, *columns):
            rows[LineKey(row["item"], row["location"], row["owner"])].append(row)
        if not rows:
            return []
        lines = {
            LineKey(row["item"], row["location"], row["owner"]): (row["free"], row["arrived"])
            for row in await connection.fetch(_supply.free_at, tenant, *columns)
        }
        ahead = await look_ahead(connection, tenant, sorted({key.item for key in rows}))
        parts: list[_Part] = []
        dated: list[tuple[Any, date | None]] = []
        for key, waiting in sorted(rows.items()):
            change = changes.get(key, LineChange())
            free, arrived = lines[key]
            left = free - change.reserved - change.allocated - change.external
            given, expected = self._decide(tenant, key, waiting, ahead, left, arrived)
            parts += given
            dated += expected
        events = await self._take_in(connection, tenant, parts, changes)
        return events + await self._redate(connection, tenant, dated, {each.row["claim"] for each in parts})

    def _decide(
        self, tenant: str, key: LineKey, rows: Sequence[Any], ahead: Ahead, free: Decimal, arrived: Decimal
    ) -> tuple[list[_Part], list[tuple[Any, date | None]]]:
        arrivals = ahead.arrivals(key, self._calendar.today(tenant, key.location))
        by_claim = {row["claim"]: row for row in rows}
        waiting = [Waiting(row["claim"], row["open"], row["due"], row["priority"], row["need_by"]) for row in rows]
        given, dates = serve(waiting, arrivals, free, arrived)
        parts = [
            _Part(by_claim[claim], amount, new_id("clm") if amount < by_claim[claim]["open"] else None)
            for claim, amount in given.items()
        ]
        return parts, [(by_claim[claim], on) for claim, on in dates.items() if on != by_claim[claim]["expected"]]

    async def _take_in(
        self, connection: Connection, tenant: str, parts: Sequence[_Part], changes: dict[LineKey, LineChange]
    ) -> list[Event]:
        if not parts:
            return []
        now = self._clock.now()
        rows = [(each.row["claim"], each.part, each.amount, each.row["told"] + 1) for each in parts]
        split = [(each.row["claim"], each.part, each.amount) for each in parts if each.part is not None]
        if split:
            await connection.execute(_supply.insert_parts, tenant, *map(list, zip(*split, strict=True)), now)
        await connection.execute(_supply.take_in, tenant, *map(list, zip(*rows, strict=True)))
        counters: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        for each in parts:
            change = changes.setdefault(_key(each.row), LineChange())
            if each.row["expires_at"] is None:
                change.allocated += each.amount
            else:
                change.reserved += each.amount
            counters[each.row["item"], each.row["channel"], each.row["owner"]] += each.amount
        await move_waiting(connection, tenant, ((_key(each.row), -each.amount) for each in parts))
        columns = zip(*((*counter, amount) for counter, amount in sorted(counters.items())), strict=True)
        note_channels(changes, await connection.fetch(_supply.count_in, tenant, *map(list, columns)))
        return [event for each in parts for event in _supplied(tenant, each, now)]

    async def _redate(
        self, connection: Connection, tenant: str, dated: Sequence[tuple[Any, date | None]], supplied: set[str]
    ) -> list[Event]:
        if not dated:
            return []
        now = self._clock.now()
        rows, events = [], []
        for row, expected in dated:
            told = row["told"] + 1 + (row["claim"] in supplied)
            rows.append((row["claim"], expected, told))
            late = expected is None or (row["due"] is not None and expected > row["due"])
            data = {"due": row["due"], "expected": expected, "late": late}
            events.append(_event("claim.redated", tenant, row, told, now, data))
        await connection.execute(_supply.redate, tenant, *map(list, zip(*rows, strict=True)))
        return events


def _supplied(tenant: str, each: _Part, now: datetime) -> list[Event]:
    row, state = each.row, "allocated" if each.row["expires_at"] is None else "reserved"
    held = {"supplied": each.part or row["claim"], "amount": each.amount, "state": state}
    events = [_event("claim.supplied", tenant, row, row["told"] + 1, now, held)]
    if each.part is not None:
        data = {
            "order": row["order_id"],
            "reason": "supplied",
            "claims": [
                {
                    "claim": each.part,
                    "line": row["order_line"],
                    "item": row["item"],
                    "location": row["location"],
                    "amount": each.amount,
                    "state": state,
                }
            ],
        }
        events.append(
            Event(
                tenant=tenant,
                type="claim.made",
                aggregate=f"claim/{each.part}",
                aggregate_version=1,
                occurred_at=now,
                correlation_id=row["order_id"],
                data=data,
            )
        )
    return events


def _event(kind: str, tenant: str, row: Any, version: int, now: datetime, data: Mapping[str, Any]) -> Event:
    return Event(
        tenant=tenant,
        type=kind,
        aggregate=f"claim/{row['claim']}",
        aggregate_version=version,
        occurred_at=now,
        correlation_id=row["order_id"],
        data={
            "order": row["order_id"],
            "claim": row["claim"],
            "line": row["order_line"],
            "item": row["item"],
            "location": row["location"],
            **data,
        },
    )


def _key(row: Any) -> LineKey:
    return LineKey(row["item"], row["location"], row["owner"])
