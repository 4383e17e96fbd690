"""Invoices and credit notes of our orders, as Tryton has them: drafts, posted and paid ones, cancelled ones too.

An invoice is found through the sales that it bills: the order's own, and those that give something back for it (their
``origin``). Which shipment it bills, Tryton says by the stock moves of its lines (module account_invoice_stock); the
shipment's reference is our posting id.

Where sales are invoiced by shipment, Tryton makes the draft itself when a shipment is done, in a task after the request
that may be late or lost; processing the sale again makes it. To bill a shipment is to post that draft.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from gateway.canonical.invoice import InvoiceLine, InvoiceState, SystemInvoice
from gateway.kernel.errors import BrokenUpstream, Conflict, Unavailable
from system_apis.tryton import mapping, wire
from system_apis.tryton.client import CHANGED_MEANWHILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.canonical.capabilities import Call
    from system_apis.tryton.directory import Directory
    from system_apis.tryton.orders import Orders

_STATES: Final = {
    "draft": InvoiceState.DRAFT,
    "validated": InvoiceState.DRAFT,
    "posted": InvoiceState.POSTED,
    "paid": InvoiceState.PAID,
    "cancelled": InvoiceState.CANCELLED,
}
_ZERO: Final = Decimal(0)
_MOST_STEPS: Final = 4


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


def added_up(live: Sequence[SystemInvoice]) -> SystemInvoice | None:
    """One under the numbers of all, with their sums; None unless there are some and all are posted."""
    if not live or not all(each.owed for each in live):
        return None
    return replace(
        live[0],
        number="+".join(each.number or each.identity for each in live),
        net=sum((each.net for each in live), _ZERO),
        tax=sum((each.tax for each in live), _ZERO),
        total=sum((each.total for each in live), _ZERO),
        lines=tuple(line for each in live for line in each.lines),
    )


class Invoices:
    """Part of the adapter: what `ReadsInvoices` and `BillsShipments` ask for."""

    def __init__(self, directory: Directory, orders: Orders) -> None:
        self._directory = directory
        self._orders = orders

    async def find(self, call: Call, reference: str, posting: str) -> SystemInvoice | None:
        """What bills the shipment of `posting`, posted; None before that."""
        return added_up(await self._bills(call, reference, posting))

    async def bill(self, call: Call, reference: str, posting: str) -> SystemInvoice:
        """Post what bills the shipment; repeated, it answers with what is posted."""
        for step in range(_MOST_STEPS):
            bills = await self._bills(call, reference, posting)
            if (posted := added_up(bills)) is not None:
                return posted
            if bills:
                await self._post_all(call, bills)
            elif step == 0:
                await self._process(call, reference)
        if await self._bills(call, reference, posting):
            raise Unavailable(f"Tryton has not posted what bills {posting} yet", code="erp.not_processed")
        raise Conflict(
            f"Tryton makes no invoice of shipment {posting} of {reference}: have sales invoiced by shipment there",
            code="erp.not_billed",
        )

    async def post(self, call: Call, number: int) -> None:
        """Post a draft; what is posted stays as it is."""
        [row] = await self._directory.rows(call, wire.Invoice, [("id", "=", number)])
        if row.state in ("draft", "validated"):
            stamp = {f"{wire.Invoice.MODEL},{row.id}": row.timestamp}
            await self._orders.press(call, wire.Invoice.MODEL, "post", [row.id], _timestamp=stamp)

    async def _bills(self, call: Call, reference: str, posting: str) -> list[SystemInvoice]:
        sales = await self._directory.rows(call, wire.BilledSale, [("reference", "=", reference)])
        return [
            each
            for each in await self.of(call, sales)
            if each.state is not InvoiceState.CANCELLED and any(line.posting == posting for line in each.lines)
        ]

    async def _post_all(self, call: Call, bills: Sequence[SystemInvoice]) -> None:
        for each in bills:
            try:
                await self.post(call, int(each.identity.rpartition(",")[2]))
            except Unavailable as busy:
                if busy.code != CHANGED_MEANWHILE:
                    raise

    async def _process(self, call: Call, reference: str) -> None:
        sales = await self._directory.rows(call, wire.BilledSale, [("reference", "=", reference)])
        behind = [sale.id for sale in sales if sale.state == "processing"]
        if behind:
            await self._orders.press(call, wire.Sale.MODEL, "process", behind)

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
