"""How far suppliers' invoices are in Tryton's books, by when they changed.

Told are those that name a purchase and bear the supplier's number (``reference``). A draft that nobody has written to
since it was made has no ``write_date``, and is told once it goes on.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from gateway.canonical.purchase import BillPage, BillState, ReportedBill
from system_apis.tryton import wire
from system_apis.tryton.changes import version_of

if TYPE_CHECKING:
    from gateway.canonical.capabilities import Call
    from system_apis.tryton.changes import ReadsChanges

_DOMAIN: Final = (("type", "=", "in"), ("reference", "!=", None), ("purchases.id", "!=", None))


class BillStates:
    """Part of the adapter: what `ReadsSupplierInvoices` asks for."""

    def __init__(self, changes: ReadsChanges) -> None:
        self._changes = changes

    async def read(self, call: Call, cursor: str | None, limit: int) -> BillPage:
        """The next `limit`."""
        found = await self._changes.read(call, wire.SupplierBill, _DOMAIN, cursor, limit)
        return BillPage(tuple(map(reported, found.rows)), found.next_cursor, found.resume)


def reported(row: wire.SupplierBill) -> ReportedBill:
    """An invoice as everybody reads it: Tryton's states have the names of ours."""
    return ReportedBill(
        number=row.reference or "",
        purchases=tuple(sorted(each.number for each in row.purchases if each.number)),
        state=BillState(row.state),
        net=row.untaxed_amount or Decimal(0),
        currency=row.currency.code or "",
        sequence=version_of(row),
    )
