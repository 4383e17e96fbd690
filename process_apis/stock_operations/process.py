"""Stock operations: what others call. The gateway takes commands and answers; the worker runs turns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from gateway.canonical.capabilities import (
    ClaimsStock,
    FindsWarehouses,
    RecordsStock,
    ResolvesItems,
    TellsLots,
    TellsPositions,
)
from gateway.canonical.location import LocationMap
from gateway.durable.turning import TurnOptions, WorksInTurns
from gateway.durable.turns import Work
from gateway.kernel.clock import Clock
from gateway.store.postgres import Store
from process_apis.stock_operations.counting import Counts
from process_apis.stock_operations.handing import OwnHandling
from process_apis.stock_operations.models import Need, Operation
from process_apis.stock_operations.options import StockOperationsOptions
from process_apis.stock_operations.posting import CountWork
from process_apis.stock_operations.records import sql, tasks
from process_apis.stock_operations.releasing import TransferWork
from process_apis.stock_operations.restating import StatusChanges, StatusWork
from process_apis.stock_operations.transferring import Transfers
from process_apis.stock_operations.troubles import OperationTroubles, needs_of_operation


class OperationTurns(TurnOptions, frozen=True, kw_only=True):
    """As `TurnOptions`: there are more stock operations than other tasks."""

    per_worker: int = 4


class StockOperations(WorksInTurns):
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
        turning: OperationTurns | None = None,
        settings: StockOperationsOptions | None = None,
    ) -> None:
        settings = settings or StockOperationsOptions()
        works: dict[str, Work] = {
            "transfer": TransferWork(store, claims=claims, records=records, warehouses=warehouses),
            "count": CountWork(store, records=records, warehouses=warehouses),
            "status": StatusWork(store, records=records, positions=positions, warehouses=warehouses),
        }
        super().__init__(store, clock, tasks, works, turning or OperationTurns())
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

    async def are_open(self, shape: str) -> bool:
        """As for all tasks, and until a transfer is over: what leaves, comes or is cancelled gives it more turns."""
        return await super().are_open(shape) or await self._store.fetchval(sql.transfers_of_shape, shape)

    def needs(self, operation: Operation, today: date) -> Sequence[Need]:
        """What a person should do about a transfer, a change or a count."""
        return needs_of_operation(operation, today, self.turning.pace.alert_after)

    def troubles(self) -> OperationTroubles:
        """What stands still, for the queue of exceptions."""
        return OperationTroubles(self.transfers, self.changes, self._clock, alert_after=self.turning.pace.alert_after)
