"""The shapes of stock operations on the wire. Amounts are exact decimals, as strings, in base units of the item."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from gateway.canonical.stock import MAIN_OWNER
from gateway.canonical.task import Task
from gateway.kernel.quantity import plain
from process_apis.stock_operations.models import (
    ChangeState,
    ChangeStatus,
    Missing,
    Need,
    PlanTransfer,
    StatusChange,
    StatusKind,
    Transfer,
    TransferLine,
    TransferState,
    TransferWish,
)
from process_apis.stock_operations.rules import needs_of, needs_of_change

Amount = Annotated[str, Meta(pattern=r"^(?=[0-9.]*[1-9])[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["12", "0.5"])]
Figure = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$(?!\n)", examples=["12"])]
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["west-1"])]
Lot = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["L-2031-04"])]
Owner = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["main"])]
LineNumber = Annotated[int, Meta(ge=1, le=200)]
ItemId = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9_]+$(?!\n)", examples=["itm_01"])]
Instant = Annotated[datetime, Meta(tz=True)]


class TransferLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of one item is to go; with `lot` of that lot and no other."""

    item: ItemId
    amount: Amount
    lot: Lot | None = None


class TransferPlanInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Goods to be sent from one location of ours to another; an item stands on one line, or on one for each lot.

    `action` is the caller's own id of this command: repeating it changes nothing. With `release` the origin's warehouse
    is asked at once. From the date in `expected_on` the destination counts on what is on its way by then.
    """

    action: Text
    origin: Text
    destination: Text
    lines: Annotated[list[TransferLineInput], Meta(min_length=1, max_length=200)]
    ship_on: date | None = None
    expected_on: date | None = None
    note: Text | None = None
    release: bool = False


class ReasonInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why; the audit trail keeps it."""

    reason: Text


class ClosureInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where what is missing is: `lost`, `at_origin` (it never left) or `at_destination` (it came unrecorded).

    With `lines` only of those: the others stay open.
    """

    reason: Text
    missing: Missing
    lines: Annotated[list[LineNumber], Meta(min_length=1, max_length=200)] | None = None


class HandledLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of one line of a transfer left or came, and of which `lot`: that of the line where none is told."""

    line: LineNumber
    amount: Amount
    lot: Lot | None = None


class HandlingInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What left or came at a location that we hold; `action` as for transfers, repeated with the same content."""

    action: Text
    occurred_at: Annotated[datetime, Meta(tz=True)]
    lines: Annotated[list[HandledLineInput], Meta(min_length=1, max_length=200)]


class TaskView(Struct, kw_only=True):
    """What a warehouse was asked for. No `system`: nobody is to be asked."""

    system: str | None
    state: str
    number: str | None
    attempts: int
    error: str | None


class NeedView(Struct, kw_only=True):
    """What a person should look at, and what to do."""

    code: str
    detail: str


class SuggestedLotView(Struct, kw_only=True):
    """A lot that would go first: it is over soonest."""

    lot: str
    amount: Figure
    expires_on: date | None


class MovedLotView(Struct, kw_only=True):
    """What left and came of one lot."""

    item: str
    lot: str
    dispatched: Figure
    received: Figure


class TransferLineView(Struct, kw_only=True):
    """One line, of one `lot` or of any. `in_transit` left and neither came nor was `written_off`.

    `suggested` has the lots that would go first, as they lay when it was planned.
    """

    line: int
    item: str
    sku: str
    uom: str
    amount: Figure
    dispatched: Figure
    received: Figure
    written_off: Figure
    in_transit: Figure
    lot: str | None
    expires_on: date | None
    suggested: list[SuggestedLotView]
    closed_at: Instant | None
    closed_by: str | None
    close_reason: str | None
    missing: str | None


class TransferView(Struct, kw_only=True):
    """A transfer: what was asked, what left, what came, and what a person should do."""

    id: str
    origin: str
    destination: str
    state: TransferState
    lines: list[TransferLineView]
    lots: list[MovedLotView]
    task: TaskView
    needs: list[NeedView]
    asked_by: str
    created_at: Instant
    changed_at: Instant
    ship_on: date | None
    expected_on: date | None
    note: str | None
    released_at: Instant | None
    dispatched_at: Instant | None
    cancelled_at: Instant | None
    cancel_reason: str | None
    closed_at: Instant | None
    closed_by: str | None
    close_reason: str | None
    missing: str | None


class TransferPage(Struct, kw_only=True):
    """Transfers, newest first."""

    items: list[TransferView]
    next_cursor: str | None


class StatusChangeInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A quantity to be held, released from hold, written off as damaged or restored; `action` as for transfers."""

    action: Text
    kind: StatusKind
    location: Text
    item: ItemId
    amount: Amount
    reason: Text
    lot: Text | None = None
    owner: Owner = MAIN_OWNER


