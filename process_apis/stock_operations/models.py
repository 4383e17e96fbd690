"""Transfers and changes of status: commands, facts, states."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from gateway.canonical.stock import MAIN_OWNER
from gateway.canonical.task import Task

WORKFLOW: Final = "stock_operations.turn"
QUEUE: Final = "stock_operations"
CHANGE_PREFIX: Final = "sch"
"""Of the ids of status changes, which are the documents that their movements name."""
COUNT_PREFIX: Final = "cnt"
"""Of the ids of counts, which are the documents that their movements name."""
_ZERO: Final = Decimal(0)


class TransferState(StrEnum):
    """Derived from counters and from what the warehouse confirmed; never set by hand."""

    PLANNED = "planned"
    RELEASING = "releasing"
    RELEASED = "released"
    CANCELLING = "cancelling"
    IN_TRANSIT = "in_transit"
    PARTLY_RECEIVED = "partly_received"
    COMPLETED = "completed"
    CLOSED = "closed"
    CANCELLED = "cancelled"


Missing = Literal["lost", "at_origin", "at_destination"]
"""Where what is missing of a transfer is: nowhere, never left, or arrived and not recorded."""


class SuggestedLot(Struct, frozen=True, kw_only=True):
    """So much of a lot, in base units, that would go before others: it is over sooner."""

    lot: str
    amount: Decimal
    expires_on: date | None = None


class TransferLine(Struct, frozen=True, kw_only=True):
    """One line, in base units: of one `lot`, or of whichever (`suggested`, as planned).

    `written_off` is what was missing when a person closed the line.
    """

    line: int
    item: str
    sku: str
    uom: str
    amount: Decimal
    dispatched: Decimal = _ZERO
    received: Decimal = _ZERO
    written_off: Decimal = _ZERO
    lot: str | None = None
    expires_on: date | None = None
    suggested: tuple[SuggestedLot, ...] = ()
    closed_at: datetime | None = None
    closed_by: str | None = None
    close_reason: str | None = None
    missing: Missing | None = None

    @property
    def in_transit(self) -> Decimal:
        """What left and neither came nor was written off."""
        return max(self.dispatched - self.received - self.written_off, _ZERO)

    @property
    def complete(self) -> bool:
        """Whether all that was asked left and came."""
        return self.received == self.dispatched >= self.amount


class Moved(Struct, frozen=True, kw_only=True):
    """What left and came of one lot of an item under a transfer, by its movements; lot "" where none was told."""

    item: str
    lot: str = ""
    dispatched: Decimal = _ZERO
    received: Decimal = _ZERO


class Transfer(Struct, frozen=True, kw_only=True):
    """Goods on their way from one location of ours to another, with what the origin was asked (`task`)."""

    transfer: str
    tenant: str
    origin: str
    destination: str
    asked_by: str
    correlation_id: str
    version: int
    created_at: datetime
    changed_at: datetime
    lines: tuple[TransferLine, ...]
    task: Task
    moved: tuple[Moved, ...] = ()
    state: TransferState = TransferState.PLANNED
    ship_on: date | None = None
    expected_on: date | None = None
    note: str | None = None
    released_at: datetime | None = None
    picking_began_at: datetime | None = None
    dispatched_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_reason: str | None = None
    cancelled_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    close_reason: str | None = None
    missing: Missing | None = None
    stray: str | None = None
    supply_version: int = 1
    supply_told: int = 0


class TransferWish(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line that a caller asks for, in base units; of one lot where it says so."""

    item: str
    amount: Decimal
    lot: str | None = None


class PlanTransfer(Struct, frozen=True, kw_only=True):
    """The command. Its goods are promised to it at the origin at once; with `release` the origin is asked at once."""

    action: str
    origin: str
    destination: str
    lines: tuple[TransferWish, ...]
    ship_on: date | None = None
    expected_on: date | None = None
    note: str | None = None
    release: bool = False


