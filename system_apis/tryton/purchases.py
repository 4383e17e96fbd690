"""Purchases that were approved in Tryton, by when they changed.

``write_date`` is when a change began, not when it was committed: a transaction that takes long shows up behind others.
So reading is begun again a settle time before the last change that was seen; the same news again changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from gateway.canonical.purchase import (
    PurchasePage,
    PurchaseStatus,
    ReportedPurchase,
    ReportedPurchaseLine,
)
from gateway.canonical.stock import OrderKey
from gateway.kernel.errors import BrokenUpstream, Rejected
from gateway.kernel.money import Money
from system_apis.tryton import wire
from system_apis.tryton.mapping import unit_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.canonical.capabilities import Call
    from gateway.kernel.clock import Clock
    from system_apis.tryton.client import Client
    from system_apis.tryton.directory import Directory
    from system_apis.tryton.settings import Settings

_STATUS: Final = {
    "confirmed": PurchaseStatus.APPROVED,
    "processing": PurchaseStatus.APPROVED,
    "done": PurchaseStatus.CLOSED,
    "cancelled": PurchaseStatus.CANCELLED,
}
_ORDER: Final = (("write_date", "ASC"), ("id", "ASC"))
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Purchases:
    """Part of the adapter: what `ReadsPurchases` asks for."""

    def __init__(self, name: str, client: Client, directory: Directory, settings: Settings, clock: Clock) -> None:
        self._name = name
        self._client = client
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._units = settings.unit_codes()

    async def read(self, call: Call, cursor: str | None, limit: int) -> PurchasePage:
        """The next `limit`; what has no number yet was never quoted, and is left out."""
        after, last = _place(cursor)
        instant = after.replace(tzinfo=None)
        behind = ["OR", ("write_date", ">", instant), [("write_date", "=", instant), ("id", ">", last)]]
        domain = [("state", "in", sorted(_STATUS)), ("number", "!=", None), behind]
        found = await self._client.search_read(
            call, wire.Purchase.MODEL, domain, wire.Purchase.FIELDS, limit=limit, order=_ORDER,
            context=await self._directory.context(call),
        )  # fmt: skip
        try:
            rows = wire.rows(found, wire.Purchase)
        except ValueError as error:
            raise BrokenUpstream(f"Tryton answered something else than purchases: {error}", code="erp.shape") from None
        if not rows:
            return PurchasePage((), cursor, cursor)
        changed = rows[-1].write_date.replace(tzinfo=UTC)
        settled = self._clock.now() - timedelta(seconds=self._settings.settle_time_s)
        resume = _cursor(changed, rows[-1].id) if changed <= settled else _cursor(max(settled, after), 0)
        told = tuple(reported(self._name, row, self._units, self._settings.order_key_epoch) for row in rows)
        return PurchasePage(told, _cursor(changed, rows[-1].id), resume)


def reported(source: str, row: wire.Purchase, units: Mapping[str, str], epoch: int) -> ReportedPurchase:
    """A purchase as everybody reads it. A line's number is its id in Tryton, which stays."""
    currency = row.currency.code or ""
    changed = row.write_date.replace(tzinfo=UTC)
    return ReportedPurchase(
        source=source,
        number=row.number or str(row.id),
        order_key=OrderKey(epoch, _microseconds(changed)),
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


def _microseconds(instant: datetime) -> int:
    return (instant - _BEGINNING) // timedelta(microseconds=1)


def _cursor(instant: datetime, number: int) -> str:
    return f"{_microseconds(instant)}.{number}"


def _place(cursor: str | None) -> tuple[datetime, int]:
    if cursor is None:
        return _BEGINNING, 0
    at, dot, number = cursor.partition(".")
    if not (dot and at.isascii() and at.isdigit() and number.isascii() and number.isdigit()):
        raise Rejected("this cursor is not one of ours: start without one", code="erp.bad_cursor")
    return _BEGINNING + timedelta(microseconds=int(at)), int(number)
