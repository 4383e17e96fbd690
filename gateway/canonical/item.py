"""Items: what is sold, in which units, at which list price."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion

_ONE: Final = Decimal(1)


class DatedPack(Struct, frozen=True, kw_only=True):
    """What `uom` held from `valid_from` on and before `valid_until`; None leaves that end open."""

    uom: str
    factor: Decimal
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it held that at the instant `at`."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_until is None or at < self.valid_until
        )


class Item(Struct, frozen=True, kw_only=True):
    """One sellable article.

    `item` is our opaque id; `sku` is the number people use (it may contain ``/``, ``#`` or blanks, so it never
    stands in a path). `base_uom` is the unit stock is counted in; `packs` are further units with their factor; `dated`
    has the units whose factor changed at some time, with each that they had. `group` is the item group that rules may
    speak of.
    """

    item: str
    sku: str
    name: str
    base_uom: str
    packs: tuple[UnitConversion, ...] = ()
    list_price: Money | None = None
    sellable: bool = True
    group: str | None = None
    dated: tuple[DatedPack, ...] = ()

    def factor(self, uom: str, at: datetime | None = None) -> UnitConversion | None:
        """The conversion of `uom` to the base unit, now or at an instant; None when the item is not traded in it."""
        if uom == self.base_uom:
            return UnitConversion(uom, _ONE)
        if at is not None and self.dated:
            then = [pack for pack in self.dated if pack.uom == uom]
            if then:
                return next((UnitConversion(uom, pack.factor) for pack in then if pack.holds(at)), None)
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
    group: str | None = None


class GroupMembers(Struct, frozen=True):
    """The items of each group, by their ids."""

    by_group: Mapping[str, tuple[str, ...]]