class StatusChangeView(Struct, kw_only=True):
    """A change of status: `asked` once its warehouse made it, `changed` once its movement is in the books."""

    id: str
    kind: str
    location: str
    item: str
    sku: str
    uom: str
    amount: Figure
    lot: str | None
    from_bucket: str
    to_bucket: str
    reason: str
    owner: str
    state: ChangeState
    task: TaskView
    needs: list[NeedView]
    asked_by: str
    created_at: Instant
    changed_at: Instant
    movement: str | None


class StatusChangePage(Struct, kw_only=True):
    """Changes, newest first."""

    items: list[StatusChangeView]
    next_cursor: str | None


def command_of(data: TransferPlanInput) -> PlanTransfer:
    """The command behind an input."""
    return PlanTransfer(
        action=data.action,
        origin=data.origin,
        destination=data.destination,
        lines=tuple(TransferWish(item=line.item, amount=Decimal(line.amount), lot=line.lot) for line in data.lines),
        ship_on=data.ship_on,
        expected_on=data.expected_on,
        note=data.note,
        release=data.release,
    )


def change_command_of(data: StatusChangeInput) -> ChangeStatus:
    """The command behind an input."""
    return ChangeStatus(
        action=data.action,
        kind=data.kind,
        location=data.location,
        item=data.item,
        amount=Decimal(data.amount),
        reason=data.reason,
        lot=data.lot,
        owner=data.owner,
    )


def transfer_view(transfer: Transfer, today: date) -> TransferView:
    """A transfer as callers see it."""
    return TransferView(
        id=transfer.transfer,
        origin=transfer.origin,
        destination=transfer.destination,
        state=transfer.state,
        lines=[_line_view(line) for line in transfer.lines],
        lots=[
            MovedLotView(item=each.item, lot=each.lot, dispatched=plain(each.dispatched), received=plain(each.received))
            for each in transfer.moved
            if each.lot and (each.dispatched or each.received)
        ],
        task=task_view(transfer.task),
        needs=_needs_view(needs_of(transfer, today)),
        asked_by=transfer.asked_by,
        created_at=transfer.created_at,
        changed_at=transfer.changed_at,
        ship_on=transfer.ship_on,
        expected_on=transfer.expected_on,
        note=transfer.note,
        released_at=transfer.released_at,
        dispatched_at=transfer.dispatched_at,
        cancelled_at=transfer.cancelled_at,
        cancel_reason=transfer.cancel_reason,
        closed_at=transfer.closed_at,
        closed_by=transfer.closed_by,
        close_reason=transfer.close_reason,
        missing=transfer.missing,
    )


def change_view(change: StatusChange) -> StatusChangeView:
    """A status change as callers see it."""
    return StatusChangeView(
        id=change.change,
        kind=change.kind,
        location=change.location,
        item=change.item,
        sku=change.sku,
        uom=change.uom,
        amount=plain(change.amount),
        lot=change.lot,
        from_bucket=change.from_bucket,
        to_bucket=change.to_bucket,
        reason=change.reason,
        owner=change.owner,
        state=change.state,
        task=task_view(change.task),
        needs=_needs_view(needs_of_change(change)),
        asked_by=change.asked_by,
        created_at=change.created_at,
        changed_at=change.changed_at,
        movement=change.movement,
    )


def task_view(task: Task) -> TaskView:
    """What was asked, as callers see it."""
    return TaskView(
        system=task.system, state=task.state, number=task.number, attempts=task.attempts, error=task.error_detail
    )


def _line_view(line: TransferLine) -> TransferLineView:
    return TransferLineView(
        line=line.line,
        item=line.item,
        sku=line.sku,
        uom=line.uom,
        amount=plain(line.amount),
        dispatched=plain(line.dispatched),
        received=plain(line.received),
        written_off=plain(line.written_off),
        in_transit=plain(line.in_transit),
        lot=line.lot,
        expires_on=line.expires_on,
        suggested=[
            SuggestedLotView(lot=each.lot, amount=plain(each.amount), expires_on=each.expires_on)
            for each in line.suggested
        ],
        closed_at=line.closed_at,
        closed_by=line.closed_by,
        close_reason=line.close_reason,
        missing=line.missing,
    )


def _needs_view(needs: list[Need]) -> list[NeedView]:
    return [NeedView(code=each.code, detail=each.detail) for each in needs]
