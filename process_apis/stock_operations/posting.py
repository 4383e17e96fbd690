"""What counts ask of others in their turns: the figure goes to who holds the goods, or into the books where we do."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from gateway.canonical.capabilities import Call, Connection, FindsWarehouses, RecordsStock, Report, TakesCounts
from gateway.canonical.stock import OWN_SOURCE, Bucket, MovementType, OrderKey, Outcome, ReportedMovement
from gateway.canonical.task import Task, TaskState
from gateway.canonical.warehouse import CountOrder, CountOrderLine
from gateway.kernel.errors import Conflict, CrossdockError
from gateway.store.postgres import Store
from process_apis.stock_operations.models import CountState, StockCount
from process_apis.stock_operations.records import load_count, save_count

_ZERO = Decimal(0)


class CountWork:
    """`Work` of counts."""

    def __init__(self, store: Store, *, records: RecordsStock, warehouses: FindsWarehouses) -> None:
        self._store = store
        self._records = records
        self._warehouses = warehouses

    async def prepare(self, subject: str) -> None:
        """Nothing is told beforehand."""

    async def task(self, connection: Connection, subject: str) -> Task:
        """The count's task."""
        return (await load_count(connection, subject)).task

    async def begin(self, connection: Connection, subject: str) -> None:
        """Nothing has to hold."""

    async def ask(self, call: Call, subject: str, *, look: bool) -> str | None:
        """Have the figures set by the warehouse, or record them: once, by the count's id."""
        async with self._store.connection() as connection:
            count = await load_count(connection, subject)
        if count.task.system is None:
            receipt = await self._records.record(count.tenant, Report(movements=_movements_of(count)))
            if bad := [line for line in receipt.others if line.outcome in (Outcome.PARKED, Outcome.CONFLICT)]:
                raise Conflict(f"it was not recorded: {bad[0].detail}", code="count.not_recorded")
            return None
        warehouse = self._warehouses.takes_counts(count.task.system)
        order = _order_of(count)
        found = await warehouse.find_count(call, reference=order.count) if look else None
        return found or await warehouse.post_count(call, order=order)

    async def undo(self, call: Call, subject: str, *, look: bool) -> None:  # noqa: ARG002 - as `Work` has it
        """Never asked for: what was counted is counted again."""
        raise Conflict("a count is not undone: count again", code="count.not_decidable")

    async def settled(self, connection: Connection, task: Task, now: datetime) -> None:
        """Refused: goods moved since, so that it is counted again. Set: its movements are on the way."""
        before = await load_count(connection, task.subject)
        if task.state is TaskState.REFUSED and before.state is CountState.POSTING:
            after = replace(before, state=CountState.REFUSED, task=task)
            await save_count(connection, before, after, now, "stock.count.refused")

    def settle_of(self, task: Task) -> timedelta | None:
        """What the adapter declares."""
        declared = getattr(self._known(task), "settle_time", None)
        return declared if isinstance(declared, timedelta) else None

    def _known(self, task: Task) -> TakesCounts | None:
        try:
            return None if task.system is None else self._warehouses.takes_counts(task.system)
        except CrossdockError:
            return None


def _order_of(count: StockCount) -> CountOrder:
    return CountOrder(
        count=count.count,
        location=count.location,
        bucket=Bucket(count.bucket),
        cut_off=_cut_off(count),
        reason=count.reason,
        lines=tuple(
            CountOrderLine(
                line=line.line, item=line.item, sku=line.sku, amount=line.counted or _ZERO, uom=line.uom, lot=line.lot
            )
            for line in count.lines
        ),
    )


def _movements_of(count: StockCount) -> tuple[ReportedMovement, ...]:
    return tuple(
        ReportedMovement(
            source=OWN_SOURCE,
            event_id=count.count,
            line=line.line,
            order_key=_cut_off(count),
            type=MovementType.CYCLE_COUNTED,
            occurred_at=count.counted_at or count.changed_at,
            source_item=line.item,
            source_location=count.location,
            amount=line.counted or _ZERO,
            uom=line.uom,
            to_bucket=Bucket(count.bucket),
            lot=line.lot,
            owner=count.owner,
            document=count.count,
            reason=count.reason,
            correlation_id=count.correlation_id,
        )
        for line in count.lines
    )


def _cut_off(count: StockCount) -> OrderKey:
    return OrderKey(count.cut_epoch or 0, count.cut_sequence or 0)
