"""The shapes of cycle counts on the wire. Amounts are exact decimals, as strings, in base units of the item."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.kernel.quantity import plain
from process_apis.stock_operations.models import AskCount, Counted, CountState, StockCount
from process_apis.stock_operations.rules import needs_of_count
from process_apis.stock_operations.schemas import Figure, Instant, ItemId, NeedView, TaskView, Text, task_view

Found = Annotated[str, Meta(pattern=r"^[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["12", "0"])]
CountedBucket = Literal["receiving", "sellable", "picked", "damaged", "returned", "quality_hold"]


class CountInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Items of one bucket of a location to be counted; `action` is the caller's own id of this command."""

    action: Text
    location: Text
    items: Annotated[list[ItemId], Meta(min_length=1, max_length=200)]
    reason: Text
    bucket: CountedBucket = "sellable"


class CountCutOff(Struct, kw_only=True, forbid_unknown_fields=True):
    """The last event of who holds the goods before they were counted."""

    epoch: Annotated[int, Meta(ge=0, le=9_000_000_000_000)]
    sequence: Annotated[int, Meta(ge=0, le=9_000_000_000_000_000_000)]


class CountedLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of one item was found."""

    item: ItemId
    amount: Found


class CountResultInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What was found of every item. `cut_off` is needed where a warehouse system holds the goods."""

    counted_by: Text
    counted_at: Annotated[datetime, Meta(tz=True)]
    lines: Annotated[list[CountedLineInput], Meta(min_length=1, max_length=200)]
    cut_off: CountCutOff | None = None


class CountLineView(Struct, kw_only=True):
    """One item. What was `expected` at the cut-off is told once it was counted."""

    line: int
    item: str
    sku: str
    uom: str
    counted: Figure | None
    expected: Figure | None
    variance: Figure | None
    value: Figure | None
    movement: str | None


class CountView(Struct, kw_only=True):
    """A count: `applied` once its figures are in the books."""

    id: str
    location: str
    bucket: str
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
    )


def counted_of(data: CountResultInput) -> Counted:
    """What was found."""
    return Counted(
        figures=tuple((line.item, Decimal(line.amount)) for line in data.lines),
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
        reason=count.reason,
        state=count.state,
        round=count.round,
        lines=[
            CountLineView(
                line=line.line,
                item=line.item,
                sku=line.sku,
                uom=line.uom,
                counted=_figure(line.counted),
                expected=_figure(line.expected),
                variance=_figure(line.variance),
                value=_figure(line.value),
                movement=line.movement,
            )
            for line in count.lines
        ],
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


def _figure(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)
