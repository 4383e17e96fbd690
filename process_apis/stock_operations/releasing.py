"""What transfers ask of others in their turns: the supply that a destination expects, the work of an origin."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from gateway.canonical.capabilities import (
    Call,
    ClaimsStock,
    Connection,
    FindsWarehouses,
    RecordsStock,
    ReleasesTransfers,
    Report,
)
from gateway.canonical.order import WarehouseWork, WorkState
from gateway.canonical.task import Task, TaskState
from gateway.kernel.errors import Conflict, CrossdockError
from gateway.store.postgres import Store
from process_apis.stock_operations.models import Transfer
from process_apis.stock_operations.records import load_transfer, save_transfer, sql
from process_apis.stock_operations.rules import order_of, supply_of
from process_apis.stock_operations.transferring import give_up

_BEGUN = "transfer.picking_began"


class TransferWork:
    """`Work` of transfers."""

    def __init__(
        self, store: Store, *, claims: ClaimsStock, records: RecordsStock, warehouses: FindsWarehouses
    ) -> None:
        self._store = store
        self._claims = claims
        self._records = records
        self._warehouses = warehouses

    async def prepare(self, subject: str) -> None:
        """Tell the destination's supply where it changed; the same version again changes nothing."""
        transfer = await self._read(subject)
        if transfer.supply_told >= transfer.supply_version:
            return
        await self._records.record(transfer.tenant, Report(supply=tuple(supply_of(transfer))))
        await self._store.execute(sql.supply_told, subject, transfer.supply_version)

    async def task(self, connection: Connection, subject: str) -> Task:
        """The transfer's task."""
        return (await load_transfer(connection, subject)).task

    async def begin(self, connection: Connection, subject: str) -> None:
        """From here on the warehouse works on what is promised: what turns out short of it is a person's."""
        transfer = await load_transfer(connection, subject)
        await self._claims.allocate(
            connection,
            tenant=transfer.tenant,
            action=f"{subject}:hand-over",
            order=subject,
            correlation_id=transfer.correlation_id,
            handed=True,
        )

    async def ask(self, call: Call, subject: str, *, look: bool) -> str | None:
        """Release it to the origin's warehouse; without one, whoever works there reads it from our API."""
        transfer = await self._read(subject)
        warehouse = self._warehouse(transfer)
        if warehouse is None:
            return None
        found = await warehouse.find_transfer(call, reference=subject) if look else None
        if found is None:
            found = await warehouse.release_transfer(call, order=order_of(transfer))
        if found.state is WorkState.CANCELLED:
            raise Conflict(
                f"{transfer.task.system} has cancelled {found.number}, and its reference is used up: cancel the "
                "transfer and plan another",
                code="transfer.cancelled_elsewhere",
            )
        return found.number

    async def undo(self, call: Call, subject: str, *, look: bool) -> None:
        """Ask the work back."""
        transfer = await self._read(subject)
        warehouse = self._warehouse(transfer)
        if warehouse is None:
            return
        if look and _is_gone(await warehouse.find_transfer(call, reference=subject), transfer):
            return
        _is_gone(await warehouse.cancel_transfer(call, reference=subject), transfer)

    async def settled(self, connection: Connection, task: Task, now: datetime) -> None:
        """Released, refused, given up, or a cancel that the warehouse would not follow."""
        before = await load_transfer(connection, task.subject)
        after = replace(before, task=task)
        if task.state is TaskState.ABSENT:
            await give_up(connection, self._claims, before, after, now)
        elif task.state is TaskState.REFUSED:
            told = {"code": task.error_code, "detail": task.error_detail}
            await save_transfer(connection, before, after, now, ("stock.transfer.refused", told))
        elif task.state is TaskState.DONE and before.cancel_requested_at is not None:
            after = replace(after, cancel_requested_at=None, cancel_reason=None)
            told = {"code": task.error_code, "detail": task.error_detail}
            await save_transfer(connection, before, after, now, ("stock.transfer.cancel_refused", told))
        elif task.state is TaskState.DONE:
            told = {"system": task.system, "number": task.number}
            await save_transfer(connection, before, after, now, ("stock.transfer.released", told))

    def settle_of(self, task: Task) -> timedelta | None:
        """What the adapter declares."""
        warehouse = self._known(task)
        declared = getattr(warehouse, "settle_time", None)
        return declared if isinstance(declared, timedelta) else None

    def _known(self, task: Task) -> ReleasesTransfers | None:
        try:
            return None if task.system is None else self._warehouses.releases_transfers(task.system)
        except CrossdockError:
            return None

    def _warehouse(self, transfer: Transfer) -> ReleasesTransfers | None:
        system = transfer.task.system
        return None if system is None else self._warehouses.releases_transfers(system)

    async def _read(self, subject: str) -> Transfer:
        async with self._store.connection() as connection:
            return await load_transfer(connection, subject)


def _is_gone(found: WarehouseWork | None, transfer: Transfer) -> bool:
    """Whether the warehouse holds no work any more; raises `Conflict` once it picked."""
    if found is None or found.state is WorkState.CANCELLED:
        return True
    if found.state is WorkState.RELEASED:
        return False
    raise Conflict(f"{transfer.task.system} began to pick {found.number}", code=_BEGUN)
