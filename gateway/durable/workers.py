"""Who works: the slots that live workers hold, what each of them runs, and which turns nobody runs.

A worker stands aside while one of a later shape lives, or when it is asked to drain: it does nothing on behalf of all
any more and goes on with the turns of its own shape.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.durable.shapes import Shape
from gateway.durable.slots import SLOT_CLASS, executor_of, number_of
from gateway.kernel.errors import Conflict, NotFound
from gateway.store.audit import record_audit
from gateway.store.queries import queries_beside

sql: Final = queries_beside(__file__)


class Standing(StrEnum):
    """What a worker does. `ASIDE`: only turns of its own shape. `DONE`: drained, it may end."""

    AT_WORK = "at work"
    ASIDE = "aside"
    DONE = "done"


class LiveWorker(Struct, frozen=True, kw_only=True):
    """A worker that holds its slot now. `release`, `host` and `pid` are empty, `since` None, where it did not say."""

    slot: int
    shape: str
    earlier: tuple[str, ...] = ()
    succeeds: tuple[str, ...] = ()
    draining: bool = False
    release: str = ""
    host: str = ""
    pid: int = 0
    since: datetime | None = None


class WorkerLine(Struct, frozen=True, kw_only=True):
    """One live worker, how many turns it runs and since when the oldest of them."""

    worker: LiveWorker
    standing: Standing
    running: int
    oldest: datetime | None


class TurnLine(Struct, frozen=True, kw_only=True):
    """A turn under way: its workflow, what it works on, since when."""

    workflow: str
    subject: str
    since: datetime | None


class ShapeLine(Struct, frozen=True, kw_only=True):
    """The turns of one shape: those due, those that wait for their time, those under way; the oldest that is due.

    `workers` run it now, `successors` take it over when none of them is left. An empty `shape` is of a release that
    named none: the newest workers take it.
    """

    shape: str
    waiting: int
    delayed: int
    running: int
    oldest: datetime | None
    workers: int
    successors: int

    @property
    def is_left(self) -> bool:
        """Whether nobody who lives runs these turns, or will."""
        return bool(self.shape) and not self.workers and not self.successors


def live_worker(row: Any) -> LiveWorker:
    """Of a row of the query `live`."""
    return LiveWorker(
        slot=row["slot"], shape=row["shape"], earlier=tuple(row["earlier"]), succeeds=tuple(row["succeeds"]),
        draining=row["draining"], release=row["release"], host=row["host"], pid=row["pid"], since=row["since"],
    )  # fmt: skip


def registration(slot: int, shape: Shape, earlier: Sequence[str]) -> tuple[object, ...]:
    """What this process says of itself, as the query `register` takes it."""
    release, host = version("crossdock"), platform.node()
    return slot, shape.name, list(earlier), list(shape.succeeds), release, host, os.getpid()


def is_aside(me: LiveWorker, live: Collection[LiveWorker]) -> bool:
    """Whether `me` leaves what is done on behalf of all to others."""
    return me.draining or any(me.shape in other.earlier for other in live)


def others_run(me: LiveWorker, live: Collection[LiveWorker]) -> bool:
    """Whether another worker, which is not to end, runs the shape of `me`."""
    return any(other.shape == me.shape and not other.draining for other in live if other.slot != me.slot)


def is_succeeded(me: LiveWorker, live: Collection[LiveWorker]) -> bool:
    """Whether another worker, which is not to end, goes on with the work of `me` when nobody of its shape is left."""
    return any(me.shape in other.succeeds and not other.draining for other in live if other.slot != me.slot)


async def live_workers(connection: Connection) -> Sequence[LiveWorker]:
    """Who holds a slot now."""
    return [live_worker(row) for row in await connection.fetch(sql.live, SLOT_CLASS)]


async def list_workers(connection: Connection) -> Sequence[WorkerLine]:
    """Live workers by slot, with the turns that they run."""
    live = await live_workers(connection)
    running = {row["executor_id"]: row for row in await connection.fetch(sql.running)}
    lines = []
    for each in live:
        row = running.get(executor_of(each.slot))
        lines.append(
            WorkerLine(
                worker=each,
                standing=Standing.ASIDE if is_aside(each, live) else Standing.AT_WORK,
                running=row["turns"] if row else 0,
                oldest=_instant(row["since"]) if row else None,
            )
        )
    return lines


async def list_shapes(connection: Connection) -> Sequence[ShapeLine]:
    """Every shape that turns wait or run in, and every one that a live worker runs."""
    live = await live_workers(connection)
    left = {row["shape"]: row for row in await connection.fetch(sql.left_by_shape)}
    return [
        ShapeLine(
            shape=shape,
            waiting=row["waiting"] if row else 0,
            delayed=row["delayed"] if row else 0,
            running=row["running"] if row else 0,
            oldest=_instant(row["oldest"]) if row else None,
            workers=sum(each.shape == shape for each in live),
            successors=sum(shape in each.succeeds for each in live),
        )
        for shape in sorted({*left, *(each.shape for each in live)})
        for row in [left.get(shape)]
    ]


async def list_turns(connection: Connection, most: int) -> Mapping[int, Sequence[TurnLine]]:
    """Turns under way by slot, of each the eldest `most`; those of a dead worker too, until they are taken over."""
    found: dict[int, list[TurnLine]] = {}
    for row in await connection.fetch(sql.under_way, most):
        slot = number_of(row["executor_id"])
        if slot is not None:
            subject = row["workflow_uuid"].partition(":")[0]
            turn = TurnLine(workflow=row["name"], subject=subject, since=_instant(row["since"]))
            found.setdefault(slot, []).append(turn)
    return found


async def drain(
    connection: Connection,
    slot: int,
    *,
    tenant: str,
    actor: str,
    correlation_id: str,
    known: datetime | None = None,
) -> LiveWorker:
    """`ask_to_drain` for `actor`, with its audit entry, in the caller's transaction."""
    found = await ask_to_drain(connection, slot, known=known)
    await record_audit(
        connection,
        tenant=tenant,
        actor=actor,
        action="worker.drain_asked",
        subject=f"slot-{slot}",
        outcome="done",
        correlation_id=correlation_id,
        detail={"shape": found.shape, "host": found.host, "pid": found.pid},
    )
    return found


async def ask_to_drain(connection: Connection, slot: int, *, known: datetime | None = None) -> LiveWorker:
    """Have the worker of `slot` end: at once where others of its shape go on, else when no work of it is left.

    `known` is since when the one that is meant works: a slot changes hands. In a transaction two who ask at once take
    turns, so that they don't drain each other's last. Raises `NotFound` where nobody holds the slot, `Conflict` for
    another worker than the one that is meant, and for the last one that does what is done for all.
    """
    await connection.execute(sql.lock_draining)
    live = await live_workers(connection)
    found = next((each for each in live if each.slot == slot), None)
    if found is None:
        held = ", ".join(str(each.slot) for each in live) or "none"
        raise NotFound(f"no worker holds slot {slot}; held are: {held}", code="worker.not_found")
    if found.since is None:
        raise Conflict(
            f"the worker of slot {slot} is of a release that cannot be asked: stop it with SIGTERM",
            code="worker.cannot_drain",
        )
    if known is not None and found.since != known:
        raise Conflict(f"slot {slot} is another worker's by now: look at the list again", code="worker.changed")
    if not is_aside(found, live) and all(is_aside(each, live) for each in live if each.slot != slot):
        raise Conflict(
            f"slot {slot} is the last worker that relays, consumes and polls: start another one first, or stop it "
            "with SIGTERM",
            code="worker.last",
        )
    await connection.execute(sql.ask_to_drain, slot)
    return found


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
