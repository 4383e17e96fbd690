"""What the items process takes in and tells: a known item, what a source says of one, a plan, a report of a sync."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.item import DatedPack, Item
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from gateway.reference.outcomes import Outcome, Refusal
from gateway.reference.survivorship import Statement

DOMAIN: Final = "item"
ITEM_PREFIX: Final = "itm"
Code = tuple[str, str]
"""A source and what it calls an item."""


class KnownItem(Struct, frozen=True):
    """An item in the record as it counts, with who spoke of it first and when it last changed."""

    item: Item
    publisher: str
    version: int
    changed_at: datetime


class Change(Struct, frozen=True, kw_only=True):
    """What one source says of one item: of that with the id `item`, else of that which `codes` mean, else of `sku`'s.

    `record` is what an outcome calls it. `whole`: the source says nothing else of it any more, else what it said of
    other attributes stands. `own` is the source's own code for it, `codes` are others, all of which are added.
    """

    record: str
    sku: str | None
    attributes: Mapping[str, Any]
    item: str | None = None
    own: str | None = None
    codes: tuple[Code, ...] = ()
    whole: bool = False


class RefusedItem(Struct, frozen=True):
    """An item of a source that was not taken, or not wholly, and what to do about it."""

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


class Known(Struct):
    """What the record holds of the items that some changes are about: by id, by SKU, by code, and what is said."""

    items: dict[str, KnownItem]
    skus: dict[str, str]
    codes: dict[Code, str]
    said: dict[str, list[Statement]]


class Plan(Struct):
    """What some changes come to. `described` has the items that count otherwise than before, new ones included."""

    described: dict[str, Item] = {}
    said: dict[Code, Statement] = {}
    codes: dict[Code, str] = {}
    items: dict[str, str] = {}
    created: list[str] = []
    changed: list[str] = []
    unchanged: list[str] = []
    refused: list[Refusal] = []

    @property
    def touched(self) -> list[str]:
        """Items that only get another code."""
        return sorted(set(self.codes.values()) - set(self.described))

    @property
    def outcome(self) -> Outcome:
        """What became of the changes."""
        return Outcome(
            created=tuple(self.created),
            changed=tuple(self.changed),
            unchanged=tuple(self.unchanged),
            refused=tuple(self.refused),
        )


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
        group=row["item_group"],
        dated=() if row["dated_uoms"] is None else _dated(row),
    )


def _dated(row: Mapping[str, Any]) -> tuple[DatedPack, ...]:
    columns = (row["dated_uoms"], row["dated_factors"], row["dated_from"], row["dated_until"])
    return tuple(
        DatedPack(uom=uom, factor=factor, valid_from=begin, valid_until=end)
        for uom, factor, begin, end in zip(*columns, strict=True)
    )


def known_of_row(row: Mapping[str, Any]) -> KnownItem:
    """An item with what is known of its past."""
    return KnownItem(item_of_row(row), row["publisher"], row["version"], row["changed_at"])
