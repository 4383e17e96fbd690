"""Consumers of the log: a handler and how far it has come, moved in one transaction.

An event's effects in PostgreSQL happen exactly once: they and the position commit together, under a row lock on the
position, and a process that finds the position elsewhere than it thought does nothing. Effects outside PostgreSQL are
not covered: a handler that has some enqueues a workflow in its transaction instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import Struct

from gateway.backbone.dead_letters import (
    as_edited,
    close_letter,
    due_letters,
    fail_letter,
    lock_due,
    park_behind,
    set_aside,
)
from gateway.backbone.failures import ErrorClass, Failure, failure_of
from gateway.backbone.replaying import Listener, go_on, is_asked, pass_over
from gateway.backbone.tail import Tail
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import TAXONOMY, Position, Recorded
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Misconfigured, NotFound, Unavailable
from gateway.store.log_reader import BEGINNING, LogReader, NewerRelease, Stretch, in_version_order
from gateway.store.positions import lock_position, move_position, read_position, start_consumer
from gateway.store.postgres import Store

_logger = logging.getLogger(__name__)

_LOOK_FOR_DUE_S: Final = 0.5
_LOOK_FOR_REPLAY_S: Final = 2.0
_REPLAY_BATCH: Final = 100
_REPLAY_BATCHES: Final = 10
_KEEP_POSITION_S: Final = 5.0
_OUTAGE_AFTER: Final = 20
_OUTAGE_PAUSE_S: Final = 2.0
_STORE_PAUSE_S: Final = 0.3
_WORTH_IT: Final = 2
_SPACING_S: Final = 0.025

Handler = Callable[[Connection, Recorded], Awaitable[None]]
BatchHandler = Callable[[Connection, Sequence[Recorded]], Awaitable[None]]


class Subscription(Struct, frozen=True, kw_only=True):
    """One consumer. `name` is stable for ever: it is the key of its position.

    `handler` gets the connection of the transaction that moves the position. It is called in delivery order, one event
    after the other, up to `batch` of them in one transaction. `from_now` starts a new consumer at the end of the log
    instead of at its beginning. With `ordered` (the default) a failed event holds up the later ones of its aggregate;
    a handler that only takes the newest state, comparing versions, may do without.
    `together` does for several events at once what `handler` does for each of them in turn, in fewer statements; where
    it raises, `handler` is called for each alone. `afterwards` is called in this process when what was handled is
    committed: a hint to who goes on from there, which must neither wait nor raise.
    """

    name: str
    types: frozenset[str]
    handler: Handler
    stream: str = "main"
    batch: int = 100
    from_now: bool = False
    ordered: bool = True
    together: BatchHandler | None = None
    afterwards: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(self.types - TAXONOMY.keys()):
            raise Misconfigured(f"subscription {self.name} names unknown event types: {', '.join(unknown)}")
        if not self.types or self.batch < 1:
            raise Misconfigured(f"subscription {self.name} needs at least one type and a batch of at least one")


class _Moved(Exception):
    """Somebody else moved the position."""


class _HandlerFailed(Exception):
    """The handler of one event raised; `__cause__` says what."""

    def __init__(self, recorded: Recorded, cause: Exception) -> None:
        super().__init__(recorded.position)
        self.recorded = recorded
        self.cause = cause


class Runner:
    """Runs one subscription while its process holds the lease for it."""

    def __init__(self, subscription: Subscription, store: Store, reader: LogReader, tail: Tail, clock: Clock) -> None:
        self._subscription = subscription
        self._name = subscription.name
        self._listener = Listener(name=subscription.name, types=subscription.types, stream=subscription.stream)
        self._store = store
        self._reader = reader
        self._tail = tail
        self._clock = clock
        self._cursor = BEGINNING
        self._kept = BEGINNING
        self._kept_at = 0.0
        self._handled_at = float("-inf")
        self._looked_for_due = 0.0
        self._looked_for_replay = 0.0
        self._aside_in_a_row = 0

    async def run(self) -> None:
        """Deliver until cancelled. Raises `NewerRelease` when another process has to go on."""
        await self._load()
        while True:
            try:
                stretch = await self._tail.after(self._cursor, self._subscription.batch)
                await self._deliver(stretch)
                if 0 < len(stretch.events) < self._subscription.batch:
                    await self._gather()
                await self._retry_due()
                await self._replay()
            except _Moved:
                _logger.warning("%s was moved by another process; reading its position again", self._name)
                await self._load()
            except NewerRelease:
                raise
            except Unavailable as error:
                _logger.warning("%s waits for the record: %s", self._name, error.code)
                await asyncio.sleep(_STORE_PAUSE_S)
                await self._load()

    async def _gather(self) -> None:
        """A transaction costs as much for one event as for a hundred: what comes shortly after goes into the next."""
        rest = self._handled_at + _SPACING_S - self._clock.monotonic()
        if rest > 0:
            await asyncio.sleep(rest)

    async def _load(self) -> None:
        while True:
            try:
                async with self._store.transaction() as connection:
                    stream = self._subscription.stream
                    start = (
                        await self._reader.end(connection, stream=stream) if self._subscription.from_now else BEGINNING
                    )
                    await start_consumer(connection, self._name, start)
                    self._cursor = await read_position(connection, self._name, self._reader, stream=stream)
            except Unavailable:
                await asyncio.sleep(_STORE_PAUSE_S)
            else:
                self._kept, self._kept_at = self._cursor, self._clock.monotonic()
                return

    async def _deliver(self, stretch: Stretch) -> None:
        if not stretch.events:
            await self._pass_over(stretch.reached)
            return
        self._handled_at = self._clock.monotonic()
        try:
            await self._apply(in_version_order(stretch.events), stretch.reached)
        except _HandlerFailed:
            for index, recorded in enumerate(stretch.events, start=1):
                last = index == len(stretch.events)
                await self._apply_alone(recorded, stretch.reached if last else recorded.position)
        else:
            self._aside_in_a_row = 0

    async def _pass_over(self, reached: Position) -> None:
        self._cursor = reached
        if reached > self._kept and self._clock.monotonic() - self._kept_at > _KEEP_POSITION_S:
            await self._apply((), reached)

    async def _apply(self, events: Sequence[Recorded], reached: Position) -> None:
        async with self._store.transaction() as connection:
            held = await lock_position(connection, self._name)
            if held.position != self._kept:
                raise _Moved
            if events and held.has_letters and self._subscription.ordered:
                events = await park_behind(connection, self._name, events)
            await self._handle_all(connection, events)
            await move_position(connection, self._name, reached)
        self._cursor = self._kept = reached
        self._kept_at = self._clock.monotonic()
        if events and self._subscription.afterwards is not None:
            self._subscription.afterwards()

    async def _handle_all(self, connection: Connection, events: Sequence[Recorded]) -> None:
        together = self._subscription.together
        if together is None or len(events) < _WORTH_IT:
            for recorded in events:
                await self._handle(connection, recorded)
            return
        try:
            await together(connection, events)
        except Exception as error:
            raise _HandlerFailed(events[0], error) from error

    async def _handle(self, connection: Connection, recorded: Recorded) -> None:
        try:
            await self._subscription.handler(connection, recorded)
        except Exception as error:
            raise _HandlerFailed(recorded, error) from error

    async def _apply_alone(self, recorded: Recorded, reached: Position) -> None:
        failed = 0
        while True:
            try:
                await self._apply((recorded,), reached)
            except _HandlerFailed as error:
                failure = failure_of(error.cause)
            else:
                self._aside_in_a_row = 0
                return
            pause = self._pause(failure, failed)
            failed += 1
            if pause is None:
                await self._set_aside(recorded, reached, failure, failed)
                return
            await asyncio.sleep(pause)

    def _pause(self, failure: Failure, failed: int) -> float | None:
        pause = failure.pause_in_place(failed)
        if pause is None and failure.error_class is ErrorClass.OUTAGE and self._aside_in_a_row >= _OUTAGE_AFTER:
            return _OUTAGE_PAUSE_S  # nothing gets through: wait here instead of setting the whole log aside
        return pause

    async def _set_aside(self, recorded: Recorded, reached: Position, failure: Failure, attempts: int) -> None:
        async with self._store.transaction() as connection:
            if (await lock_position(connection, self._name)).position != self._kept:
                raise _Moved
            await set_aside(connection, self._name, recorded, failure, attempts=attempts)
            await move_position(connection, self._name, reached)
        self._cursor = self._kept = reached
        self._aside_in_a_row += 1
        _logger.error(
            "%s set event %d of %s aside: %s (%s)",
            self._name,
            recorded.position.event,
            recorded.event.aggregate,
            failure.code,
            failure.error_class,
        )

    async def _retry_due(self) -> None:
        if self._clock.monotonic() - self._looked_for_due < _LOOK_FOR_DUE_S:
            return
        self._looked_for_due = self._clock.monotonic()
        while True:
            async with self._store.connection() as connection:
                due = await due_letters(connection, self._name)
            for letter in due:
                await self._retry(letter)
            if not due:
                return

    async def _replay(self) -> None:
        """What somebody wants this consumer to go through once more, some batches at a time beside what is new."""
        if self._clock.monotonic() - self._looked_for_replay < _LOOK_FOR_REPLAY_S:
            return
        async with self._store.connection() as connection:
            asked = await is_asked(connection, self._name)
        for _ in range(_REPLAY_BATCHES if asked else 0):
            if not await self._replay_some():
                break
        else:
            if asked:
                return
        self._looked_for_replay = self._clock.monotonic()

    async def _replay_some(self) -> bool:
        try:
            return await self._replay_batch(_REPLAY_BATCH)
        except _HandlerFailed:
            pass
        try:  # alone, so that the others of its batch don't fail with it; what fails is passed over and told
            return await self._replay_batch(1)
        except _HandlerFailed as error:
            failure = failure_of(error.cause)
            why = f"{error.recorded.event.aggregate}: {failure.detail} ({failure.code})"
        async with self._store.transaction() as connection:
            await self._hold(connection)
            await pass_over(connection, self._listener, self._kept, self._reader, why)
        return True

    async def _replay_batch(self, size: int) -> bool:
        async with self._store.transaction() as connection:
            await self._hold(connection)
            return await go_on(connection, self._listener, self._kept, self._reader, self._handle, batch=size)

    async def _hold(self, connection: Connection) -> None:
        if (await lock_position(connection, self._name)).position != self._kept:
            raise _Moved

    async def _retry(self, letter: int) -> None:
        failed = 0
        try:
            async with self._store.transaction() as connection:
                if (await lock_position(connection, self._name)).position != self._kept:
                    raise _Moved
                row = await lock_due(connection, letter)
                if row is None:
                    return
                failed = row["failures"]
                recorded = await self._reader.read_one(connection, row["event_id"])
                await self._handle(connection, as_edited(recorded, row))
                await close_letter(connection, row, "replayed")
        except (_HandlerFailed, NotFound) as error:
            failure = failure_of(error.cause if isinstance(error, _HandlerFailed) else error)
            async with self._store.transaction() as connection:
                await fail_letter(connection, letter, failure, failed=failed)
