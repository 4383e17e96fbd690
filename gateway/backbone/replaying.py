"""Replay: one consumer goes through a stretch of the log once more, up to where it stands.

What a consumer has handled is known exactly: all before its position, but for what it set aside. So a replay drops what
was handled, tries again what was set aside, and handles what a person had closed unhandled. With `again` it handles
all once more, for a consumer whose effects were lost or were wrong: handlers compare versions or say a thing twice.

The process that runs the consumer does it, a batch in a transaction with how far it is: a restart goes on from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from gateway.backbone.dead_letters import request_replay
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Position, Recorded
from gateway.kernel.errors import Conflict, Invalid, NotFound
from gateway.kernel.ids import new_id
from gateway.store.audit import record_audit
from gateway.store.log_reader import BEGINNING, LogReader
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__, "replay_queries.sql")
_BATCH: Final = 100
_MARGIN: Final = timedelta(minutes=1)
_RETRIED: Final = ("dead", "retrying")


class Window(Struct, frozen=True, kw_only=True):
    """Which events: recorded at `from_at` or later and before `to_at`, of these types, about this aggregate."""

    from_at: datetime
    to_at: datetime
    types: frozenset[str] | None = None
    aggregate: str | None = None

    def holds(self, recorded: Recorded, tenant: str) -> bool:
        """Whether this event is meant."""
        event = recorded.event
        return (
            event.tenant == tenant
            and self.from_at <= recorded.recorded_at < self.to_at
            and self.aggregate in (None, event.aggregate)
        )


class Listener(Struct, frozen=True, kw_only=True):
    """A consumer, and what it listens to."""

    name: str
    types: frozenset[str]
    stream: str = "main"


class Planned(Struct, frozen=True, kw_only=True):
    """What a replay would do: events by type, those handled before (dropped without `again`), and the others."""

    by_type: Mapping[str, int]
    seen: int
    unseen: int


async def check(connection: Connection, consumer: str, window: Window, *, now: datetime, keep: timedelta) -> None:
    """Raise what is wrong with a replay before it is asked for."""
    known = [row["name"] for row in await connection.fetch(_sql.consumers)]
    if consumer not in known:
        raise NotFound(f"no consumer {consumer[:60]!r}: known are {', '.join(known) or 'none'}", code="replay.consumer")
    if window.from_at >= window.to_at:
        raise Invalid("a replay goes from an instant to a later one", code="replay.window")
    if window.from_at < now - keep:
        raise Invalid(
            f"a replay reaches back {keep.days} days at most (backbone.replay_days): begin at "
            f"{now - keep:%Y-%m-%dT%H:%M:%SZ} or later",
            code="replay.retention",
        )
    begins = await connection.fetchval(_sql.log_begins)
    if begins is None or window.to_at <= begins:
        raise Invalid("the log does not reach back so far: nothing of that time is kept", code="replay.retention")


async def plan(connection: Connection, tenant: str, listener: Listener, window: Window, reader: LogReader) -> Planned:
    """Count what a replay would meet; changes nothing."""
    counts: Counter[str] = Counter()
    unseen, cursor = 0, await _start(connection, window)
    while True:
        found, cursor, over = await _next(connection, tenant, window, listener, reader, cursor, None)
        letters = await _letters(connection, listener.name, found)
        counts.update(recorded.event.type for recorded in found)
        unseen += sum(_is_unseen(letters.get(recorded.position.event)) for recorded in found)
        if over:
            return Planned(by_type=dict(sorted(counts.items())), seen=counts.total() - unseen, unseen=unseen)


async def ask(
    connection: Connection, tenant: str, consumer: str, window: Window, *, again: bool, actor: str, reason: str
) -> str:
    """Have it done; returns its id. `Conflict` while the consumer is at another one."""
    if not reason.strip():
        raise Invalid("say why: the audit trail keeps it", code="replay.reason")
    start, name = await _start(connection, window), new_id("rpl")
    types = None if window.types is None else sorted(window.types)
    made = await connection.fetchval(
        _sql.insert_replay, name, tenant, consumer, window.from_at, window.to_at, types, window.aggregate, again,
        actor, reason, start.epoch, start.transaction, start.event,
    )  # fmt: skip
    if made is None:
        raise Conflict(f"{consumer} replays already: wait for its end, or cancel it", code="replay.running")
    await _audit(connection, tenant, actor, "replay.asked", name, {"consumer": consumer, "again": again, "why": reason})
    return name


async def cancel(connection: Connection, tenant: str, replay: str, *, actor: str) -> None:
    """Do no more of it; what was handled stays so."""
    if await connection.fetchval(_sql.cancel, tenant, replay) is None:
        raise Conflict(f"no replay {replay[:40]!r} is under way", code="replay.over")
    await _audit(connection, tenant, actor, "replay.cancelled", replay, {})


async def progress(connection: Connection, tenant: str, replay: str) -> Mapping[str, Any]:
    """How far it is; raises `NotFound`."""
    row = await connection.fetchrow(_sql.get_replay, tenant, replay)
    if row is None:
        raise NotFound(f"there is no replay {replay[:40]!r}", code="replay.not_found")
    return dict(row)


# --- for the consumer that runs ---------------------------------------------------------------------------------------

Handle = Callable[[Connection, Recorded], Awaitable[None]]


async def is_asked(connection: Connection, consumer: str) -> bool:
    """Whether `consumer` is at a replay."""
    found: bool = await connection.fetchval(_sql.is_asked, consumer)
    return found


async def go_on(
    connection: Connection,
    listener: Listener,
    upto: Position,
    reader: LogReader,
    handle: Handle,
    *,
    batch: int = _BATCH,
) -> bool:
    """One batch of the replay that `listener` is at, in this transaction; False where there is none.

    Raises what `handle` raises: begin again with a batch of one, then `pass_over` the one that fails.
    """
    row = await connection.fetchrow(_sql.running, listener.name)
    if row is None:
        return False
    window, cursor = _window(row), _cursor(row)
    found, cursor, over = await _next(connection, row["tenant"], window, listener, reader, cursor, upto, limit=batch)
    letters = await _letters(connection, listener.name, found)
    handled = 0
    for recorded in found:
        handled += await _once_more(connection, recorded, letters.get(recorded.position.event), row, handle)
    told = (len(found), handled, len(found) - handled, 0, None, over)
    await connection.execute(_sql.move_replay, row["replay"], cursor.epoch, cursor.transaction, cursor.event, *told)
    return True


async def pass_over(connection: Connection, listener: Listener, upto: Position, reader: LogReader, why: str) -> None:
    """Leave the next event of the replay as failed, with why, and go on behind it."""
    row = await connection.fetchrow(_sql.running, listener.name)
    if row is None:
        return
    found, cursor, over = await _next(
        connection, row["tenant"], _window(row), listener, reader, _cursor(row), upto, limit=1
    )
    told = (len(found), 0, 0, len(found), why[:500], over)
    await connection.execute(_sql.move_replay, row["replay"], cursor.epoch, cursor.transaction, cursor.event, *told)


async def _once_more(connection: Connection, recorded: Recorded, letter: Any, row: Any, handle: Handle) -> bool:
    if letter is not None and letter["state"] != "resolved":
        if letter["state"] in _RETRIED:
            await request_replay(connection, letter["id"], actor=row["asked_by"])
        return True  # and what is parked behind it follows in its order
    if not row["again"] and not _is_unseen(letter):
        return False
    await handle(connection, recorded)
    if letter is not None:
        await connection.execute(_sql.handled_after_all, letter["id"])
    return True


def _is_unseen(letter: Any) -> bool:
    """Set aside and not handled since: open, or closed by a person."""
    return letter is not None and (letter["state"] != "resolved" or letter["resolution"] != "replayed")


async def _next(
    connection: Connection,
    tenant: str,
    window: Window,
    listener: Listener,
    reader: LogReader,
    after: Position,
    upto: Position | None,
    *,
    limit: int = _BATCH,
) -> tuple[list[Recorded], Position, bool]:
    """What of the next `limit` events is meant, where that ends, and whether nothing meant can follow."""
    wanted = listener.types if window.types is None else listener.types & window.types
    stretch = await reader.read_after(connection, after, stream=listener.stream, types=wanted, limit=limit)
    events = [each for each in stretch.events if upto is None or each.position <= upto]
    over = len(events) < limit or events[-1].recorded_at >= window.to_at + _MARGIN
    reached = events[-1].position if events else after
    return [each for each in events if window.holds(each, tenant)], reached, over


async def _start(connection: Connection, window: Window) -> Position:
    row = await connection.fetchrow(_sql.start_of, window.from_at)
    return BEGINNING if row is None else Position(row["log_epoch"], row["transaction_id"], row["id"])


async def _letters(connection: Connection, consumer: str, events: Sequence[Recorded]) -> dict[int, Any]:
    if not events:
        return {}
    rows = await connection.fetch(_sql.letters_of, consumer, [each.position.event for each in events])
    return {row["event_id"]: row for row in rows}


def _window(row: Any) -> Window:
    types = None if row["types"] is None else frozenset(row["types"])
    return Window(from_at=row["from_at"], to_at=row["to_at"], types=types, aggregate=row["aggregate"])


def _cursor(row: Any) -> Position:
    return Position(row["after_epoch"], row["after_transaction"], row["after_event"])


async def _audit(
    connection: Connection, tenant: str, actor: str, action: str, replay: str, detail: Mapping[str, Any]
) -> None:
    await record_audit(
        connection, tenant=tenant, actor=actor, action=action, subject=f"replay/{replay}", outcome="done",
        correlation_id=replay, detail=detail,
    )  # fmt: skip
