"""The shapes of cycle counts on the wire. Amounts are exact decimals, as strings, in base units of the item."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.canonical.stock import MAIN_OWNER
from gateway.kernel.quantity import plain
from process_apis.stock_operations import models
from process_apis.stock_operations.count_rules import needs_of_count
from process_apis.stock_operations.models import AskCount, Counted, CountLine, CountState, StockCount
from process_apis.stock_operations.schemas import (
    Figure,
    Instant,
    ItemId,
    Lot,
    NeedView,
    Owner,
    TaskView,
    Text,
    task_view,
)

Bin = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["A-01-3"])]
Found = Annotated[str, Meta(pattern=r"^[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["12", "0"])]
CountedBucket = Literal["receiving", "sellable", "picked", "damaged", "returned", "quality_hold"]


class CountInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Items of one bucket of a location to be counted; `action` is the caller's own id of this command.

    All of an item is counted, wherever it lies; in each of `bins` somebody has to look. Goods of one `owner`.
    """

    action: Text
    location: Text
    items: Annotated[list[ItemId], Meta(min_length=1, max_length=200)]
    reason: Text
    bucket: CountedBucket = "sellable"
    bins: Annotated[list[Bin], Meta(max_length=200)] = []
    owner: Owner = MAIN_OWNER


class CountCutOff(Struct, kw_only=True, forbid_unknown_fields=True):
    """The last event of who holds the goods before they were counted."""

    epoch: Annotated[int, Meta(ge=0, le=9_000_000_000_000)]
    sequence: Annotated[int, Meta(ge=0, le=9_000_000_000_000_000_000)]


class CountedLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of one item was found: of a `lot`, where it lies by lot, and in a `bin`, where that is told."""

    item: ItemId
    amount: Found
    lot: Lot | None = None
    bin: Bin | None = None


class CountResultInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What was found of every item: a lot of it that is not named was found to be none.

    `cut_off` is needed where a warehouse system holds the goods.
    """

    counted_by: Text
    counted_at: Annotated[datetime, Meta(tz=True)]
    lines: Annotated[list[CountedLineInput], Meta(min_length=1, max_length=1000)]
    cut_off: CountCutOff | None = None


class CountedBinView(Struct, kw_only=True):
    """What was found in one bin."""

    bin: str
    amount: Figure


class CountLineView(Struct, kw_only=True):
    """One item, or one lot of it. What was `expected` at the cut-off is told once it was counted."""

    line: int
    item: str
    sku: str
    uom: str
    counted: Figure | None
    expected: Figure | None
    variance: Figure | None
    value: Figure | None
    movement: str | None
    lot: str | None
    unknown_lot: bool
    bins: list[CountedBinView]


class CountView(Struct, kw_only=True):
    """A count: `applied` once its figures are in the books."""

    id: str
    location: str
    bucket: str
    owner: str
    bins: list[str]
    reason: str
    state: CountState
    round: int
    lines: list[CountLineView]
    task: TaskView
    needs: list[NeedView]
    asked_by: str
    created_at: Instant
    changed_at: Instant
    counted_at: Instant | None
    counted_by: str | None
    proposed_by: str | None
    decided_by: str | None
    decision: str | None


class CountPage(Struct, kw_only=True):
    """Counts, newest first."""

    items: list[CountView]
    next_cursor: str | None


def count_command_of(data: CountInput) -> AskCount:
    """The command behind an input."""
    return AskCount(
        action=data.action,
        location=data.location,
        items=tuple(data.items),
        reason=data.reason,
        bucket=data.bucket,
        bins=tuple(data.bins),
        owner=data.owner,
    )


def counted_of(data: CountResultInput) -> Counted:
    """What was found."""
    return Counted(
        figures=tuple(models.Figure(line.item, Decimal(line.amount), line.lot, line.bin) for line in data.lines),
        counted_at=data.counted_at,
        counted_by=data.counted_by,
        cut_off=None if data.cut_off is None else (data.cut_off.epoch, data.cut_off.sequence),
    )


def count_view(count: StockCount) -> CountView:
    """A count as callers see it."""
    return CountView(
        id=count.count,
        location=count.location,
        bucket=count.bucket,
        owner=count.owner,
        bins=list(count.bins),
        reason=count.reason,
        state=count.state,
        round=count.round,
        lines=[_line_view(line) for line in count.lines],
        task=task_view(count.task),
        needs=[NeedView(code=each.code, detail=each.detail) for each in needs_of_count(count)],
        asked_by=count.asked_by,
        created_at=count.created_at,
        changed_at=count.changed_at,
        counted_at=count.counted_at,
        counted_by=count.counted_by,
        proposed_by=count.proposed_by,
        decided_by=count.decided_by,
        decision=count.decision,
    )


def _line_view(line: CountLine) -> CountLineView:
    return CountLineView(
        line=line.line,
        item=line.item,
        sku=line.sku,
        uom=line.uom,
        counted=_figure(line.counted),
        expected=_figure(line.expected),
        variance=_figure(line.variance),
        value=_figure(line.value),
        movement=line.movement,
        lot=line.lot,
        unknown_lot=line.unknown_lot,
        bins=[CountedBinView(bin=each.bin, amount=plain(each.amount)) for each in line.bins],
    )


def _figure(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)
