"""Changes of status: held, released, damaged, restored. Asked of who holds the goods; made by us where that is us."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from gateway.canonical.capabilities import (
    Call,
    ChangesStatus,
    Connection,
    FindsWarehouses,
    RecordsStock,
    Report,
    ResolvesItems,
    TellsPositions,
)
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import MAIN_OWNER, OWN_SOURCE, Bucket, MovementType, OrderKey, Outcome, ReportedMovement
from gateway.canonical.task import Task, TaskState
from gateway.canonical.warehouse import StatusOrder
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, CrossdockError, NotFound, Rejected
from gateway.kernel.quantity import plain
from gateway.store import log
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.stock_operations.models import CHANGE_PREFIX, ChangeState, ChangeStatus, StatusChange
from process_apis.stock_operations.records import (
    begin,
    change_event,
    change_of_text,
    load_change,
    lock,
    save_change,
    save_task,
    sql,
    wake,
)
from process_apis.stock_operations.rules import BUCKETS
from process_apis.stock_operations.transferring import check_location

_MICRO: Final = 1_000_000


class StatusChanges:
    """Commands of people and applications, each one transaction."""

    def __init__(
        self, store: Store, *, items: ResolvesItems, locations: LocationMap, warehouses: FindsWarehouses
    ) -> None:
        self._store = store
        self._items = items
        self._locations = locations
        self._warehouses = warehouses

    async def ask(self, caller: Caller, command: ChangeStatus) -> StatusChange:
        """Have a quantity held, released, written off as damaged or restored; once per action.

        Raises `Rejected`; `Conflict`: ``operation.action_reused``, ``status.nobody_to_ask`` where the holder of the
        location takes no such orders.
        """
        check_location(self._locations, caller.tenant, command.location)
        item = (await self._items.by_id(caller.tenant, [command.item])).get(command.item)
        if item is None:
            raise Rejected(f"there is no item {command.item[:40]!r}", code="item.unknown")
        system = self._asked(caller.tenant, command.location, command.owner)
        origin, target = BUCKETS[command.kind]
        async with self._store.transaction() as connection:
            change, fresh = await begin(
                connection, caller, kind="status", prefix=CHANGE_PREFIX, action=command.action, content=command,
                system=system, state=TaskState.PENDING,
            )  # fmt: skip
            if not fresh:
                return await load_change(connection, change, caller.tenant)
            await connection.execute(
                sql.insert_change, change, caller.tenant, command.kind, command.location, item.item, item.sku,
                item.base_uom, command.amount, command.lot, origin, target, command.reason, caller.principal.subject,
                caller.correlation_id, command.owner,
            )  # fmt: skip
            _, now = await lock(connection, change)
            made = await load_change(connection, change)
            made = replace(made, task=await wake(connection, made.task, now))
            await log.append(connection, [change_event(made, "stock.status.requested", now)])
            detail = {"kind": command.kind, "item": item.item, "amount": command.amount, "reason": command.reason}
            await record_act(connection, caller, "status.change", change, made.state, detail)
        return made

    async def retry(self, caller: Caller, change: str) -> StatusChange:
        """Ask again what was refused; anything else is left as it is."""
        async with self._store.transaction() as connection:
            return await self.retry_within(connection, caller, change)

    async def retry_within(self, connection: Connection, caller: Caller, change: str) -> StatusChange:
        """As `retry`, in the caller's transaction."""
        before, now = await _locked(connection, caller.tenant, change)
        if before.task.state is not TaskState.REFUSED:
            return before
        task = replace(before.task, state=TaskState.PENDING, attempts=0, error_code=None, error_detail=None)
        after = replace(before, state=ChangeState.REQUESTED, task=await wake(connection, task, now))
        after = await save_change(connection, before, after, now, "stock.status.requested")
        await record_act(connection, caller, "status.retry", change, after.state, {})
        return after

    async def withdraw(self, caller: Caller, change: str, *, reason: str) -> StatusChange:
        """Ask it no more; repeating it changes nothing.

        Raises `Conflict` (``status.not_withdrawable``) once it was asked and not refused: change it back instead.
        """
        async with self._store.transaction() as connection:
            return await self.withdraw_within(connection, caller, change, reason=reason)

    async def withdraw_within(
        self, connection: Connection, caller: Caller, change: str, *, reason: str
    ) -> StatusChange:
        """As `withdraw`, in the caller's transaction."""
        before, now = await _locked(connection, caller.tenant, change)
        if before.state is ChangeState.WITHDRAWN:
            return before
        if before.task.state not in (TaskState.PENDING, TaskState.REFUSED):
            raise Conflict(f"it is {before.state} already: ask for the opposite change", code="status.not_withdrawable")
        task = replace(before.task, state=TaskState.ABSENT, error_code=None, error_detail=None, not_before=None)
        await save_task(connection, task, None)
        after = replace(before, state=ChangeState.WITHDRAWN, task=task)
        after = await save_change(connection, before, after, now, "stock.status.withdrawn")
        await record_act(connection, caller, "status.withdraw", change, after.state, {"reason": reason})
        return after

    async def get(self, tenant: str, change: str) -> StatusChange:
        """One change; raises `NotFound`."""
        async with self._store.connection() as connection:
            return await load_change(connection, change, tenant)

    async def listed(
        self,
        tenant: str,
        *,
        state: ChangeState | None = None,
        location: str | None = None,
        open_only: bool = False,
        before: str | None = None,
        limit: int = 50,
    ) -> Sequence[StatusChange]:
        """The newest first."""
        rows = await self._store.fetch(sql.list_changes, tenant, state, location, open_only, before, limit)
        return [change_of_text(row["body"]) for row in rows]

    def _asked(self, tenant: str, location: str, owner: str) -> str | None:
        system = self._warehouses.restating(tenant, location)
        holder = self._locations.by_id(tenant, location)
        if system is None and (holder is None or holder.holder != OWN_SOURCE):
            raise Conflict(
                f"who holds {location} takes no such orders from us: change it there, its report will follow",
                code="status.nobody_to_ask",
            )
        if system is not None and owner != MAIN_OWNER:
            raise Conflict(
                f"{system} is not told whose goods are meant: change {owner}'s there, its report will follow",
                code="status.nobody_to_ask",
            )
        return system


