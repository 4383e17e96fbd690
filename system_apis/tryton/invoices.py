"""Invoices and credit notes of our orders, as Tryton has them: drafts, posted and paid ones, cancelled ones too.

An invoice is found through the sales that it bills: the order's own, and those that give something back for it (their
``origin``). Which shipment it bills, Tryton says by the stock moves of its lines (module account_invoice_stock); the
shipment's reference is our posting id.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from gateway.canonical.invoice import InvoiceLine, InvoiceState, SystemInvoice
from gateway.kernel.errors import BrokenUpstream
from system_apis.tryton import mapping, wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.canonical.capabilities import Call
    from system_apis.tryton.directory import Directory

_STATES: Final = {
    "draft": InvoiceState.DRAFT,
    "validated": InvoiceState.DRAFT,
    "posted": InvoiceState.POSTED,
    "paid": InvoiceState.PAID,
    "cancelled": InvoiceState.CANCELLED,
}
_ZERO: Final = Decimal(0)


def system_invoice(row: wire.Invoice, sales: Sequence[wire.BilledSale], postings: Mapping[int, str]) -> SystemInvoice:
    """One invoice, with our line numbers; `postings` are our ids of shipments by the moves that left in them."""
    if row.state not in _STATES:
        raise BrokenUpstream(f"Tryton has an invoice in an unknown state {row.state!r}", code="erp.shape")
    lines = {f"{mapping.SALE_LINE},{each.id}": (sale, each) for sale in sales for each in sale.lines}
    billed = [lines[line.origin][0].reference for line in row.lines if line.origin in lines]
    return SystemInvoice(
        identity=f"{wire.Invoice.MODEL},{row.id}",
        number=row.number,
        state=_STATES[row.state],
        issued_on=row.invoice_date,
        currency=row.currency.code or "",
        net=row.untaxed_amount or _ZERO,
        tax=row.tax_amount or _ZERO,
        total=row.total_amount or _ZERO,
        lines=tuple(
            InvoiceLine(
                line=lines[line.origin][1].sequence if line.origin in lines and line.product else None,
                code=line.product.code if line.product else None,
                amount=line.quantity or _ZERO,
                unit_price=line.unit_price or _ZERO,
                net=line.amount or _ZERO,
                posting=next((postings[move] for move in line.stock_moves if move in postings), None),
            )
            for line in row.lines
            if line.type == "line"
        ),
        reference=billed[0] if billed else None,
    )


class Invoices:
    """Part of the adapter: what `ReadsInvoices` asks for."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def read(self, call: Call, reference: str) -> Sequence[SystemInvoice]:
        """All invoices and credit notes of an order, oldest first."""
        sales = await self._directory.rows(call, wire.BilledSale, [("reference", "=", reference)])
        if not sales:
            return []
        origins = [("origin", "=", f"{wire.BilledSale.MODEL},{sale.id}") for sale in sales]
        back = await self._directory.rows(call, wire.BilledSale, ["OR", *origins])
        return await self.of(call, [*sales, *back])

    async def of(self, call: Call, sales: Sequence[wire.BilledSale]) -> Sequence[SystemInvoice]:
        """Those of some sales, oldest first."""
        numbers = sorted({number for sale in sales for number in sale.invoices})
        if not numbers:
            return []
        rows = await self._directory.rows(call, wire.Invoice, [("id", "in", numbers)])
        left = sorted({number for sale in sales for number in sale.shipments})
        shipments = await self._directory.rows(call, wire.Shipment, [("id", "in", left)]) if left else []
        postings = {move.id: row.reference for row in shipments for move in row.outgoing if row.reference}
        return [system_invoice(row, sales, postings) for row in rows]
