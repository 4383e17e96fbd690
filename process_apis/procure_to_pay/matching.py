"""Invoices beside orders and receipts: cumulative by line, in its price unit and currency (`semantics.md` 5). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.canonical.purchase import BilledLine, SupplierInvoice
from gateway.kernel.quantity import plain
from process_apis.procure_to_pay.models import InvoiceStanding, Need, PurchaseLine, Verdict
from process_apis.procure_to_pay.options import PurchaseTolerances

_ZERO: Final = Decimal(0)
_HUNDRED: Final = Decimal(100)


class Billable(Struct, frozen=True, kw_only=True):
    """What of a line may be billed now (`accepted`), and what may come to that (`to_come`), in base units.

    At the order's price, or at one of `prices`, which were acknowledged and accepted.
    """

    line: PurchaseLine
    accepted: Decimal
    to_come: Decimal
    prices: tuple[Decimal, ...] = ()


class Matching(Struct, frozen=True, kw_only=True):
    """The verdicts, and by line how much was invoiced and how much of it agrees, in base units."""

    invoices: tuple[InvoiceStanding, ...]
    invoiced: Mapping[int, Decimal]
    matched: Mapping[int, Decimal]
    needs: tuple[Need, ...]


def match(
    invoices: Sequence[SupplierInvoice],
    lines: Mapping[int, Billable],
    currency: str,
    decisions: Mapping[str, bool],
    tolerances: PurchaseTolerances,
) -> Matching:
    """Weigh all invoices of a purchase, the earliest first. One that a buyer refused uses nothing up."""
    invoiced: dict[int, Decimal] = defaultdict(Decimal)
    matched: dict[int, Decimal] = defaultdict(Decimal)
    found: list[InvoiceStanding] = []
    needs: list[Need] = []
    for invoice in sorted(invoices, key=lambda each: (each.invoiced, each.number)):
        key = f"invoice/{invoice.number}"
        decided = decisions.get(key)
        if decided is False:
            found.append(InvoiceStanding(number=invoice.number, verdict="refused"))
            continue
        wrong, waits = _weigh(invoice, lines, currency, invoiced, tolerances)
        verdict: Verdict = "blocked" if wrong and not decided else "pending" if waits and not decided else "matched"
        for line in invoice.lines:
            if line.line in lines and verdict == "matched":
                matched[line.line] += line.amount * lines[line.line].line.factor
        detail = "; ".join(text for _, text in wrong) if verdict == "blocked" else "; ".join(waits)
        codes = tuple(dict.fromkeys(code for code, _ in wrong)) if verdict == "blocked" else ()
        detail = "" if verdict == "matched" else detail
        found.append(InvoiceStanding(number=invoice.number, verdict=verdict, reasons=codes, detail=detail))
        if verdict == "blocked":
            told = f"invoice {invoice.number}: {detail}"
            needs.append(Need(key=key, code=codes[0], detail=told, value=invoice.net))
    return Matching(invoices=tuple(found), invoiced=dict(invoiced), matched=dict(matched), needs=tuple(needs))


def _weigh(
    invoice: SupplierInvoice,
    lines: Mapping[int, Billable],
    currency: str,
    invoiced: dict[int, Decimal],
    tolerances: PurchaseTolerances,
) -> tuple[list[tuple[str, str]], list[str]]:
    """What is wrong (code, text), and what is only too early. Adds to `invoiced`."""
    wrong: list[tuple[str, str]] = []
    waits: list[str] = []
    if invoice.currency != currency:
        wrong.append(("invoice.currency", f"it is in {invoice.currency}, the order in {currency}"))
    for billed in invoice.lines:
        known = lines.get(billed.line)
        if known is None:
            wrong.append(("invoice.line_unknown", f"the order has no line {billed.line}"))
            continue
        invoiced[billed.line] += billed.amount * known.line.factor
        wrong += _price(billed, known, tolerances)
        beyond = invoiced[billed.line] - known.accepted
        if beyond <= 0:
            continue
        if beyond <= known.to_come:
            waits.append(f"line {billed.line}: {plain(beyond)} {known.line.base_uom} of it did not come yet")
        elif not _tolerated(beyond * known.line.unit_price / known.line.factor, known, tolerances):
            text = f"line {billed.line}: {plain(beyond)} {known.line.base_uom} more than came and was accepted"
            wrong.append(("invoice.quantity", text))
    return wrong, waits


def _price(billed: BilledLine, known: Billable, tolerances: PurchaseTolerances) -> list[tuple[str, str]]:
    agreed = (known.line.unit_price, *known.prices)
    price = min(agreed, key=lambda each: abs(billed.unit_price - each))
    off = abs(billed.unit_price - price)
    percent = off * _HUNDRED <= price * tolerances.invoice_percent
    if not off or (percent and off * billed.amount <= tolerances.invoice_absolute):
        return []
    told = " or ".join(plain(each) for each in dict.fromkeys(agreed))
    return [("invoice.price", f"line {billed.line}: {plain(billed.unit_price)} instead of {told} per {known.line.uom}")]


def _tolerated(value: Decimal, known: Billable, tolerances: PurchaseTolerances) -> bool:
    """Whether money for what did not come passes both tolerances."""
    agreed = known.accepted * known.line.unit_price / known.line.factor
    return value * _HUNDRED <= agreed * tolerances.invoice_percent and value <= tolerances.invoice_absolute
