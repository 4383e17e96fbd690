"""What the panels show, read from the record. Reads that several viewers ask for at once are made once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from gateway.canonical.events import TAXONOMY, movements_told
from gateway.console.charts import Segment, Sparkline, bar, slots, sparkline, strip
from gateway.console.phrases import TONES, event_tone, lag_tone, sentence, system_condition
from gateway.console.redaction import redacted
from gateway.kernel.clock import Clock
from gateway.kernel.errors import NotFound
from gateway.kernel.ids import first_id_at
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_SLOT_S: Final = 10
_SLOTS: Final = 60
_NEWEST: Final = 20_000
_SEARCHED: Final = 50_000
_RECENT: Final = 5_000
_KEPT_S: Final = 1.0
_MANY: Final = 1_000
_WEBHOOK_DAYS: Final = 7
_UNDER_WAY: Final = ("received", "promised", "backordered", "held", "submitted", "released", "partially_shipped")
STATES: Final = (*_UNDER_WAY, "shipped", "invoiced", "completed", "exception", "cancelled", "rejected")
EVENT_FILTERS: Final = ("order.", "claim.", "stock.", "availability.", *sorted(TAXONOMY))
ORDER_VIEWS: Final = ("all", "troubled", "open", "done")

Row = dict[str, Any]


class Reading:
    """Panels of one tenant. Each method returns what its template needs."""

    def __init__(self, store: Store, clock: Clock, tenant: str) -> None:
        self._store = store
        self._clock = clock
        self._tenant = tenant
        self._shared: dict[tuple[Any, ...], tuple[float, asyncio.Task[Row]]] = {}

    async def anybody(self) -> bool:
        """Whether the bootstrap token has ended: somebody has a password, or administers from the OpenID provider."""
        found: bool = await self._store.fetchval(_sql.anybody)
        return found

    def forget(self) -> None:
        """Read anew: something was just changed from here."""
        self._shared.clear()

    async def headline(self) -> Row:
        """Orders of today, pace of movements, lag of consumers, failures, systems."""
        return await self._once(("headline",), self._headline)

    async def orders(self, view: str, wanted: str | None) -> Row:
        """The order list: `view` is one of ORDER_VIEWS, `wanted` an order id or a customer's number."""
        return await self._once(("orders", view, wanted), lambda: self._orders(view, wanted))

    async def positions(self, search: str | None) -> Row:
        """Stock lines by SKU or name, or those that changed last."""
        return await self._once(("positions", search), lambda: self._positions(search))

    async def events(self, kind: str | None) -> Row:
        """The tail of the log: all, one family (``order.``) or one type."""
        return await self._once(("events", kind), lambda: self._events(kind))

    async def failures(self) -> Row:
        """What waits for a person."""
        return await self._once(("failures",), self._failures)

    async def _once(self, key: tuple[Any, ...], read: Callable[[], Awaitable[Row]]) -> Row:
        """The reading of `key` made within the last second, or a new one that everybody who asks now waits for."""
        now = self._clock.monotonic()
        self._shared = {
            known: (at, task) for known, (at, task) in self._shared.items() if not task.done() or now - at < _KEPT_S
        }
        found = self._shared.get(key)
        if found is None or (found[1].done() and (found[1].cancelled() or found[1].exception() is not None)):
            found = self._shared[key] = (now, asyncio.ensure_future(_as_coroutine(read)))
        return await asyncio.shield(found[1])

    # --- panels -------------------------------------------------------------------------------------------------------

    async def _headline(self) -> Row:
        now = self._clock.now()
        today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        async with self._store.connection() as connection:
            states = await connection.fetch(_sql.orders_by_state, self._tenant, first_id_at("ord", today))
            pace = await connection.fetch(_sql.pace, self._tenant, float(_SLOT_S), _NEWEST, _SLOTS)
            consumers = await connection.fetch(_sql.consumers)
            counts = await connection.fetchrow(_sql.failures_count, self._tenant, self._webhooks_since(now))
            systems = await connection.fetch(_sql.systems, self._tenant)
        by_state = {row["state"]: row["orders"] for row in states}
        return {
            "orders": sum(by_state.values()),
            "by_state": by_state,
            "state_bar": bar([(state, by_state.get(state, 0)) for state in STATES]),
            **_pace(pace, now),
            "consumers": sorted((_lag(row, now) for row in consumers), key=lambda row: -row["seconds"]),
            "counts": dict(counts) if counts is not None else {},
            "many": _MANY,
            "systems": [_condition(row, now) for row in systems],
        }

    async def _orders(self, view: str, wanted: str | None) -> Row:
        rows = await self._store.fetch(_sql.orders, self._tenant, view, wanted, 40)
        now = self._clock.now()
        return {"orders": [_order(row, now) for row in rows], "view": view, "wanted": wanted}

    async def _positions(self, search: str | None) -> Row:
        async with self._store.connection() as connection:
            if search:
                like = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
                keys = await connection.fetch(_sql.found_lines, self._tenant, f"{like}%", f"%{like}%", search, 40)
            else:
                keys = await connection.fetch(_sql.recent_lines, self._tenant, 24, _RECENT)
            columns = [[row[name] for row in keys] for name in ("item", "location", "owner")]
            rows = await connection.fetch(_sql.positions, self._tenant, *columns)
        return {"lines": [_position(row) for row in rows], "search": search}

    async def _events(self, kind: str | None) -> Row:
        rows = await self._store.fetch(_sql.events, self._tenant, kind, 40, _SEARCHED)
        return {"events": [_event(row) for row in rows], "kind": kind, "searched": _SEARCHED}

    async def _failures(self) -> Row:
        since = self._webhooks_since(self._clock.now())
        async with self._store.connection() as connection:
            return {
                "exceptions": [dict(row) for row in await connection.fetch(_sql.exceptions, self._tenant, 20)],
                "letters": [dict(row) for row in await connection.fetch(_sql.letters, self._tenant, 20)],
                "parked": [dict(row) for row in await connection.fetch(_sql.parked, self._tenant, 20)],
                "webhooks": [dict(row) for row in await connection.fetch(_sql.webhooks, self._tenant, since, 20)],
                "counts": dict(await connection.fetchrow(_sql.failures_count, self._tenant, since)),
                "many": _MANY,
                "webhook_days": _WEBHOOK_DAYS,
            }

    def _webhooks_since(self, now: datetime) -> str:
        return first_id_at("msg", now - timedelta(days=_WEBHOOK_DAYS))

    # --- details ------------------------------------------------------------------------------------------------------

    async def order(self, order_id: str) -> Row:
        """One order with all that belongs to it, and its story. Raises `NotFound`."""
        async with self._store.connection() as connection:
            head = await connection.fetchrow(_sql.order_head, self._tenant, order_id)
            if head is None:
                raise NotFound(f"there is no order {order_id}", code="order.not_found")
            lines = await connection.fetch(_sql.order_lines, order_id)
            tasks = await connection.fetch(_sql.order_tasks, order_id)
            shipments = await connection.fetch(_sql.order_shipments, order_id)
            exceptions = await connection.fetch(_sql.order_exceptions, self._tenant, order_id)
            events = await connection.fetch(_sql.order_events, self._tenant, order_id, head["correlation_id"])
        story = [_event(row) for row in events]
        return {
            "order": dict(head),
            "lines": [dict(row) for row in lines],
            "tasks": [dict(row) for row in tasks],
            "shipments": [dict(row) for row in shipments],
            "exceptions": [dict(row) for row in exceptions],
            "story": _with_gaps(story),
            "strip": strip([(each["recorded_at"], each["tone"], each["type"]) for each in story]),
        }

    async def event(self, event_id: int) -> Row:
        """One event with its payload, redacted. Raises `NotFound`."""
        row = await self._store.fetchrow(_sql.event, self._tenant, event_id)
        if row is None:
            raise NotFound(f"event {event_id} is not, or no longer, in the log", code="log.event_not_found")
        return {"event": _event(row), "payload": _payload(row["data"])}

    async def letter(self, letter: int) -> Row:
        """One dead letter with its history and its event's payload, redacted. Raises `NotFound`."""
        row = await self._store.fetchrow(_sql.letter, self._tenant, letter)
        if row is None:
            raise NotFound(f"there is no dead letter {letter}", code="dead_letter.not_found")
        history = msgspec.json.decode(row["history"])
        return {"letter": dict(row), "history": redacted(history), "payload": _payload(row["data"])}

    async def parked(self, parked: int) -> Row:
        """One thing reported that could not be recorded, its payload redacted. Raises `NotFound`."""
        row = await self._store.fetchrow(_sql.parked_one, self._tenant, parked)
        if row is None:
            raise NotFound(f"there is nothing parked under {parked}", code="parked.not_found")
        return {"parked": dict(row), "payload": _payload(row["payload"])}


