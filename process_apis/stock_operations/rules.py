"""The pure decisions of stock operations: states, counters, what a person should do, what an answer makes of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from gateway.canonical.stock import OWN_SOURCE, Bucket, LotAtHand, OrderKey, ReportedSupply, SupplyKind
from gateway.canonical.task import Task, TaskState
from gateway.canonical.warehouse import TransferOrder, TransferOrderLine
from gateway.kernel.quantity import plain
from process_apis.stock_operations.models import (
    Missing,
    Moved,
    Need,
    StatusChange,
    StatusKind,
    SuggestedLot,
    Transfer,
    TransferLine,
    TransferState,
)

_ZERO: Final = Decimal(0)
OVER: Final = frozenset({TransferState.COMPLETED, TransferState.CLOSED, TransferState.CANCELLED})
BUCKETS: Final[Mapping[StatusKind, tuple[Bucket, Bucket]]] = {
    "hold": (Bucket.SELLABLE, Bucket.QUALITY_HOLD),
    "release": (Bucket.QUALITY_HOLD, Bucket.SELLABLE),
    "damage": (Bucket.SELLABLE, Bucket.DAMAGED),
    "restore": (Bucket.DAMAGED, Bucket.SELLABLE),
}
"""From which bucket to which each kind of status change goes."""


# --- transfers ----------------------------------------------------------------------------------------------------


def derive_state(transfer: Transfer) -> TransferState:
    """Where a transfer is, from its counters first: goods that moved count, whatever was asked or given up."""
    lines = transfer.lines
    if all(line.complete for line in lines):
        return TransferState.COMPLETED
    if all(is_settled(transfer, line) for line in lines):
        return TransferState.CLOSED
    if any(line.received for line in lines):
        return TransferState.PARTLY_RECEIVED
    if any(line.dispatched for line in lines):
        return TransferState.IN_TRANSIT
    return _before_leaving(transfer)


def _before_leaving(transfer: Transfer) -> TransferState:
    if transfer.cancelled_at:
        return TransferState.CANCELLED
    if transfer.cancel_requested_at:
        return TransferState.CANCELLING
    if transfer.released_at is None:
        return TransferState.PLANNED
    return TransferState.RELEASED if transfer.task.state is TaskState.DONE else TransferState.RELEASING


def is_settled(transfer: Transfer, line: TransferLine) -> bool:
    """Whether nothing of a line is to come any more: all came, or a person closed it and nothing left since."""
    return line.complete or (not line.in_transit and (transfer.closed_at or line.closed_at) is not None)


def added(moved: Sequence[Moved], more: Moved) -> tuple[Moved, ...]:
    """The sums with one movement more, or one less where its amounts are below zero (a revision)."""
    sums = {(each.item, each.lot): each for each in moved}
    key = more.item, more.lot
    known = sums.get(key, Moved(item=more.item, lot=more.lot))
    sums[key] = replace(known, dispatched=known.dispatched + more.dispatched, received=known.received + more.received)
    return tuple(sums[key] for key in sorted(sums))


def spread(lines: Sequence[TransferLine], moved: Sequence[Moved]) -> tuple[TransferLine, ...]:
    """The lines with the counters that follow from what moved in all, so that no order of news matters.

    What names a lot counts at the line of that lot. The rest (no lot told, or one that no line asks for) counts where
    the other side is ahead, then where something lacks of what was asked, line by line; what is beyond, at the first.
    """
    counters: dict[int, tuple[Decimal, Decimal]] = {}
    for item in {line.item for line in lines}:
        some = [line for line in lines if line.item == item]
        sums = [each for each in moved if each.item == item]
        lots = {line.lot for line in some if line.lot is not None}
        left, came = [_named(some, sums, side) for side in ("dispatched", "received")]
        rest_left, rest_came = [
            sum((getattr(each, side) for each in sums if each.lot not in lots), _ZERO)
            for side in ("dispatched", "received")
        ]
        wanted = [line.amount for line in some]
        left = _filled(left, rest_left, (came, wanted))
        came = _filled(came, rest_came, (left, wanted))
        counters |= {line.line: (out, back) for line, out, back in zip(some, left, came, strict=True)}
    return tuple(replace(line, dispatched=counters[line.line][0], received=counters[line.line][1]) for line in lines)


def _named(lines: Sequence[TransferLine], sums: Sequence[Moved], side: str) -> list[Decimal]:
    by_lot = {each.lot: getattr(each, side) for each in sums if each.lot}
    return [by_lot.get(line.lot or "", _ZERO) for line in lines]


def _filled(counters: list[Decimal], rest: Decimal, marks: Sequence[Sequence[Decimal]]) -> list[Decimal]:
    """`rest` added to counters: up to each row of `marks`, one row after the other, then to the first."""
    found = list(counters)
    for row in marks:
        for number, mark in enumerate(row):
            part = min(max(mark - found[number], _ZERO), rest)
            found[number] += part
            rest -= part
    found[0] += rest
    return found


def closed(line: TransferLine, now: datetime, who: str, reason: str, missing: Missing) -> TransferLine:
    """The line once a person says that what is missing of it will not come, and where it is."""
    return replace(
        line, written_off=line.written_off + line.in_transit, closed_at=now, closed_by=who, close_reason=reason,
        missing=missing,
    )  # fmt: skip


def first_expiring(
    lots: Sequence[LotAtHand], promised: Mapping[tuple[str, str], Decimal], item: str, amount: Decimal, on: date
) -> tuple[SuggestedLot, ...]:
    """Which lots of an item would go first for `amount`: what is over soonest, and not by `on`; undated ones last.

    What other transfers ask for by lot is left to them.
    """
    usable = [each for each in lots if each.item == item and each.lot and (each.expires_on or date.max) >= on]
    found = []
    for each in sorted(usable, key=lambda lot: (lot.expires_on or date.max, lot.lot)):
        part = min(each.amount - promised.get((item, each.lot), _ZERO), amount)
        if part > 0:
            found.append(SuggestedLot(lot=each.lot, amount=part, expires_on=each.expires_on))
            amount -= part
    return tuple(found)


def supply_of(transfer: Transfer) -> list[ReportedSupply]:
    """The supply that the destination may count on: what was dispatched and not received, while it is expected.

    What was written off is `received`: it is in nobody's transit any more.
    """

    def is_over(line: TransferLine) -> bool:
        return (transfer.closed_at or transfer.cancelled_at or line.closed_at) is not None

    return [
        ReportedSupply(
            source=OWN_SOURCE,
            document=transfer.transfer,
            line=line.line,
            order_key=OrderKey(0, transfer.supply_version),
            source_item=line.item,
            source_location=transfer.destination,
            ordered=line.amount,
            uom=line.uom,
            kind=SupplyKind.TRANSFER,
            cancelled=line.amount if is_over(line) else _ZERO,
            received=min(line.written_off, max(line.dispatched - line.received, _ZERO)),
            requested=transfer.expected_on,
        )
        for line in transfer.lines
    ]


def order_of(transfer: Transfer) -> TransferOrder:
    """What the origin is asked for."""
    return TransferOrder(
        transfer=transfer.transfer,
        origin=transfer.origin,
        destination=transfer.destination,
        ship_on=transfer.ship_on,
        lines=tuple(
            TransferOrderLine(
                line=line.line, item=line.item, sku=line.sku, amount=line.amount, uom=line.uom, lot=line.lot
            )
            for line in transfer.lines
        ),
    )


def cancel_refusal(transfer: Transfer) -> str | None:
    """Why a transfer can no longer be cancelled; None while it can be tried."""
    if any(line.dispatched or line.received for line in transfer.lines):
        return "goods have left: when some do not arrive, close it"
    if transfer.picking_began_at:
        return "picking began: ask the warehouse"
    return "it is closed" if transfer.closed_at else None


def needs_of(transfer: Transfer, today: date, alert_after: int = 6) -> list[Need]:
    """What a person should look at."""
    found = list(needs_of_task(transfer.task, "transfer", alert_after))
    if transfer.stray:
        found.append(Need("transfer.stray", transfer.stray))
    moved = any(line.dispatched or line.received for line in transfer.lines)
    if transfer.cancelled_at and moved:
        found.append(Need("transfer.cancelled_and_moved", "goods moved although it was cancelled: fetch or close it"))
    if transfer.state in OVER:
        return found
    found += _of_lots(transfer)
    for line in transfer.lines:
        if line.received > line.dispatched and not line.in_transit and line.dispatched:
            much = plain(line.received - line.dispatched)
            found.append(Need("transfer.surplus", f"{much} {line.sku} more came than left: have both places count"))
    lacking = [f"{plain(line.in_transit)} {line.sku}" for line in transfer.lines if line.in_transit]
    if lacking and transfer.expected_on and transfer.expected_on < today:
        detail = f"{', '.join(lacking)} did not come by {transfer.expected_on}: find it, or close and say where it is"
        found.append(Need("transfer.overdue", detail))
    late = transfer.ship_on and transfer.ship_on < today and not moved
    if late:
        found.append(Need("transfer.not_dispatched", f"it was to leave on {transfer.ship_on}: release or cancel it"))
    return found


def _of_lots(transfer: Transfer) -> list[Need]:
    asked = {(line.item, line.lot) for line in transfer.lines}
    any_lot = {line.item for line in transfer.lines if line.lot is None}
    names = {line.item: line.sku for line in transfer.lines}
    found = [
        Need("transfer.other_lot", f"lot {each.lot} of {names[each.item]} moved, and was not asked for: keep or return")
        for each in transfer.moved
        if each.lot and each.item in names and each.item not in any_lot and (each.item, each.lot) not in asked
        and (each.dispatched or each.received)
    ]  # fmt: skip
    due = transfer.expected_on or transfer.ship_on
    return found + [
        Need("transfer.lot_expires", f"lot {line.lot} of {line.sku} is over on {line.expires_on}, before it is there")
        for line in transfer.lines
        if due and line.expires_on and line.expires_on < due and not line.complete
    ]


def needs_of_change(change: StatusChange, alert_after: int = 6) -> list[Need]:
    """What a person should look at."""
    return list(needs_of_task(change.task, "status", alert_after))


def needs_of_task(task: Task, what: str, alert_after: int) -> Sequence[Need]:
    """What a person should look at of a task; `what` begins the codes."""
    if task.error_code is None:
        return ()
    said = f"{task.system or 'the record'}: {task.error_detail or task.error_code}"
    if task.state is TaskState.REFUSED:
        return (Need(f"{what}.refused", f"{said}. Mend that and retry, or cancel"),)
    if task.state is TaskState.DONE:
        return (Need(f"{what}.cancel_refused", f"{said}. It goes on"),)
    if task.attempts < alert_after:
        return ()
    return (Need(f"{what}.unanswered", f"{said}. It is tried again by itself"),)
