"""What the ERP says of suppliers' invoices: how far each is in its books, and where that is not what we came to. Pure.

The ERP's word changes nothing of ours: who is right, a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from gateway.canonical.purchase import BillState, ReportedBill, SupplierInvoice
from gateway.kernel.quantity import plain
from process_apis.procure_to_pay.models import InvoiceStanding, Need

_ROUNDING: Final = Decimal("0.01")
_BOOKED: Final = frozenset({BillState.POSTED, BillState.PAID})


def latest_bills(bills: Sequence[ReportedBill]) -> dict[str, ReportedBill]:
    """Of each invoice what the ERP said last, by the supplier's number."""
    found: dict[str, ReportedBill] = {}
    for bill in bills:
        known = found.get(bill.number)
        if known is None or bill.sequence > known.sequence:
            found[bill.number] = bill
    return found


def beside_the_books(
    standings: Sequence[InvoiceStanding],
    invoices: Sequence[SupplierInvoice],
    bills: Sequence[ReportedBill],
    decisions: Mapping[str, bool],
) -> tuple[tuple[InvoiceStanding, ...], tuple[Need, ...]]:
    """The same standings, each with the ERP's state of it; and where the two differ, unless a person decided."""
    known = latest_bills(bills)
    said = {invoice.number: invoice for invoice in invoices}
    found: list[InvoiceStanding] = []
    needs: list[Need] = []
    for standing in standings:
        bill = known.get(standing.number)
        if bill is None:
            found.append(standing)
            continue
        found.append(replace(standing, erp=bill.state))
        needs += [need for need in _differences(standing, said[standing.number], bill) if need.key not in decisions]
    return tuple(found), tuple(needs)


def _differences(standing: InvoiceStanding, invoice: SupplierInvoice, bill: ReportedBill) -> list[Need]:
    name, agrees = f"invoice {invoice.number}", standing.verdict == "matched"
    if bill.state is BillState.CANCELLED and agrees:
        text = f"{name} agrees here, and the ERP cancelled it: have the supplier bill anew, or book it there again"
        return [_need("invoice.erp_cancelled", bill, bill.state, text, invoice.net)]
    if bill.state not in _BOOKED:
        return []
    if not agrees:
        text = f"{name} is {standing.verdict} here, and {bill.state} in the ERP"
        return [_need("invoice.erp_booked", bill, bill.state, text, bill.net)]
    if bill.currency != invoice.currency:
        text = f"{name} is in {bill.currency} in the ERP, billed in {invoice.currency}"
        return [_need("invoice.erp_differs", bill, bill.currency, text, invoice.net)]
    off = abs(bill.net - invoice.net)
    if len(bill.purchases) == 1 and off > _ROUNDING * len(invoice.lines):
        text = f"{name} is {plain(bill.net)} {bill.currency} in the ERP, and was billed as {plain(invoice.net)}"
        return [_need("invoice.erp_differs", bill, plain(bill.net), text, off)]
    return []


def _need(code: str, bill: ReportedBill, said: str, text: str, value: Decimal) -> Need:
    return Need(key=f"erp/{bill.number}/{said}", code=code, detail=text, value=value)
