"""Items: what is sold, in which units, at which list price."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion

_ONE: Final = Decimal(1)


class Item(Struct, frozen=True, kw_only=True):
    """One sellable article.

    `item` is our opaque id; `sku` is the number people use (it may contain ``/``, ``#`` or blanks, so it never
    stands in a path). `base_uom` is the unit stock is counted in; `packs` are further units with their factor.
    """

    item: str
    sku: str
    name: str
    base_uom: str
    packs: tuple[UnitConversion, ...] = ()
    list_price: Money | None = None
    sellable: bool = True

    def factor(self, uom: str) -> UnitConversion | None:
        """The conversion of `uom` to the base unit, or None when this item is not traded in it."""
        if uom == self.base_uom:
            return UnitConversion(uom, _ONE)
        return next((pack for pack in self.packs if pack.uom == uom), None)


class ReportedItem(Struct, frozen=True, kw_only=True):
    """An item as one system describes it; `source_code` is that system's own key."""

    source_code: str
    sku: str
    name: str
    base_uom: str
    packs: tuple[UnitConversion, ...] = ()
    list_price: Money | None = None
    sellable: bool = True
