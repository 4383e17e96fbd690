"""Purchases that were approved in Tryton, by when they changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.canonical.purchase import (
    PurchasePage,
    PurchaseStatus,
    ReportedPurchase,
    ReportedPurchaseLine,
)
from gateway.canonical.stock import OrderKey
from gateway.kernel.money import Money
from system_apis.tryton import wire
from system_apis.tryton.changes import version_of
from system_apis.tryton.mapping import unit_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.canonical.capabilities import Call
    from system_apis.tryton.changes import ReadsChanges
    from system_apis.tryton.settings import Settings

_STATUS: Final = {
    "confirmed": PurchaseStatus.APPROVED,
    "processing": PurchaseStatus.APPROVED,
    "done": PurchaseStatus.CLOSED,
    "cancelled": PurchaseStatus.CANCELLED,
}


class Purchases:
    """Part of the adapter: what `ReadsPurchases` asks for."""

    def __init__(self, name: str, changes: ReadsChanges, settings: Settings) -> None:
        self._name = name
        self._changes = changes
        self._settings = settings
        self._units = settings.unit_codes()

    async def read(self, call: Call, cursor: str | None, limit: int) -> PurchasePage:
        """The next `limit`; what has no number yet was never quoted, and is left out."""
        domain = [("state", "in", sorted(_STATUS)), ("number", "!=", None)]
        found = await self._changes.read(call, wire.Purchase, domain, cursor, limit)
        told = tuple(reported(self._name, row, self._units, self._settings.order_key_epoch) for row in found.rows)
        return PurchasePage(told, found.next_cursor, found.resume)


def reported(source: str, row: wire.Purchase, units: Mapping[str, str], epoch: int) -> ReportedPurchase:
    """A purchase as everybody reads it. A line's number is its id in Tryton, which stays."""
    currency = row.currency.code or ""
    return ReportedPurchase(
        source=source,
        number=row.number or str(row.id),
        order_key=OrderKey(epoch, version_of(row)),
        status=_STATUS[row.state],
        source_supplier=row.party.code or str(row.party.id),
        source_location=(row.warehouse.code if row.warehouse else None) or "",
        currency=currency,
        ordered_on=row.purchase_date,
        lines=tuple(
            ReportedPurchaseLine(
                line=line.id,
                source_item=line.product.code or str(line.product.id),
                amount=line.quantity,
                uom=unit_code(line.unit.symbol, units),
                unit_price=Money(line.unit_price, currency),
                requested=line.delivery_date,
                supplier_item=line.product_supplier.code if line.product_supplier else None,
                description=line.description,
            )
            for line in row.lines
            if line.product is not None and line.unit is not None and line.quantity is not None and line.quantity > 0
            and line.unit_price is not None
        ),
    )  # fmt: skip
