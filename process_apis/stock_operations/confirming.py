"""Movements heard from the log: each moves the counters of its transfer once, or ends its status change.

They come in any order, late and twice, and a revision takes back what it replaces. Whatever was asked or given up,
goods that moved count.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded, movements_told
from gateway.canonical.stock import MovementType
from gateway.canonical.task import TaskState
from gateway.canonical.warehouse import TRANSFER_PREFIX
from gateway.kernel.errors import NotFound
from process_apis.stock_operations.models import CHANGE_PREFIX, COUNT_PREFIX, ChangeState, CountState, Moved, Transfer
from process_apis.stock_operations.records import (
    load_change,
    load_count,
    load_transfer,
    lock,
    save_change,
    save_count,
    save_task,
    save_transfer,
    sql,
    wake,
)
from process_apis.stock_operations.rules import added, spread

_TRANSFER: Final = f"{TRANSFER_PREFIX}_"
_CHANGE: Final = f"{CHANGE_PREFIX}_"
_COUNT: Final = f"{COUNT_PREFIX}_"
_SIDES: Final = {
    MovementType.TRANSFER_DISPATCHED.value: "dispatched",
    MovementType.TRANSFER_RECEIVED.value: "received",
}


async def on_movement(connection: Connection, recorded: Recorded) -> None:
    """Handle what concerns us of an event; of all others nothing is asked of the record."""
    tenant = recorded.event.tenant
    for data in movements_told(recorded.event.data):
        document, order = data.get("document") or "", data.get("order") or ""
        if data.get("replaces"):
            await _take_back(connection, tenant, data["replaces"])
        if document.startswith(_TRANSFER) and data["type"] in _SIDES:
            await _count(connection, tenant, document, data)
        elif order.startswith(_TRANSFER) and data["type"] == MovementType.PICK_CONFIRMED:
            await _note_picking(connection, tenant, order)
        elif document.startswith(_COUNT) and data["type"] == MovementType.CYCLE_COUNTED:
            await _counted(connection, tenant, document, data)
        elif document.startswith(_CHANGE) and data["type"] == MovementType.STATUS_CHANGED:
            await _changed(connection, tenant, document, data)


async def _count(connection: Connection, tenant: str, transfer: str, data: dict[str, Any]) -> None:
    found = await _locked(connection, tenant, transfer)
    if found is None:
        return
    before, now = found
    side, amount, lot = _SIDES[data["type"]], Decimal(data["amount"]), data.get("lot") or ""
    if all(line.item != data["item"] for line in before.lines):
        stray = f"{data['item']} was {side} at {data['location']} under it, which has no such line: correct it there"
        await save_transfer(connection, before, replace(before, stray=stray), now)
        return
    more = Moved(item=data["item"], lot=lot, **{side: amount})
    movement = str(data["movement"])
    if not await connection.fetchval(
        sql.count_movement, movement, transfer, more.item, lot, more.dispatched, more.received
    ):
        return
    after = replace(before, dispatched_at=before.dispatched_at or (now if more.dispatched else None))
    told = {"item": more.item, "lot": lot or None, "amount": amount, "location": data["location"]}
    await _recount(connection, before, after, more, now, (f"stock.transfer.{side}", told | {"movement": movement}))


async def _take_back(connection: Connection, tenant: str, movement: str) -> None:
    transfer = await connection.fetchval(sql.counted_under, movement)
    found = None if transfer is None else await _locked(connection, tenant, transfer)
    if found is None:
        return
    before, now = found
    row = await connection.fetchrow(sql.take_back, movement, transfer)
    if row is None:
        return
    less = Moved(item=row["item"], lot=row["lot"], dispatched=-row["dispatched"], received=-row["received"])
    told = {"item": less.item, "lot": less.lot or None, "movement": movement}
    await _recount(connection, before, before, less, now, ("stock.transfer.corrected", told))


async def _recount(
    connection: Connection,
    before: Transfer,
    after: Transfer,
    more: Moved,
    now: datetime,
    told: tuple[str, dict[str, Any]],
) -> None:
    """Let the lines follow from what moved now. What was written off and moves after all is told as supply again."""
    moved = added(before.moved, more)
    after = replace(after, moved=moved, lines=spread(before.lines, moved))
    pairs = list(zip(before.lines, after.lines, strict=True))
    changed = next((line for was, line in pairs if was != line), after.lines[0])
    figures = {name: getattr(changed, name) for name in ("line", "dispatched", "received")}
    if any(was != line and line.written_off for was, line in pairs):
        after = replace(after, supply_version=before.supply_version + 1)
        after = replace(after, task=await wake(connection, after.task, now))
    await save_transfer(connection, before, after, now, (told[0], told[1] | figures))


async def _note_picking(connection: Connection, tenant: str, transfer: str) -> None:
    found = await _locked(connection, tenant, transfer)
    if found is not None and found[0].picking_began_at is None:
        before, now = found
        await save_transfer(connection, before, replace(before, picking_began_at=now), now)


async def _changed(connection: Connection, tenant: str, change: str, data: dict[str, Any]) -> None:
    try:
        _, now = await lock(connection, change, tenant)
        before = await load_change(connection, change, tenant)
    except NotFound:
        return
    if before.state is ChangeState.CHANGED:
        return
    task = replace(before.task, state=TaskState.DONE, look=False, error_code=None, error_detail=None, not_before=None)
    await save_task(connection, task, None)
    after = replace(before, state=ChangeState.CHANGED, movement=str(data["movement"]), task=task)
    await save_change(connection, before, after, now, "stock.status.changed")


async def _counted(connection: Connection, tenant: str, count: str, data: dict[str, Any]) -> None:
    try:
        _, now = await lock(connection, count, tenant)
        before = await load_count(connection, count, tenant)
    except NotFound:
        return
    if before.state is not CountState.POSTING:
        return
    movement = str(data["movement"])
    key = data["item"], data.get("lot") or None
    lines = tuple(replace(line, movement=movement) if (line.item, line.lot) == key else line for line in before.lines)
    task = replace(before.task, state=TaskState.DONE, look=False, error_code=None, error_detail=None, not_before=None)
    whole = all(line.movement is not None for line in lines)
    if whole:
        await save_task(connection, task, None)
    after = replace(before, lines=lines, state=CountState.APPLIED if whole else before.state)
    if after != before:
        await save_count(connection, before, after, now, "stock.count.applied" if whole else "stock.count.entered")


async def _locked(connection: Connection, tenant: str, transfer: str) -> tuple[Transfer, datetime] | None:
    """The transfer under its lock; None for a document that only looks like one of ours."""
    try:
        _, now = await lock(connection, transfer, tenant)
        return await load_transfer(connection, transfer, tenant), now
    except NotFound:
        return None
