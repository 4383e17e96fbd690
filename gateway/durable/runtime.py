"""The worker's side of DBOS: launch, queues, the watch over dead workers, and an orderly stop.

The gateway never runs this. A workflow is one turn of work on the record, safe to run again: it is started at least
once, and progress is kept by its process in its own tables. So a workflow costs no DBOS steps, and releases can run
side by side under one `application_version` (docs/decisions/0011-durable-turns.md).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import asyncpg
from dbos import DBOS, DBOSConfig
from msgspec import Struct

from gateway.durable.slots import Slot, claim_slot, end_process, executor_of
from gateway.kernel.clock import Clock, SystemClock
from gateway.telemetry.counters import Counter, Counters

VERSION: Final = "1"
_MAX_RECOVERY_ATTEMPTS: Final = 50
_ABANDONED: Final = """
select distinct executor_id from dbos.workflow_status where status = 'PENDING' and executor_id is not null
"""
_log: Final = logging.getLogger(__name__)


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
    """Runs workflows in this process until `stop`. Everything it does to a dead worker waits for `grace` seconds."""

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
        self._slot: Slot | None = None
        self._dbos: DBOS | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def executor_id(self) -> str:
        """The slot's name, empty before `start`."""
        return self._slot.executor_id if self._slot else ""

    async def start(self) -> None:
        """Claim a slot, then launch. Called inside the loop that owns the pools: workflows run on it."""
        self._slot = await claim_slot(self._url, on_lost=self._on_lost)
        self._dbos = DBOS(config=self._config(self._slot.executor_id))
        for workflow in self._workflows:
            _register(workflow, self._turns)
        DBOS.launch()
        for queue in self._queues:
            await _register_queue(queue)
        self._watcher = asyncio.create_task(self._keep_watch(self._slot, self._dbos), name="durable-watch")

    def _config(self, executor_id: str) -> DBOSConfig:
        return DBOSConfig(
            name="crossdock",
            system_database_url=self._url,
            executor_id=executor_id,
            application_version=VERSION,
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
            await self._slot.release()
            self._slot = None

    async def _keep_watch(self, slot: Slot, dbos: DBOS) -> None:
        dead_since: dict[int, float] = {}
        while True:
            await asyncio.sleep(self._watch * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            await slot.beat()
            try:
                await self._take_over(slot, dbos, dead_since)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as e:
                _log.warning("cannot look after other workers' slots: %s", e)

    async def _take_over(self, slot: Slot, dbos: DBOS, dead_since: dict[int, float]) -> None:
        orphaned = await slot.query(_ABANDONED) - await slot.live()
        for number in [known for known in dead_since if known not in orphaned]:
            del dead_since[number]
        for number in orphaned:
            since = dead_since.setdefault(number, self._clock.monotonic())
            if self._clock.monotonic() - since < self._grace or not await slot.hold(number):
                continue
            try:
                # DBOS resumes a dead executor's workflows only through its commercial conductor; this is the call
                # behind it (3.4, pinned), and tests/gateway/durable/test_take_over.py holds it to its behaviour.
                await asyncio.to_thread(dbos._recover_pending_workflows, [executor_of(number)])  # noqa: SLF001
            finally:
                await slot.let_go(number)
            _log.warning("took over the work of %s", executor_of(number))


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