class Need(Struct, frozen=True):
    """What a person should look at, and what to do about it. `code` is stable."""

    code: str
    detail: str


StatusKind = Literal["hold", "release", "damage", "restore"]


class ChangeState(StrEnum):
    """What became of a change. `asked`: the warehouse made it, and its movement is on the way."""

    REQUESTED = "requested"
    ASKED = "asked"
    CHANGED = "changed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class StatusChange(Struct, frozen=True, kw_only=True):
    """A quantity that is to go from one bucket to another at its location, with what its holder was asked (`task`)."""

    change: str
    tenant: str
    kind: StatusKind
    location: str
    item: str
    sku: str
    uom: str
    amount: Decimal
    from_bucket: str
    to_bucket: str
    reason: str
    asked_by: str
    correlation_id: str
    version: int
    created_at: datetime
    changed_at: datetime
    task: Task
    state: ChangeState = ChangeState.REQUESTED
    lot: str | None = None
    movement: str | None = None
    owner: str = MAIN_OWNER


class ChangeStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The command. `amount` is in base units, of the goods of one `owner`."""

    action: str
    kind: StatusKind
    location: str
    item: str
    amount: Decimal
    reason: str
    lot: str | None = None
    owner: str = MAIN_OWNER


class CountState(StrEnum):
    """What became of a count. `posting`: agreed on, and being set; `applied`: in the books."""

    OPEN = "open"
    RECOUNT = "recount"
    TO_APPROVE = "to_approve"
    POSTING = "posting"
    REFUSED = "refused"
    APPLIED = "applied"
    REJECTED = "rejected"


class BinFigure(Struct, frozen=True, kw_only=True):
    """What was found in one bin, in base units."""

    bin: str
    amount: Decimal


class CountLine(Struct, frozen=True, kw_only=True):
    """One item, of one lot once it was found by lot, in base units; `bins` is where.

    `variance` is counted less `expected`; `value` is that at list price, if any.
    """

    line: int
    item: str
    sku: str
    uom: str
    counted: Decimal | None = None
    expected: Decimal | None = None
    variance: Decimal | None = None
    value: Decimal | None = None
    movement: str | None = None
    lot: str | None = None
    bins: tuple[BinFigure, ...] = ()
    item_group: str | None = None
    unknown_lot: bool = False


class StockCount(Struct, frozen=True, kw_only=True):
    """Items of one bucket of one location that are counted, and what was found (`round` 2: the second time)."""

    count: str
    tenant: str
    location: str
    bucket: str
    reason: str
    asked_by: str
    correlation_id: str
    version: int
    created_at: datetime
    changed_at: datetime
    lines: tuple[CountLine, ...]
    task: Task
    state: CountState = CountState.OPEN
    round: int = 1
    cut_epoch: int | None = None
    cut_sequence: int | None = None
    counted_at: datetime | None = None
    counted_by: str | None = None
    first_counted_by: str | None = None
    proposed_by: str | None = None
    decided_by: str | None = None
    decision: str | None = None
    owner: str = MAIN_OWNER
    bins: tuple[str, ...] = ()


Operation = Transfer | StatusChange | StockCount


class AskCount(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The command. Whoever counts is not told what is expected; `bins` have to be visited. Goods of one `owner`."""

    action: str
    location: str
    items: tuple[str, ...]
    reason: str
    bucket: str = "sellable"
    owner: str = MAIN_OWNER
    bins: tuple[str, ...] = ()


class Figure(NamedTuple):
    """What was found of an item: of a lot and in a bin, where these are told."""

    item: str
    amount: Decimal
    lot: str | None = None
    bin: str | None = None


class Counted(Struct, frozen=True, kw_only=True):
    """What was found, by item. `cut_off` (epoch, sequence) is the holder's last event before it; ours needs none."""

    figures: tuple[Figure, ...]
    counted_at: datetime
    counted_by: str
    cut_off: tuple[int, int] | None = None