class StatusWork:
    """`Work` of status changes."""

    def __init__(
        self, store: Store, *, records: RecordsStock, positions: TellsPositions, warehouses: FindsWarehouses
    ) -> None:
        self._store = store
        self._records = records
        self._positions = positions
        self._warehouses = warehouses

    async def prepare(self, subject: str) -> None:
        """Nothing is told beforehand."""

    async def task(self, connection: Connection, subject: str) -> Task:
        """The change's task."""
        return (await load_change(connection, subject)).task

    async def begin(self, connection: Connection, subject: str) -> None:
        """Nothing has to hold."""

    async def ask(self, call: Call, subject: str, *, look: bool) -> str | None:
        """Have it made by the warehouse, or record it where we hold the goods: once, by its id."""
        async with self._store.connection() as connection:
            change = await load_change(connection, subject)
        if change.task.system is None:
            await self._record(change, look=look)
            return None
        warehouse = self._warehouses.changes_status(change.task.system)
        found = await warehouse.find_status_change(call, reference=subject) if look else None
        return found or await warehouse.change_status(call, order=_order_of(change))

    async def undo(self, call: Call, subject: str, *, look: bool) -> None:  # noqa: ARG002 - as `Work` has it
        """Never asked for: what was made is changed back by another change."""
        raise Conflict("a change is not undone: ask for the opposite one", code="status.not_withdrawable")

    async def settled(self, connection: Connection, task: Task, now: datetime) -> None:
        """Made, so that its movement is on the way (or was here before the answer), or refused."""
        before = await load_change(connection, task.subject)
        if before.state is ChangeState.CHANGED:
            return
        if task.state is TaskState.DONE:
            after = replace(before, state=ChangeState.ASKED, task=task)
            await save_change(connection, before, after, now, "stock.status.accepted")
        elif task.state is TaskState.REFUSED:
            after = replace(before, state=ChangeState.REFUSED, task=task)
            await save_change(connection, before, after, now, "stock.status.refused")

    def settle_of(self, task: Task) -> timedelta | None:
        """What the adapter declares."""
        declared = getattr(self._known(task), "settle_time", None)
        return declared if isinstance(declared, timedelta) else None

    def _known(self, task: Task) -> ChangesStatus | None:
        try:
            return None if task.system is None else self._warehouses.changes_status(task.system)
        except CrossdockError:
            return None

    async def _record(self, change: StatusChange, *, look: bool) -> None:
        """Once: under the change's id, a repetition is the same event. What is not there is not held.

        With `look` it may be recorded already, so that it is not there any more.
        """
        rows = await self._positions.positions(change.tenant, items=[change.item], location=change.location)
        there = sum(
            (row["amount"] for row in rows if row["bucket"] == change.from_bucket and row["owner"] == change.owner
             and (change.lot is None or row["lot"] == change.lot)),
            Decimal(0),
        )  # fmt: skip
        if there < change.amount and not look:
            raise Conflict(
                f"only {plain(there)} {change.sku} is {change.from_bucket} at {change.location}: ask for less",
                code="status.short",
            )
        receipt = await self._records.record(change.tenant, Report(movements=(_movement_of(change),)))
        if any(line.outcome in (Outcome.PARKED, Outcome.CONFLICT) for line in receipt.others):
            raise Conflict(f"it was not recorded: {receipt.others[0].detail}", code="status.not_recorded")


def _order_of(change: StatusChange) -> StatusOrder:
    return StatusOrder(
        change=change.change,
        location=change.location,
        item=change.item,
        sku=change.sku,
        amount=change.amount,
        uom=change.uom,
        from_bucket=Bucket(change.from_bucket),
        to_bucket=Bucket(change.to_bucket),
        lot=change.lot,
        reason=change.reason,
    )


def _movement_of(change: StatusChange) -> ReportedMovement:
    return ReportedMovement(
        source=OWN_SOURCE,
        event_id=change.change,
        line=0,
        order_key=OrderKey(0, int(change.created_at.timestamp() * _MICRO)),
        type=MovementType.STATUS_CHANGED,
        occurred_at=change.created_at,
        source_item=change.item,
        source_location=change.location,
        amount=change.amount,
        uom=change.uom,
        from_bucket=Bucket(change.from_bucket),
        to_bucket=Bucket(change.to_bucket),
        document=change.change,
        reason=change.reason,
        lot=change.lot,
        owner=change.owner,
        correlation_id=change.correlation_id,
    )


async def _locked(connection: Connection, tenant: str, change: str) -> tuple[StatusChange, datetime]:
    try:
        _, now = await lock(connection, change, tenant)
    except NotFound:
        raise NotFound(f"there is no status change {change[:40]!r}", code="status.not_found") from None
    return await load_change(connection, change, tenant), now
