"""The wire shapes of what customer service does to orders."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from process_apis.order_to_ship.models import ReworkLine
from process_apis.order_to_ship.schemas import Amount, Text

LineNumber = Annotated[int, Meta(ge=1, le=1_000_000, examples=[1])]


class HoldInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why, for the audit trail. `action` is the caller's own id of this command: repeating it changes nothing."""

    action: Text
    reason: Text


class LineShareInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A line, or `amount` of it in base units: without, all that is open and backordered of it."""

    line: LineNumber
    amount: Amount | None = None


class MovedLineInput(LineShareInput, kw_only=True, forbid_unknown_fields=True):
    """A line, or part of it, and the location that it is to be served from."""

    location: Text


class LineCancellationInput(HoldInput, kw_only=True, forbid_unknown_fields=True):
    """What of which lines is cancelled; all that is left of an order is its cancellation."""

    lines: Annotated[list[LineShareInput], Meta(min_length=1, max_length=1000)]


class SplitInput(HoldInput, kw_only=True, forbid_unknown_fields=True):
    """What is to leave apart from the rest of the order."""

    lines: Annotated[list[LineShareInput], Meta(min_length=1, max_length=1000)]


class ReallocationInput(HoldInput, kw_only=True, forbid_unknown_fields=True):
    """Which lines are to be served from where."""

    lines: Annotated[list[MovedLineInput], Meta(min_length=1, max_length=1000)]


def lines_of(lines: Sequence[LineShareInput]) -> tuple[ReworkLine, ...]:
    """The lines as the process takes them."""
    return tuple(
        ReworkLine(
            line=each.line,
            amount=None if each.amount is None else Decimal(each.amount),
            location=each.location if isinstance(each, MovedLineInput) else None,
        )
        for each in lines
    )
