"""Invoices of an order to the storefront's shapes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from experience_apis.storefront.v2 import invoice_schemas
from experience_apis.storefront.v2.mapping import money_view, quantity
from gateway.kernel.errors import NotFound
from gateway.kernel.ids import named_id
from gateway.kernel.money import Money
from process_apis.order_to_ship.models import Invoice, InvoicedLine, Order

_PREFIX = "inv"


def invoice_list(order: Order) -> invoice_schemas.InvoiceList:
    """All invoices of an order."""
    billed: dict[str, list[Invoice]] = {}
    for invoice in order.invoices:
        billed.setdefault(_id_of(order, invoice), []).append(invoice)
    return invoice_schemas.InvoiceList(items=[_view(order, name, parts) for name, parts in billed.items()])


def invoice_view(order: Order, invoice_id: str) -> invoice_schemas.InvoiceView:
    """One of them; raises `NotFound`."""
    parts = [invoice for invoice in order.invoices if _id_of(order, invoice) == invoice_id]
    if not parts:
        raise NotFound("this order has no such invoice: list its invoices", code="invoice.not_found")
    return _view(order, invoice_id, parts)


def invoice_of_shipment(order: Order, shipment: str) -> invoice_schemas.InvoiceView | None:
    """The one that bills a shipment; None where it is billed no more."""
    found = next((invoice for invoice in order.invoices if invoice.shipment == shipment), None)
    return None if found is None else invoice_view(order, _id_of(order, found))


def _id_of(order: Order, invoice: Invoice) -> str:
    """An ERP's number is the id of an invoice there; ours is made of it, of this order's part."""
    return named_id(_PREFIX, order.order_id, invoice.system, invoice.number)


def _view(order: Order, name: str, parts: Sequence[Invoice]) -> invoice_schemas.InvoiceView:
    first, units = parts[0], {line.line: line.uom for line in order.lines}
    sequences = {shipment.shipment_id: shipment.sequence for shipment in order.shipments}
    return invoice_schemas.InvoiceView(
        id=name,
        order_id=order.order_id,
        number=first.number,
        issued_on=first.issued_on,
        shipments=sorted(sequences[part.shipment] for part in parts if part.shipment in sequences),
        lines=[_line(line, units.get(line.line, ""), part.currency) for part in parts for line in part.lines],
        net=money_view(Money(first.net, first.currency)),
        tax=money_view(Money(first.tax, first.currency)),
        total=money_view(Money(first.total, first.currency)),
    )


def _line(line: InvoicedLine, unit: str, currency: str) -> invoice_schemas.InvoiceLineView:
    return invoice_schemas.InvoiceLineView(
        line=line.line,
        quantity=quantity(line.amount, unit),
        unit_price=money_view(Money(line.unit_price, currency)),
        net=money_view(Money(line.net, currency)),
        tax=None if line.tax is None else money_view(Money(line.tax, currency)),
    )
