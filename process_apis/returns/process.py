"""Returns: what others call. The gateway takes commands and answers; the worker runs turns."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from gateway.canonical.capabilities import FindsCreditors, FindsWarehouses, RecordsStock, TellsSold
from gateway.canonical.events import Recorded
from gateway.canonical.location import LocationMap
from gateway.canonical.task import Pace
from gateway.durable.runtime import Workflow, WorkQueue
from gateway.durable.turns import Turns, Work, wake_stranded
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.store.log_reader import LogReader
from gateway.store.postgres import Store
from process_apis.returns.authorising import Authorisations
from process_apis.returns.crediting import Credits, CreditWork
from process_apis.returns.disposing import Dispositions, DispositionWork
from process_apis.returns.hearing import on_movement
from process_apis.returns.models import QUEUE, WORKFLOW, Dispose, Need, Return, ReturnState, Target
from process_apis.returns.options import ReturnOptions
from process_apis.returns.records import listed, load, sql, tasks
from process_apis.returns.rules import needs_of
from process_apis.returns.troubles import ReturnTroubles


class Options(Struct, frozen=True, kw_only=True):
    """Settings of the process. Seconds; `per_worker` turns at once in one worker process."""

    call_timeout: float = 20.0
    per_worker: int = 2
    poll: float = 0.5
    overdue_after: float = 120.0
    pace: Pace = Pace()


class Returns:
    """The process. One per OS process; safe to use from any number of tasks."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        orders: TellsSold,
        locations: LocationMap,
        records: RecordsStock,
        warehouses: FindsWarehouses,
        creditors: FindsCreditors,
        options: Options | None = None,
        settings: ReturnOptions | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._log = LogReader()
        self.options = options or Options()
        self.settings = settings or ReturnOptions()
        self.authorisations = Authorisations(store, orders=orders, locations=locations, options=self.settings)
        self.dispositions = Dispositions(store, locations=locations, warehouses=warehouses, records=records)
        self.credits = Credits(store)
        self.hear = on_movement
        self._works: dict[str, Work] = {
            "disposition": DispositionWork(store, records=records, warehouses=warehouses),
            "credit": CreditWork(store, creditors=creditors),
        }

    async def get(self, tenant: str, return_id: str, *, partner: str | None = None) -> Return:
        """One return; raises `NotFound`, for a partner also of somebody else's."""
        async with self._store.connection() as connection:
            return await load(connection, return_id, tenant, partner)

    async def history(self, tenant: str, return_id: str) -> tuple[Return, Sequence[Recorded]]:
        """One return and its events, oldest first; raises `NotFound`."""
        async with self._store.connection() as connection:
            known = await load(connection, return_id, tenant)
            return known, await self._log.read_aggregate(connection, tenant, return_id)

    async def dispose(
        self, caller: Caller, return_id: str, *, action: str, line: int, amount: Decimal, target: Target, reason: str
    ) -> Return:
        """A person's disposition, with the reason in the audit trail: see `Dispositions.ask`."""
        command = Dispose(action=action, line=line, amount=amount, target=target)
        return await self.dispositions.ask(caller, return_id, command, reason=reason)

    async def listed(
        self,
        tenant: str,
        *,
        partner: str | None = None,
        state: ReturnState | None = None,
        order: str | None = None,
        open_only: bool = False,
        before: str | None = None,
        limit: int = 50,
    ) -> Sequence[Return]:
        """The newest first."""
        async with self._store.connection() as connection:
            wanted = (partner, state, order, open_only, before, limit)
            return await listed(connection, await connection.fetch(sql.list_returns, tenant, *wanted))

    def needs(self, known: Return) -> Sequence[Need]:
        """What a person should do about a return."""
        return needs_of(known, self._clock.now(), self.settings.expected_days, self.options.pace.alert_after)

    def troubles(self) -> ReturnTroubles:
        """The same, for the queue of exceptions."""
        return ReturnTroubles(
            self._clock, expected_days=self.settings.expected_days, alert_after=self.options.pace.alert_after
        )

    def turns(self, sessions: Store | None = None) -> Turns:
        """What runs turns. They hold a session while another system takes its time: `sessions` is a pool for that."""
        options = self.options
        return Turns(tasks, sessions or self._store, self._clock, self._works, options.pace, options.call_timeout)

    def workflows(self, sessions: Store | None = None) -> Sequence[Workflow]:
        """The durable workflows, for `gateway.durable.runtime.Durable`."""
        return [Workflow(WORKFLOW, self.turns(sessions).run)]

    def queues(self) -> Sequence[WorkQueue]:
        """The queues they wait in."""
        return [WorkQueue(name=QUEUE, per_worker=self.options.per_worker, poll=self.options.poll)]

    async def sweep(self, limit: int = 100) -> int:
        """Wake what is long due and whose last turn has ended; returns how much. The net under everything else."""
        return await wake_stranded(self._store, tasks, self._works, self.options.overdue_after, limit)
