"""What the items process takes in and tells: a known item with its publisher, a plan of changes, a report of a sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.item import DatedPack, Item, ReportedItem
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion

ITEM_PREFIX: Final = "itm"


class KnownItem(Struct, frozen=True):
    """An item in the record, with the source whose description counts and its version."""

    item: Item
    publisher: str
    version: int


class RefusedItem(Struct, frozen=True):
    """An item of a source that was not taken, and what to do about it."""

    source_code: str
    sku: str
    code: str
    detail: str


class SyncReport(Struct, frozen=True, kw_only=True):
    """What one synchronisation did, in numbers of items; `refused` names each that was not taken."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: tuple[RefusedItem, ...] = ()

    def plus(self, other: SyncReport) -> SyncReport:
        """Both reports in one."""
        return SyncReport(
            created=self.created + other.created,
            changed=self.changed + other.changed,
            unchanged=self.unchanged + other.unchanged,
            refused=self.refused + other.refused,
        )


class Plan(Struct):
    """The changes that one page of reported items asks for. `codes` maps a source code to our item id."""

    described: list[Item]
    created: set[str]
    codes: dict[str, str]
    unchanged: int
    refused: list[RefusedItem]

    @property
    def touched(self) -> list[str]:
        """Items that only get another code."""
        described = {item.item for item in self.described}
        return sorted({item for item in self.codes.values() if item not in described})


class Known(Struct, frozen=True):
    """What the record holds of the codes and SKUs of one page."""

    by_code: Mapping[str, KnownItem]
    by_sku: Mapping[str, KnownItem]


def item_of_row(row: Mapping[str, Any]) -> Item:
    """An item from a row of the view `items.current_item`."""
    price = None if row["list_price"] is None else Money(row["list_price"], row["currency"])
    packs = zip(row["uoms"] or (), row["factors"] or (), strict=True)
    return Item(
        item=row["item"],
        sku=row["sku"],
        name=row["name"],
        base_uom=row["base_uom"],
        packs=tuple(UnitConversion(uom, factor) for uom, factor in packs),
        list_price=price,
        sellable=row["sellable"],
        dated=() if row["dated_uoms"] is None else _dated(row),
    )


def _dated(row: Mapping[str, Any]) -> tuple[DatedPack, ...]:
    columns = (row["dated_uoms"], row["dated_factors"], row["dated_from"], row["dated_until"])
    return tuple(
        DatedPack(uom=uom, factor=factor, valid_from=begin, valid_until=end)
        for uom, factor, begin, end in zip(*columns, strict=True)
    )


def item_of_report(item: str, reported: ReportedItem, dated: tuple[DatedPack, ...] = ()) -> Item:
    """The item `item` as a source describes it; packs in the order of their unit, `dated` as they were."""
    return Item(
        item=item,
        sku=reported.sku,
        name=reported.name,
        base_uom=reported.base_uom,
        packs=tuple(sorted(reported.packs, key=lambda pack: pack.uom)),
        list_price=reported.list_price,
        sellable=reported.sellable,
        dated=dated,
    )
