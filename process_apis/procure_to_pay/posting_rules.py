"""What of a purchase the ERP is to be told, beside what it was told before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.canonical.purchase import ReceivedLine, SupplierInvoice
from gateway.kernel.quantity import plain
from process_apis.procure_to_pay.models import Facts, LineStanding, Need, Purchase, PurchaseLine, Standing

_ZERO: Final = Decimal(0)


class Due(Struct, frozen=True, kw_only=True):
    """Goods and invoices that the ERP is to be told now, and what a person has to put right there."""

    lines: tuple[ReceivedLine, ...] = ()
    invoices: tuple[SupplierInvoice, ...] = ()
    needs: tuple[Need, ...] = ()


def due(
    purchase: Purchase, standing: Standing, facts: Facts, told: Mapping[int, Decimal], billed: frozenset[str]
) -> Due:
    """`told` is what was told of each line so far, in its own unit; `billed` the numbers of invoices that were.

    What came in is told in whole units of the line, as the ERP counts it; pieces of a case wait for the rest of it.
    """
    by_line = {line.line: line for line in standing.lines}
    lines: list[ReceivedLine] = []
    needs: list[Need] = []
    for line in purchase.lines:
        came = _accepted(line, by_line[line.line])
        more = came - told.get(line.line, _ZERO)
        if more > 0:
            lines.append(ReceivedLine(line=line.line, amount=more, uom=line.uom))
        needs += _by_hand(line, by_line[line.line], came, told.get(line.line, _ZERO))
    for back in facts.sent_back:
        text = f"line {back.line}: {plain(back.amount)} went back under {back.number}: book that in {purchase.source}"
        needs.append(Need(key=f"back/{back.number}/{back.line}", code="purchase.return_by_hand", detail=text))
    matched = {each.number for each in standing.invoices if each.verdict == "matched"} - billed
    decided = {each.subject for each in facts.decisions}
    return Due(
        lines=tuple(lines),
        invoices=tuple(each for each in _oldest_first(facts.invoices) if each.number in matched),
        needs=tuple(need for need in needs if need.key not in decided),
    )


def _accepted(line: PurchaseLine, standing: LineStanding) -> Decimal:
    """What came in and was agreed to, in the line's unit: what went back had come in."""
    base = standing.accepted + standing.sent_back
    return base if line.factor == 1 else base // line.factor


def _by_hand(line: PurchaseLine, standing: LineStanding, came: Decimal, told: Decimal) -> list[Need]:
    if told > came:
        over = plain(told - came)
        text = f"line {line.line} ({line.sku}): a receipt of {over} {line.uom} was taken back after it was booked"
        return [Need(key=f"posted/{line.line}/{over}", code="purchase.booked_too_much", detail=text)]
    rest = standing.accepted + standing.sent_back - came * line.factor
    if rest and not standing.open:
        text = (
            f"line {line.line} ({line.sku}): {plain(rest)} {line.base_uom} came that are no whole {line.uom}, as the "
            "ERP counts: book them there"
        )
        return [Need(key=f"rest/{line.line}/{plain(rest)}", code="purchase.not_booked", detail=text)]
    return []


def _oldest_first(invoices: Sequence[SupplierInvoice]) -> list[SupplierInvoice]:
    return sorted(invoices, key=lambda each: (each.invoiced, each.number))
