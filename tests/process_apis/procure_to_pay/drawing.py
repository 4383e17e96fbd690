"""A purchase of two lines and facts about it, for tests of the rules."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from gateway.canonical.purchase import (
    AckLine,
    Acknowledgement,
    BilledLine,
    NoticeLine,
    PurchaseStatus,
    ReportedPurchase,
    ShipNotice,
    SupplierInvoice,
)
from gateway.canonical.stock import OrderKey
from process_apis.procure_to_pay.models import Facts, LineStanding, Purchase, PurchaseLine, Standing
from process_apis.procure_to_pay.options import PurchaseTolerances
from process_apis.procure_to_pay.rules import stand

ASKED = date(2026, 12, 1)
LATER = date(2026, 12, 9)
_NOW = datetime(2026, 11, 22, tzinfo=UTC)


def purchase(amounts: tuple[int, ...] = (10, 4), *, status: PurchaseStatus = PurchaseStatus.APPROVED) -> Purchase:
    """Line 1 is in cases of 12 at 24.00, line 2 in pieces at 3.50."""
    units = (("CS", Decimal(12), Decimal(24)), ("EA", Decimal(1), Decimal("3.5")))
    lines = tuple(
        PurchaseLine(
            line=number, item=f"itm_{number}", sku=f"SKU-{number}", source_item=f"V{number}", amount=Decimal(amount),
            uom=uom, factor=factor, base_uom="EA", unit_price=price, requested=ASKED,
        )
        for number, (amount, (uom, factor, price)) in enumerate(zip(amounts, units, strict=True), start=1)
    )  # fmt: skip
    told = ReportedPurchase(
        source="erp", number="PO-1", order_key=OrderKey(0, 1), status=status, source_supplier="S", source_location="N",
        currency="USD", lines=(),
    )  # fmt: skip
    return Purchase(
        purchase="pur_1", tenant="t", source="erp", number="PO-1", status=status, currency="USD", epoch=0, sequence=1,
        version=1, created_at=_NOW, changed_at=_NOW, reported=told, supplier="sup_1", location="north", lines=lines,
    )  # fmt: skip


def ack(number: str, *parts: tuple[int, str, Any], sequence: int = 1, **more: Any) -> Acknowledgement:
    """Parts are line, code, amount in the line's unit."""
    lines = tuple(AckLine(line=line, code=code, amount=Decimal(str(amount)), **more) for line, code, amount in parts)
    return Acknowledgement(number=number, sequence=sequence, lines=lines)


def notice(number: str, *parts: tuple[int, Any], expected: date = LATER, sequence: int = 1) -> ShipNotice:
    """Parts are line and amount in the line's unit."""
    lines = tuple(NoticeLine(line=line, amount=Decimal(str(amount))) for line, amount in parts)
    return ShipNotice(number=number, sequence=sequence, expected=expected, lines=lines)


def bill(number: str, *parts: tuple[int, Any, Any], day: int = 1, currency: str = "USD") -> SupplierInvoice:
    """Parts are line, amount, price."""
    lines = tuple(
        BilledLine(line=line, amount=Decimal(str(amount)), unit_price=Decimal(str(price)))
        for line, amount, price in parts
    )
    return SupplierInvoice(number=number, invoiced=date(2026, 12, day), currency=currency, lines=lines)


def stood(facts: Facts, of: Purchase | None = None, **tolerances: Any) -> Standing:
    """Where the purchase stands."""
    return stand(of or purchase(), facts, PurchaseTolerances(**tolerances))


def first(facts: Facts, of: Purchase | None = None, **tolerances: Any) -> LineStanding:
    """Where its first line stands."""
    return stood(facts, of, **tolerances).lines[0]
