"""The supplier's shapes to canonical objects and back. Pure."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Final

from experience_apis.supplier.v1 import schemas
from gateway.canonical.purchase import (
    AckLine,
    Acknowledgement,
    BilledLine,
    NoticeLine,
    ShipNotice,
    SupplierInvoice,
)
from gateway.kernel.quantity import plain
from process_apis.procure_to_pay.models import LineStanding, Purchase, PurchaseLine
from process_apis.procure_to_pay.suppliers import Supplier

_FINEST: Final = Decimal("0.000001")


def acknowledgement(data: schemas.AcknowledgementInput) -> Acknowledgement:
    """What the supplier answers."""
    lines = tuple(
        AckLine(
            line=line.line,
            code=line.code,
            amount=Decimal(line.amount),
            on=line.on,
            unit_price=None if line.unit_price is None else Decimal(line.unit_price),
            substitute=line.substitute,
            text=line.text,
        )
        for line in data.lines
    )
    return Acknowledgement(number=data.number, sequence=data.sequence, lines=lines)


def ship_notice(data: schemas.ShipNoticeInput) -> ShipNotice:
    """What the supplier says is on its way."""
    return ShipNotice(
        number=data.number,
        sequence=data.sequence,
        expected=data.expected,
        shipped=data.shipped,
        carrier=data.carrier,
        tracking=data.tracking,
        lines=tuple(
            NoticeLine(line=line.line, amount=Decimal(line.amount), lot=line.lot, sscc=line.sscc) for line in data.lines
        ),
    )


def invoice(data: schemas.InvoiceInput) -> SupplierInvoice:
    """What the supplier bills."""
    lines = tuple(
        BilledLine(line=line.line, amount=Decimal(line.amount), unit_price=Decimal(line.unit_price))
        for line in data.lines
    )
    return SupplierInvoice(number=data.number, invoiced=data.invoiced, currency=data.currency, lines=lines)


def order_view(purchase: Purchase) -> schemas.PurchaseOrderView:
    """An order as its supplier sees it."""
    standing = {} if purchase.standing is None else {each.line: each for each in purchase.standing.lines}
    invoices = () if purchase.standing is None else purchase.standing.invoices
    return schemas.PurchaseOrderView(
        id=purchase.purchase,
        number=purchase.number,
        state=purchase.state,
        version=purchase.version,
        test=purchase.test,
        currency=purchase.currency,
        location=purchase.location,
        lines=[_line(line, standing.get(line.line) or LineStanding(line=line.line, ordered=line.base))
               for line in purchase.lines],
        invoices=[
            schemas.BilledView(
                number=each.number, verdict=each.verdict, reasons=list(each.reasons), detail=each.detail,
                in_books=each.erp,
            )
            for each in invoices
        ],
        approved_at=purchase.approved_at,
        changed_at=purchase.changed_at,
    )  # fmt: skip


def standing_view(supplier: Supplier) -> schemas.SupplierStandingView:
    """How far a supplier is."""
    return schemas.SupplierStandingView(name=supplier.name, state=supplier.state, missing=list(supplier.missing))


def _line(line: PurchaseLine, standing: LineStanding) -> schemas.SupplierLineView:
    def told(amount: Decimal) -> str:
        """In the line's unit; what does not come out exact is cut off at six places."""
        whole = amount / line.factor
        exact = whole * line.factor == amount
        return plain(whole if exact else whole.quantize(_FINEST, ROUND_DOWN))

    return schemas.SupplierLineView(
        line=line.line,
        sku=line.sku,
        supplier_item=line.supplier_item,
        amount=plain(line.amount),
        uom=line.uom,
        unit_price=plain(line.unit_price),
        requested=line.requested,
        acknowledged=told(standing.acknowledged),
        rejected=told(standing.rejected),
        cancelled=told(standing.cancelled),
        received=told(standing.received),
        open=told(standing.open),
        accepted=told(standing.accepted),
        invoiced=told(standing.invoiced),
        expected=standing.expected,
    )