async def _as_coroutine(read: Callable[[], Awaitable[Row]]) -> Row:
    return await read()


def _pace(rows: Sequence[Mapping[str, Any]], now: datetime) -> Row:
    """Movements a minute, and the line of the last ten minutes as far as it is known whole."""
    newest = int(now.timestamp()) // _SLOT_S - 1  # the slot under way is not over
    counts = {row["slot"]: row["movements"] for row in rows}
    since = rows[0]["since"] if rows else None
    known = newest - _SLOTS + 2
    if since is not None and since.year > 1:
        known = max(known, int(since.timestamp()) // _SLOT_S + 1)
    row = slots(counts, newest=newest, oldest=min(known, newest))
    last_minute = row[-6:]
    line: Sparkline | None = sparkline(row)
    return {"per_minute": round(sum(last_minute) / len(last_minute) * 6), "pace": line, "pace_minutes": len(row) // 6}


def _lag(row: Mapping[str, Any], now: datetime) -> Row:
    oldest = row["oldest_waiting"]
    seconds = 0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0)
    return {"name": row["name"], "moved_at": row["moved_at"], "seconds": seconds, "tone": lag_tone(seconds)}


def _condition(row: Mapping[str, Any], now: datetime) -> Row:
    condition, tone = system_condition(row, now)
    return {**row, "condition": condition, "tone": tone}


def _order(row: Mapping[str, Any], now: datetime) -> Row:
    other = row["ordered"] - row["shipped"] - row["cancelled"] - row["backordered"]
    parts: tuple[Segment, ...] = bar(
        [
            ("shipped", row["shipped"]),
            ("open", other),
            ("backordered", row["backordered"]),
            ("cancelled", row["cancelled"]),
        ]
    )
    trouble = bool(row["exceptions"]) or TONES.get(row["state"]) in ("warn", "bad")
    late = row["due_at"] is not None and now - row["due_at"] > timedelta(minutes=2)
    return {**row, "bar": parts, "trouble": trouble, "late": late}


def _position(row: Mapping[str, Any]) -> Row:
    buckets = _decode(row["buckets"]) if row["buckets"] else {}
    shares = [(name, row[name]) for name in ("available", "reserved", "allocated", "external")]
    return {**row, "buckets": buckets, "bar": bar(shares)}


def _event(row: Mapping[str, Any]) -> Row:
    fields = dict(row)
    data = _decode(fields.pop("data"))
    text = sentence(row["type"], data, fields.get("sku"))
    return {**fields, "sentence": text, "tone": event_tone(row["type"]), "order_id": _order_of(data)}


def _order_of(data: Mapping[str, Any]) -> str | None:
    order = data.get("order")
    return order if isinstance(order, str) and order.startswith("ord_") else None


def _with_gaps(story: Sequence[Row]) -> list[Row]:
    """Each event with the seconds since the one before."""
    befores = [None, *(each["recorded_at"] for each in story)]
    return [
        {**each, "gap": None if before is None else (each["recorded_at"] - before).total_seconds()}
        for each, before in zip(story, befores, strict=False)
    ]


def _payload(data: str | None) -> str | None:
    if data is None:
        return None
    payload = _decode(data)
    if "fields" in payload and "movements" in payload:  # by name, as people read it and as it is redacted
        payload = {"movements": list(movements_told(payload))}
    return msgspec.json.format(msgspec.json.encode(redacted(payload)), indent=2).decode()
