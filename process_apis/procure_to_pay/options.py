"""What an operator decides of purchasing: how far suppliers may depart from an order, and where stock is reordered."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.kernel.errors import Misconfigured

_ZERO: Final = Decimal(0)


class PurchaseTolerances(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a supplier may depart from a purchase order without a buyer: by default not at all.

    An acknowledged price may be off by `ack_price_percent`, a quantity be less by `ack_quantity_percent`, a date later
    by `ack_days`. More than was ordered by `over_receipt_percent` is taken; what lacks within `under_receipt_percent`
    once something came is waited for no more. A price or quantity that is billed must pass both: `invoice_percent` of
    what was agreed, and `invoice_absolute`, money per line in the order's currency.
    """

    ack_price_percent: Decimal = _ZERO
    ack_quantity_percent: Decimal = _ZERO
    ack_days: int = 0
    accept_substitutes: bool = False
    over_receipt_percent: Decimal = _ZERO
    under_receipt_percent: Decimal = _ZERO
    invoice_percent: Decimal = _ZERO
    invoice_absolute: Decimal = _ZERO

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) >= 0:
                raise Misconfigured(f"procurement.tolerances.{name} is 0 or more")


class ReorderPoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At `location`, `sku` is reordered at `point` base units available or less, until it is above `recovers_above`.

    Without `recovers_above` that is `point`.
    """

    location: str
    sku: str
    point: Decimal
    recovers_above: Decimal | None = None

    def __post_init__(self) -> None:
        if self.point < 0 or (self.recovers_above is not None and self.recovers_above < self.point):
            raise Misconfigured("procurement.reorder_points: 0 <= point <= recovers_above")


class ProcurementOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Purchasing: the ERPs (instances of `systems`) whose purchase orders are read, tolerances, reorder points.

    `booked` are those of `sources` in which we book what came in and what was billed; in the others people do.
    """

    sources: tuple[str, ...] = ()
    booked: tuple[str, ...] = ()
    tolerances: PurchaseTolerances = PurchaseTolerances()
    reorder_points: tuple[ReorderPoint, ...] = ()

    def __post_init__(self) -> None:
        if strange := sorted(set(self.booked) - set(self.sources)):
            raise Misconfigured(f"procurement.booked names {', '.join(strange)}: add it to procurement.sources too")
