"""What is wrong with the invoices of an order, beside what was shipped and at which price. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from gateway.canonical.invoice import InvoiceLine, InvoiceState, SystemInvoice
from gateway.canonical.reconciliation import BookedOrder, BookedShipment
from gateway.kernel.quantity import plain
from process_apis.reconciliation.models import Cause

_ZERO: Final = Decimal(0)
UNSHIPPED: Final = "unshipped"
Wrong = tuple[Cause, str, Decimal]
Billed = tuple[SystemInvoice, InvoiceLine]


def wrong_invoices(
    booked: BookedOrder, found: Sequence[SystemInvoice], *, due_before: datetime, tolerance: Decimal
) -> Mapping[str, Wrong]:
    """By posting, or `UNSHIPPED`: a shipment that is billed twice, otherwise than it left, or not at all in time.

    What left before `due_before` is to be invoiced, in a posted invoice. Each line's net is its amount times the
    order's price, within `tolerance`. Credit notes and cancelled invoices bill nothing. Where an ERP does not say which
    shipment a line bills, all that is billed of an order line is held against all that left of it.
    """
    bills = [
        (invoice, line)
        for invoice in found
        if not invoice.is_credit and invoice.state is not InvoiceState.CANCELLED
        for line in invoice.lines
        if line.line is not None
    ]
    if any(line.posting is None for _, line in bills):
        whole = _all_of(booked)
        told = _wrong(booked, whole, bills, due_before, tolerance)
        return {} if told is None else {UNSHIPPED if told[2] > 0 else "": told}
    wrong: dict[str, Wrong] = {}
    for shipment in booked.shipments:
        of_it = [(invoice, line) for invoice, line in bills if line.posting == shipment.posting]
        if (told := _wrong(booked, shipment, of_it, due_before, tolerance)) is not None:
            wrong[shipment.posting] = told
    return wrong


def _wrong(
    booked: BookedOrder, shipment: BookedShipment, bills: Sequence[Billed], due_before: datetime, tolerance: Decimal
) -> Wrong | None:
    told = sum(shipment.lines.values(), _ZERO)
    if not any(invoice.owed for invoice, _ in bills):
        if not told or shipment.shipped_at is None or shipment.shipped_at >= due_before:
            return None
        draft = next((invoice.identity for invoice, _ in bills), None)
        what = f"has it as a draft only ({draft}): post it" if draft else "has not invoiced it: invoice it there"
        return Cause.LOSS, f"{booked.system} {what}; it left on {shipment.shipped_at.date()}", -told
    return _quantities(booked, shipment, bills) or _prices(booked, bills, tolerance)


def _quantities(booked: BookedOrder, shipment: BookedShipment, bills: Sequence[Billed]) -> Wrong | None:
    billed: dict[int, Decimal] = defaultdict(Decimal)
    for _, line in bills:
        billed[line.line or 0] += line.amount
    lines = sorted(line for line in {*billed, *shipment.lines} if billed[line] != shipment.lines.get(line, _ZERO))
    if not lines:
        return None
    numbers = ", ".join(dict.fromkeys(invoice.number or invoice.identity for invoice, _ in bills))
    said = ", ".join(
        f"line {line}: {plain(billed[line])} for {plain(shipment.lines.get(line, _ZERO))}" for line in lines[:5]
    )
    more = sum(billed.values(), _ZERO) - sum(shipment.lines.values(), _ZERO)
    twice = more > 0 and len({invoice.identity for invoice, _ in bills}) > 1
    advice = "billed twice: credit one of them" if twice else "credit or bill the difference"
    return Cause.SOURCE_ONLY, f"{booked.system} bills other quantities in {numbers} ({said}): {advice}", more


def _prices(booked: BookedOrder, bills: Sequence[Billed], tolerance: Decimal) -> Wrong | None:
    for invoice, line in bills:
        price = booked.prices.get(line.line or 0)
        if price is None or abs(line.net - line.amount * price) <= tolerance:
            continue
        detail = (
            f"{booked.system} bills line {line.line} in {invoice.number or invoice.identity} at {plain(line.net)}, "
            f"agreed was {plain(line.amount * price)}: credit or bill the difference"
        )
        return Cause.SOURCE_ONLY, detail, line.net - line.amount * price
    return None


def _all_of(booked: BookedOrder) -> BookedShipment:
    lines: dict[int, Decimal] = defaultdict(Decimal)
    for shipment in booked.shipments:
        for line, amount in shipment.lines.items():
            lines[line] += amount
    times = [shipment.shipped_at for shipment in booked.shipments if shipment.shipped_at is not None]
    return BookedShipment(posting="", location="", lines=dict(lines), shipped_at=min(times, default=None))
