"""Whose turn it is: what a purchase that no person holds up waits for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from msgspec import Struct

from process_apis.procure_to_pay.models import LineStanding, Purchase, PurchaseState

_SHOWN: Final = 5


class Awaited(Struct, frozen=True, kw_only=True):
    """What comes next by somebody else's hand. `late`: it was promised for a day that is over."""

    code: str
    detail: str
    late: bool = False


def awaited(purchase: Purchase, today: date) -> Awaited | None:
    """An answer, goods, an invoice; None where it is over, cannot be mapped, or nothing is known of it."""
    if purchase.standing is None or purchase.cause is not None:
        return None
    lines = purchase.standing.lines
    unanswered = [line for line in lines if line.open and not line.answered]
    if unanswered and purchase.state is PurchaseState.APPROVED:
        return Awaited(code="purchase.unanswered", detail=f"the supplier did not answer {_named(unanswered)} yet")
    coming = [line for line in lines if line.open]
    if coming:
        dates = [line.expected for line in coming if line.expected is not None]
        if not dates:
            return Awaited(code="purchase.undated", detail=f"nobody knows when {_named(coming)} will come", late=True)
        late = min(dates) < today
        text = f"{_named(coming)} to come, {'since' if late else 'by'} {min(dates) if late else max(dates)}"
        return Awaited(code="purchase.goods", detail=text, late=late)
    if purchase.state is PurchaseState.RECEIVED and any(line.invoiced < line.accepted for line in lines):
        unbilled = [line for line in lines if line.invoiced < line.accepted]
        return Awaited(code="purchase.unbilled", detail=f"the supplier did not bill {_named(unbilled)} yet")
    return None


def _named(lines: Sequence[LineStanding]) -> str:
    numbers = ", ".join(str(line.line) for line in lines[:_SHOWN])
    more = len(lines) - _SHOWN
    return f"{'line' if len(lines) == 1 else 'lines'} {numbers}" + (f" and {more} more" if more > 0 else "")
