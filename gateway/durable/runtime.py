"""The worker's side of DBOS: launch, queues, the watch over dead workers, and an orderly stop.

The gateway never runs this. A workflow is one turn of work on the record, safe to run again: it is started at least
once, and progress is kept by its process in its own tables. So a workflow costs no DBOS steps
(docs/decisions/0011-durable-turns.md). DBOS's `application_version` is the shape of the work (`shapes.toml`): releases
of one shape take over each other's turns, those of another one leave them alone, or succeed it
(decision 84).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import asyncpg
from dbos import DBOS, DBOSConfig
from msgspec import Struct

from gateway.durable.shapes import CURRENT, EARLIER
from gateway.durable.slots import SLOT_CLASS, Slot, claim_slot, end_process, executor_of
from gateway.durable.workers import (
    LiveWorker,
    Standing,
    is_aside,
    is_succeeded,
    live_worker,
    others_run,
    registration,
    sql,
)
from gateway.kernel.clock import Clock, SystemClock
from gateway.kernel.errors import Unavailable
from gateway.store.postgres import CONNECTION_FAILED
from gateway.telemetry.counters import Counter, Counters

_MAX_RECOVERY_ATTEMPTS: Final = 50
_log: Final = logging.getLogger(__name__)
Pinned = Callable[[str], Awaitable[bool]]


class Workflow(Struct, frozen=True):
    """A named turn of work. `run` takes ids, and is bound to the instance that holds its capabilities."""

    name: str
    run: Callable[..., Awaitable[None]]


class WorkQueue(Struct, frozen=True, kw_only=True):
    """A queue and its limits: workflows at once per worker and over all workers, starts per period (seconds)."""

    name: str
    per_worker: int = 16
    overall: int | None = None
    starts: int | None = None
    period: float = 1.0
    poll: float = 0.1


class Durable:
    """Runs workflows in this process until `stop`. Everything it does to a dead worker waits for `grace` seconds.

    `pinned` tells whether subjects of a shape are open that have no turn now and will have one.
    """

    def __init__(
        self,
        url: str,
        *,
        workflows: Sequence[Workflow],
        queues: Sequence[WorkQueue],
        grace: float = 10.0,
        watch: float = 2.0,
        clock: Clock | None = None,
        on_lost: Callable[[str], None] = end_process,
        counters: Counters | None = None,
        pinned: Pinned | None = None,
    ) -> None:
        self._turns = (counters or Counters()).counter(
            "crossdock_turns_total", "Turns of workflows that this worker has run.", ("workflow", "outcome")
        )
        self._url = url
        self._workflows = workflows
        self._queues = queues
        self._grace = grace
        self._watch = watch
        self._clock = clock or SystemClock()
        self._on_lost = on_lost
        self._pinned = pinned
        self._slot: Slot | None = None
        self._dbos: DBOS | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._standing = Standing.AT_WORK
        self._stands_otherwise = asyncio.Event()

    @property
    def executor_id(self) -> str:
        """The slot's name, empty before `start`."""
        return self._slot.executor_id if self._slot else ""

    async def start(self) -> None:
        """Claim a slot, then launch. Called inside the loop that owns the pools: workflows run on it."""
        self._slot = await claim_slot(self._url, on_lost=self._on_lost, fits=_fits)
        await self._slot.fetch(sql.register, *registration(self._slot.number, CURRENT, EARLIER))
        self._dbos = DBOS(config=self._config(self._slot.executor_id))
        for workflow in self._workflows:
            _register(workflow, self._turns)
        DBOS.launch()
        for queue in self._queues:
            await _register_queue(queue)
        self._watcher = asyncio.create_task(self._keep_watch(self._slot, self._dbos), name="durable-watch")

    @property
    def standing(self) -> Standing:
        """What this worker is to do beside its turns, as its last look at the others told."""
        return self._standing

    async def leaves(self, standing: Standing) -> None:
        """Wait until it is another one than `standing`."""
        while self._standing is standing:
            await self._stands_otherwise.wait()

    def _config(self, executor_id: str) -> DBOSConfig:
        return DBOSConfig(
            name="crossdock",
            system_database_url=self._url,
            executor_id=executor_id,
            application_version=CURRENT.name,
            run_migrations=False,
            sys_db_pool_size=8,
            max_executor_threads=32,
            log_level="WARNING",
            enable_otlp=False,
        )

    async def stop(self, drain: int = 10) -> None:
        """Take nothing new, let what runs finish for up to `drain` seconds, leave the rest to the other workers."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._dbos is not None:
            await asyncio.to_thread(DBOS.destroy, destroy_registry=True, workflow_completion_timeout_sec=drain)
            self._dbos = None
            # DBOS makes its threads the loop's own and has just ended them: what the loop does next needs others.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        if self._slot is not None:
            with contextlib.suppress(*CONNECTION_FAILED):
                await self._slot.fetch(sql.unregister, self._slot.number)
            await self._slot.release()
            self._slot = None

    async def _keep_watch(self, slot: Slot, dbos: DBOS) -> None:
        absent: dict[int | str, float] = {}
        while True:
            await asyncio.sleep(self._watch * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            await slot.beat()
            try:
                live = [live_worker(row) for row in await slot.fetch(sql.live, SLOT_CLASS)]
                await self._stand(slot, live)
                await self._take_over(slot, dbos, live, absent)
            except (*CONNECTION_FAILED, Unavailable) as e:
                _log.warning("cannot look after other workers' slots: %s", e)

    async def _stand(self, slot: Slot, live: Sequence[LiveWorker]) -> None:
        me = next((each for each in live if each.slot == slot.number), None)
        if me is None:
            return
        standing = Standing.ASIDE if is_aside(me, live) else Standing.AT_WORK
        if me.draining and await self._may_end(slot, me, live):
            standing = Standing.DONE
        if standing is not self._standing:
            self._standing = standing
            told, self._stands_otherwise = self._stands_otherwise, asyncio.Event()
            told.set()

    async def _may_end(self, slot: Slot, me: LiveWorker, live: Sequence[LiveWorker]) -> bool:
        """Whether nothing of this shape would be left without a worker."""
        if others_run(me, live):
            return True
        if (await slot.fetch(sql.turns_left, me.shape))[0][0]:
            return False
        return is_succeeded(me, live) or self._pinned is None or not await self._pinned(me.shape)

    async def _take_over(
        self, slot: Slot, dbos: DBOS, live: Sequence[LiveWorker], absent: dict[int | str, float]
    ) -> None:
        ended = [name for name in CURRENT.succeeds if all(each.shape != name for each in live)]
        orphaned = await slot.query(sql.abandoned, [CURRENT.name, *ended]) - {each.slot for each in live}
        for known in [known for known in absent if known not in orphaned and known not in ended]:
            del absent[known]
        adopted = [name for name in ended if self._is_absent_long(absent, name)]
        if adopted:
            await slot.fetch(sql.adopt_turns, CURRENT.name, adopted)
        for number in orphaned:
            if not self._is_absent_long(absent, number) or not await slot.hold(number):
                continue
            try:
                await slot.fetch(sql.adopt_running, CURRENT.name, adopted, executor_of(number))
                # DBOS resumes a dead executor's workflows only through its commercial conductor; this is the call
                # behind it (3.4, pinned), and tests/gateway/durable/test_take_over.py holds it to its behaviour.
                await asyncio.to_thread(dbos._recover_pending_workflows, [executor_of(number)])  # noqa: SLF001
            finally:
                await slot.let_go(number)
            _log.warning("took over the work of %s", executor_of(number))

    def _is_absent_long(self, absent: dict[int | str, float], key: int | str) -> bool:
        now = self._clock.monotonic()
        return now - absent.setdefault(key, now) >= self._grace


async def _fits(connection: asyncpg.Connection, number: int) -> bool:
    """A slot under whose name turns of another shape wait to be taken over is left to those who can."""
    return not await connection.fetchval(sql.foreign_turns, executor_of(number), CURRENT.name)


def _register(workflow: Workflow, turns: Counter) -> None:
    async def run(*args: Any) -> None:
        outcome = "failed"
        try:
            await workflow.run(*args)
            outcome = "done"
        except asyncio.CancelledError:
            outcome = "left"
            raise
        finally:
            turns.add(workflow.name, outcome)

    DBOS.workflow(name=workflow.name, max_recovery_attempts=_MAX_RECOVERY_ATTEMPTS)(run)


async def _register_queue(queue: WorkQueue) -> None:
    await DBOS.register_queue_async(
        queue.name,
        worker_concurrency=queue.per_worker,
        global_concurrency=queue.overall,
        limiter={"limit": queue.starts, "period": queue.period} if queue.starts else None,
        polling_interval_sec=queue.poll,
        on_conflict="always_update",
    )
