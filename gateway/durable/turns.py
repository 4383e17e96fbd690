"""One turn of work on a subject: what is due is asked of its system, once, and what came of it written down.

A turn is started at least once and may die anywhere. What is asked is written before it is asked, and what came of it
after; the next turn reads the record and looks before it repeats. One turn of a subject runs at a time, under a lock of
a session: a worker that hangs keeps it, so that it cannot come back after another has given the subject up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

import asyncpg
from msgspec.structs import replace

from gateway.canonical.capabilities import Call, Connection
from gateway.canonical.task import Pace, Task, TaskState, failed, succeeded
from gateway.durable.tasks import Tasks
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, NotFound, OutcomeUnknown
from gateway.store.postgres import Store

_PATIENCE: Final = 1.1  # adapters keep the deadline themselves; this ends one that does not
_BUSY_S: Final = 1.0
_STEPS: Final = 20
_UNDER_WAY: Final = frozenset({TaskState.ASKED, TaskState.UNDOING})
_log: Final = logging.getLogger(__name__)


class Work(Protocol):
    """What a kind of subject adds to the turns."""

    async def prepare(self, subject: str) -> None:
        """Do what is due in transactions of its own, each time before anything is asked."""
        ...

    async def task(self, connection: Connection, subject: str) -> Task:
        """The task of the locked subject."""
        ...

    async def begin(self, connection: Connection, subject: str) -> None:
        """What must hold before the system is asked, in the transaction that notes it; an error puts it off."""
        ...

    async def ask(self, call: Call, subject: str, *, look: bool) -> str | None:
        """Ask the system, looking first where an earlier attempt may have succeeded; its number of it."""
        ...

    async def undo(self, call: Call, subject: str, *, look: bool) -> None:
        """Ask it back; raises `Conflict` where the system keeps it."""
        ...

    async def settled(self, connection: Connection, task: Task, now: datetime) -> None:
        """What follows for the locked subject, from the state of its task."""
        ...

    def settle_of(self, task: Task) -> timedelta | None:
        """How long the system takes to show what it did; None where it does not say."""
        ...


class Turns:
    """Runs turns. `sessions` has room for one connection per turn at once."""

    def __init__(
        self, tasks: Tasks, sessions: Store, clock: Clock, works: Mapping[str, Work], pace: Pace, call_timeout: float
    ) -> None:
        self._tasks = tasks
        self._sessions = sessions
        self._clock = clock
        self._works = works
        self._pace = pace
        self._timeout = call_timeout

    async def run(self, subject: str, _turn: int) -> None:
        """One turn. An outage of the record ends it: the sweep begins another."""
        async with self._sessions.connection() as connection:
            if not await self._take(connection, subject):
                await self._come_back(connection, subject)
                return
            try:
                await self._work_on(connection, subject)
            except NotFound:
                _log.warning("a turn of %s has nothing to work on", subject)
            finally:
                with _certain(connection):
                    await self._tasks.unlock(connection, subject)

    async def _work_on(self, connection: asyncpg.Connection, subject: str) -> None:
        async with connection.transaction():
            kind, _ = await self._tasks.lock(connection, subject)
            await self._tasks.take_over(connection, subject)
        work = self._works[kind]
        fresh = True
        for _ in range(_STEPS):
            await work.prepare(subject)
            task = await self._begin(connection, work, subject, orphans=fresh)
            if task is None:
                return
            fresh = False
            await self._conclude(connection, work, task, await self._ask(work, task))
        await self._come_back(connection, subject)

    async def _begin(self, connection: asyncpg.Connection, work: Work, subject: str, *, orphans: bool) -> Task | None:
        """The task as it is asked now; None when nothing is due, or later. `orphans`: whoever asked before died."""
        async with connection.transaction():
            _, now = await self._tasks.lock(connection, subject)
            task = await work.task(connection, subject)
            if orphans and task.state in _UNDER_WAY and not task.look:
                task = replace(task, look=True, not_before=now + self._settle(work, task))
            if task.state is not TaskState.PENDING and task.state not in _UNDER_WAY:
                await self._tasks.save(connection, task, None)
                return None
            if task.not_before is not None and task.not_before > now:
                await self._later(connection, task, now)
                return None
            if task.state is TaskState.PENDING:
                try:
                    async with connection.transaction():
                        await work.begin(connection, subject)
                except CrossdockError as error:
                    told = replace(task, attempts=task.attempts + 1)
                    wait = self._pace.backoff(told.attempts)
                    put_off = replace(told, error_code=error.code, error_detail=error.detail, not_before=now + wait)
                    await self._later(connection, put_off, now)
                    return None
            state = TaskState.ASKED if task.state is TaskState.PENDING else task.state
            begun = replace(task, state=state, attempts=task.attempts + 1, not_before=None)
            await self._tasks.save(connection, begun, now)
            return begun

    async def _conclude(
        self, connection: asyncpg.Connection, work: Work, task: Task, outcome: str | CrossdockError | None
    ) -> None:
        async with connection.transaction():
            _, now = await self._tasks.lock(connection, task.subject)
            known = await work.task(connection, task.subject)
            if isinstance(outcome, CrossdockError):
                after = failed(task, outcome, now, self._pace, self._settle(work, task))
            else:
                after = succeeded(task, outcome)
            # Somebody may have asked for it back meanwhile: that is what is to be done next.
            if known.state is TaskState.UNDOING and task.state is TaskState.ASKED:
                after = replace(after, state=TaskState.UNDOING, look=True)
            after = replace(after, turn=known.turn)
            await self._tasks.save(connection, after, now)
            await work.settled(connection, after, now)

    async def _ask(self, work: Work, task: Task) -> str | CrossdockError | None:
        call = Call(
            tenant=task.tenant,
            correlation_id=task.subject,
            deadline=self._clock.monotonic() + self._timeout,
        )
        try:
            async with asyncio.timeout(self._timeout * _PATIENCE):
                if task.state is TaskState.UNDOING:
                    await work.undo(call, task.subject, look=task.look)
                    return None
                return await work.ask(call, task.subject, look=task.look)
        except CrossdockError as error:
            return error
        except TimeoutError:
            return OutcomeUnknown(f"{task.system} did not answer in time; it is looked up next", code="system.silent")
        except Exception as error:  # noqa: BLE001 - an adapter's defect must not lose the work: looked up, and shown
            _log.exception("%s failed at %s in a way its adapter does not know", task.subject, task.system)
            return OutcomeUnknown(f"the adapter of {task.system} failed: {type(error).__name__}", code="adapter.defect")

    async def _later(self, connection: asyncpg.Connection, task: Task, now: datetime) -> None:
        wait = max(0.05, ((task.not_before or now) - now).total_seconds() + 0.05)
        await self._tasks.wake(connection, task, now + timedelta(seconds=wait), wait)

    async def _come_back(self, connection: asyncpg.Connection, subject: str) -> None:
        """Another turn of this subject is running, or this one has run long enough: one more, soon."""
        async with connection.transaction():
            kind, now = await self._tasks.lock(connection, subject)
            task = await self._works[kind].task(connection, subject)
            await self._tasks.wake(connection, task, now + timedelta(seconds=_BUSY_S), _BUSY_S)

    def _settle(self, work: Work, task: Task) -> timedelta:
        return work.settle_of(task) or timedelta(seconds=self._pace.settle)

    async def _take(self, connection: asyncpg.Connection, subject: str) -> bool:
        with _certain(connection):
            return await self._tasks.try_lock(connection, subject)


@contextlib.contextmanager
def _certain(connection: asyncpg.Connection) -> Iterator[None]:
    """A session of which it is not certain that it holds no lock must end: pooled, it would keep it for ever."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(asyncpg.InterfaceError):
            connection.terminate()
        raise
