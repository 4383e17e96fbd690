"""Stock operations: what others call. The gateway takes commands and answers; the worker runs turns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from gateway.canonical.capabilities import (
    ClaimsStock,
    FindsWarehouses,
    RecordsStock,
    ResolvesItems,
    TellsLots,
    TellsPositions,
)
from gateway.canonical.location import LocationMap
from gateway.canonical.task import Pace
from gateway.durable.runtime import Workflow, WorkQueue
from gateway.durable.turns import Turns, Work
from gateway.kernel.clock import Clock
from gateway.store.postgres import Store
from process_apis.stock_operations.count_rules import needs_of_count
from process_apis.stock_operations.counting import Counts
from process_apis.stock_operations.handing import OwnHandling
from process_apis.stock_operations.models import QUEUE, WORKFLOW, Need, StatusChange, StockCount, Transfer
from process_apis.stock_operations.options import StockOperationsOptions
from process_apis.stock_operations.posting import CountWork
from process_apis.stock_operations.records import lock, tasks, wake
from process_apis.stock_operations.releasing import TransferWork
from process_apis.stock_operations.restating import StatusChanges, StatusWork
from process_apis.stock_operations.rules import needs_of, needs_of_change
from process_apis.stock_operations.transferring import Transfers
from process_apis.stock_operations.troubles import OperationTroubles


class Options(Struct, frozen=True, kw_only=True):
    """Settings of the process. Seconds; `per_worker` turns at once in one worker process."""

    call_timeout: float = 20.0
    per_worker: int = 4
    poll: float = 0.5
    overdue_after: float = 120.0
    pace: Pace = Pace()


class StockOperations:
    """The process. One per OS process; safe to use from any number of tasks."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        items: ResolvesItems,
        locations: LocationMap,
        claims: ClaimsStock,
        records: RecordsStock,
        positions: TellsPositions,
        lots: TellsLots,
        warehouses: FindsWarehouses,
        options: Options | None = None,
        settings: StockOperationsOptions | None = None,
    ) -> None:
        settings = settings or StockOperationsOptions()
        self._store = store
        self._clock = clock
        self.options = options or Options()
        self.transfers = Transfers(
            store,
            clock,
            items=items,
            locations=locations,
            claims=claims,
            lots=lots,
            warehouses=warehouses,
            channel=settings.channel,
        )
        self.changes = StatusChanges(store, items=items, locations=locations, warehouses=warehouses)
        self.handling = OwnHandling(store, records=records, locations=locations)
        self.counts = Counts(
            store,
            items=items,
            locations=locations,
            positions=positions,
            warehouses=warehouses,
            options=settings,
        )
        self._works: dict[str, Work] = {
            "transfer": TransferWork(store, claims=claims, records=records, warehouses=warehouses),
            "count": CountWork(store, records=records, warehouses=warehouses),
            "status": StatusWork(store, records=records, positions=positions, warehouses=warehouses),
        }

    def needs(self, subject: Transfer | StatusChange | StockCount, today: date) -> Sequence[Need]:
        """What a person should do about a transfer, a change or a count."""
        alert = self.options.pace.alert_after
        if isinstance(subject, StockCount):
            return needs_of_count(subject, alert)
        return needs_of(subject, today, alert) if isinstance(subject, Transfer) else needs_of_change(subject, alert)

    def troubles(self) -> OperationTroubles:
        """What stands still, for the queue of exceptions."""
        return OperationTroubles(self.transfers, self.changes, self._clock, alert_after=self.options.pace.alert_after)

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
        woken = 0
        async with self._store.transaction() as connection:
            for subject in await tasks.stranded(connection, self.options.overdue_after, limit):
                kind, now = await lock(connection, subject)
                await wake(connection, await self._works[kind].task(connection, subject), now)
                woken += 1
        return woken
