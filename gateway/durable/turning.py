"""A process whose tasks are worked on in turns: how, where they wait, and the net under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gateway.canonical.task import Pace
from gateway.durable.runtime import Workflow, WorkQueue
from gateway.durable.tasks import Tasks
from gateway.durable.turns import Turns, Work
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Misconfigured
from gateway.store.postgres import Store


class TurnOptions(Struct, frozen=True, kw_only=True):
    """How tasks are worked on. Seconds; `per_worker` turns at once in one worker process."""

    call_timeout: float = 20.0
    per_worker: int = 2
    poll: float = 0.5
    overdue_after: float = 120.0
    pace: Pace = Pace()


class WorksInTurns:
    """What such a process offers the worker. `works` do what is particular to each kind of `tasks`.

    Raises `Misconfigured` where they are not for the same kinds.
    """

    def __init__(
        self, store: Store, clock: Clock, tasks: Tasks, works: Mapping[str, Work], turning: TurnOptions
    ) -> None:
        if {*works} != {*tasks.kinds}:
            raise Misconfigured(f"{tasks.workflow} works on {sorted(works)}, its tasks are {sorted(tasks.kinds)}")
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._works = works
        self.turning = turning

    def turns(self, sessions: Store | None = None) -> Turns:
        """What runs turns. They hold a session while another system takes its time: `sessions` is a pool for that."""
        turning = self.turning
        return Turns(self._tasks, sessions or self._store, self._clock, self._works, turning.pace, turning.call_timeout)

    def workflows(self, sessions: Store | None = None) -> Sequence[Workflow]:
        """The durable workflows, for `gateway.durable.runtime.Durable`."""
        return [Workflow(self._tasks.workflow, self.turns(sessions).run)]

    def queues(self) -> Sequence[WorkQueue]:
        """The queues they wait in."""
        return [WorkQueue(name=self._tasks.queue, per_worker=self.turning.per_worker, poll=self.turning.poll)]

    async def are_open(self, shape: str) -> bool:
        """Whether anything of a shape of turns is not over."""
        return await self._tasks.are_open(self._store, shape)

    async def sweep(self, limit: int = 100) -> int:
        """Wake what is long due and whose last turn has ended; returns how much. The net under everything else.

        Of every shape: workers that stand aside sweep nothing.
        """
        woken = 0
        async with self._store.transaction() as connection:
            for subject in await self._tasks.stranded(connection, self.turning.overdue_after, limit):
                await self._tasks.rouse(connection, subject)
                woken += 1
        return woken
