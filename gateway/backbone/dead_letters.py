"""Events that a consumer set aside: see them, have one replayed, close one with a reason.

A letter holds up the later events of its aggregate for its consumer: they are parked behind it and follow in order once
it is resolved. Every other aggregate goes on. (`docs/decisions/0006-log-delivery.md` says why.)

Nothing is replayed here: a replay is asked for, and the process that runs the consumer does it within a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.backbone.failures import ErrorClass, Failure
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from gateway.kernel.errors import Conflict, Invalid, NotFound
from gateway.store.audit import record_audit
from gateway.store.queries import Queries

_sql: Final = Queries(Path(__file__).with_name("queries.sql"))
_STATES: Final = frozenset({"retrying", "parked", "dead", "resolved"})


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One event set aside by one consumer. `type` and `data` are None once the event was pruned.

    `state`: `retrying` (due at `next_attempt_at`), `parked` (behind an earlier one), `dead` (waits for a person),
    `resolved`. `history` holds up to 20 failed attempts: instant, code and detail.
    """

    id: int
    consumer: str
    event_id: int
    tenant: str
    aggregate: str
    type: str | None
    state: str
    error_class: str
    error_code: str
    detail: str
    fault_domain: str
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    next_attempt_at: datetime | None
    resolved_at: datetime | None
    resolution: str | None
    correlation_id: str | None
    history: Sequence[Mapping[str, Any]]
    data: Mapping[str, Any] | None


async def list_dead_letters(
    connection: Connection,
    *,
    consumer: str | None = None,
    tenant: str | None = None,
    state: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[DeadLetter]:
    """Letters by id, after the id `after`. Without a `state`: all that are not resolved."""
    if state is not None and state not in _STATES:
        raise Invalid(f"{state} is not a state of a dead letter: ask for one of {', '.join(sorted(_STATES))}")
    rows = await connection.fetch(_sql.list_letters, consumer, tenant, state, after, limit)
    return [_letter(row) for row in rows]


async def request_replay(connection: Connection, letter: int, *, actor: str) -> None:
    """Have the consumer try `letter` again at once. Raises `Conflict` when it is resolved or waits behind another."""
    row = await _locked(connection, letter)
    if row["state"] == "parked":
        raise Conflict(
            f"dead letter {letter} waits behind an earlier one of {row['aggregate']}: replay or resolve that one first",
            code="dead_letter.parked",
        )
    await connection.execute(_sql.request_replay, letter)
    await _audit(connection, row, actor, "dead_letter.replay", {})


async def resolve_dead_letter(connection: Connection, letter: int, *, reason: str, actor: str) -> None:
    """Close `letter` without handling its event; what was parked behind it follows. Raises `Conflict` if resolved."""
    if not reason.strip():
        raise Invalid("say why the event need not be handled", code="dead_letter.reason_missing")
    row = await _locked(connection, letter)
    await close_letter(connection, row, reason)
    await _audit(connection, row, actor, "dead_letter.resolve", {"reason": reason})


# --- for the consumer that runs ---------------------------------------------------------------------------------------


async def set_aside(
    connection: Connection, consumer: str, recorded: Recorded, failure: Failure, *, attempts: int
) -> None:
    """Enter a letter for an event that failed; it is tried again later where its error class allows."""
    pause = failure.pause_before_later(0)
    await _enter(connection, consumer, recorded, failure, "dead" if pause is None else "retrying", attempts, pause)


async def park_behind(connection: Connection, consumer: str, events: Sequence[Recorded]) -> list[Recorded]:
    """Park those of `events` whose aggregate is held up by an open letter; returns the others."""
    rows = await connection.fetch(_sql.lines_held_up, consumer, sorted({each.event.aggregate for each in events}))
    held_up = {(row["tenant"], row["aggregate"]) for row in rows}
    behind = Failure(ErrorClass.SEQUENCE, "dead_letter.parked", "waits for an earlier event of its aggregate", "log")
    free = []
    for recorded in events:
        if (recorded.event.tenant, recorded.event.aggregate) in held_up:
            await _enter(connection, consumer, recorded, behind, "parked", 0, None)
        else:
            free.append(recorded)
    return free


async def due_letters(connection: Connection, consumer: str, *, limit: int = 50) -> list[int]:
    """Letters of `consumer` whose next attempt is due, first in line of their aggregate."""
    return [row["id"] for row in await connection.fetch(_sql.due_letters, consumer, limit)]


async def lock_due(connection: Connection, letter: int) -> Any:
    """The row of `letter`, locked, or None when somebody resolved it meanwhile."""
    row = await connection.fetchrow(_sql.lock_letter, letter)
    return row if row is not None and row["state"] == "retrying" else None


def as_edited(recorded: Recorded, row: Any) -> Recorded:
    """The event of a letter as its consumer is to see it: with the data that a person put in its place, if any."""
    if row["edited"] is None:
        return recorded
    data = msgspec.json.decode(row["edited"], type=dict[str, Any])
    return msgspec.structs.replace(recorded, event=msgspec.structs.replace(recorded.event, data=data))


async def close_letter(connection: Connection, row: Any, resolution: str) -> None:
    """Resolve a locked letter and let the next in its line go."""
    await connection.execute(_sql.resolve_letter, row["id"], resolution)
    await connection.execute(_sql.release_next, row["consumer"], row["tenant"], row["aggregate"])


async def fail_letter(connection: Connection, letter: int, failure: Failure, *, failed: int) -> None:
    """Note another failed attempt of a letter whose history held `failed` of them."""
    pause = failure.pause_before_later(failed)
    state = "dead" if pause is None else "retrying"
    await connection.execute(
        _sql.fail_letter,
        letter,
        state,
        failure.error_class.value,
        failure.code,
        failure.detail,
        failure.fault_domain,
        pause,
    )


async def _enter(
    connection: Connection,
    consumer: str,
    recorded: Recorded,
    failure: Failure,
    state: str,
    attempts: int,
    pause: float | None,
) -> None:
    await connection.execute(
        _sql.set_aside,
        consumer,
        recorded.position.event,
        recorded.position.epoch,
        recorded.position.transaction,
        recorded.event.tenant,
        recorded.event.aggregate,
        state,
        failure.error_class.value,
        failure.code,
        failure.detail,
        failure.fault_domain,
        attempts,
        pause,
    )


async def _locked(connection: Connection, letter: int) -> Any:
    row = await connection.fetchrow(_sql.lock_letter, letter)
    if row is None:
        raise NotFound(f"there is no dead letter {letter}", code="dead_letter.not_found")
    if row["state"] == "resolved":
        raise Conflict(f"dead letter {letter} is resolved already", code="dead_letter.resolved")
    return row


async def _audit(connection: Connection, row: Any, actor: str, action: str, detail: Mapping[str, Any]) -> None:
    await record_audit(
        connection,
        tenant=row["tenant"],
        actor=actor,
        action=action,
        subject=f"dead_letter/{row['id']}",
        outcome="done",
        correlation_id=f"event/{row['event_id']}",
        detail={**detail, "consumer": row["consumer"], "aggregate": row["aggregate"]},
    )


def _letter(row: Mapping[str, Any]) -> DeadLetter:
    fields = dict(row)
    fields["history"] = msgspec.json.decode(row["history"])
    fields["data"] = None if row["data"] is None else msgspec.json.decode(row["data"])
    return DeadLetter(**fields)
