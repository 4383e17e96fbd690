"""What may stand in for an item, and what a file says of that. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.canonical.item import Item
from gateway.canonical.substitute import MOST_SUBSTITUTES, ListedSubstitute
from gateway.kernel.quantity import COUNTED_UNITS
from gateway.reference.csv_rows import Column, Layout, RefusedRow, Row, text_of
from process_apis.items.kit_rules import Unfit, instant, number

_PART: Final = "substitute:"
_FACTOR: Final = "factor:"
_BOTH: Final = "both_ways:"
_CHANNELS: Final = "channels:"
_ONE: Final = Decimal(1)
_DIGITS: Final = Decimal("0.000001")


class Listing(Struct, frozen=True):
    """What may stand in for `item` from `effective_from` on, the preferred first; nothing: it has none."""

    item: str
    effective_from: datetime
    substitutes: tuple[ListedSubstitute, ...]

    @property
    def of(self) -> str:
        """The item, as what is dated of an item names it."""
        return self.item

    @property
    def said(self) -> tuple[ListedSubstitute, ...]:
        """Its substitutes."""
        return self.substitutes


def unfit(listing: Listing, items: Mapping[str, Item], is_kit: Callable[[str], bool], now: datetime) -> Unfit | None:
    """Why `listing` cannot be; None when it can. What goes into kits may stand in for something, kits may not."""
    if listing.effective_from < now:
        return Unfit("substitute.backdated", "what stood in for an item does not change: let it begin now or later")
    return _unfit_list(listing, items, is_kit) or next(
        (found for each in listing.substitutes if (found := _unfit_one(each, items)) is not None), None
    )


def _unfit_list(listing: Listing, items: Mapping[str, Item], is_kit: Callable[[str], bool]) -> Unfit | None:
    item, named = items[listing.item], [each.item for each in listing.substitutes]
    if len(named) > MOST_SUBSTITUTES:
        return Unfit("substitute.too_many", f"an item has at most {MOST_SUBSTITUTES} substitutes: keep the best")
    if len(set(named)) < len(named):
        return Unfit("substitute.repeated", "a substitute is named twice: name it once, where it is preferred")
    if listing.item in named:
        return Unfit("substitute.itself", f"{item.sku} cannot stand in for itself: leave it out")
    if named and item.base_uom not in COUNTED_UNITS:
        return Unfit("substitute.not_counted", f"{item.sku} is kept in {item.base_uom}: only pieces are substituted")
    if kits := [each for each in (listing.item, *named) if named and is_kit(each)]:
        sku = items[kits[0]].sku if kits[0] in items else kits[0]
        return Unfit("substitute.kit", f"{sku} is a kit, now: declare what may stand in for its components")
    return None


def _unfit_one(each: ListedSubstitute, items: Mapping[str, Item]) -> Unfit | None:
    item = items.get(each.item)
    if item is None:
        return Unfit("substitute.unknown", f"there is no item {each.item}: import it first")
    if each.factor <= 0:
        return Unfit("substitute.factor_invalid", f"{each.factor} of {item.sku} serves nothing: name more than zero")
    if not each.both_ways:
        return None
    if item.base_uom not in COUNTED_UNITS:
        return Unfit("substitute.not_counted", f"{item.sku} is kept in {item.base_uom}: it is substituted one way only")
    back = (_ONE / each.factor).quantize(_DIGITS)
    if back * each.factor != _ONE:
        return Unfit(
            "substitute.one_way_only",
            f"one {item.sku} serves no exact number the other way round: declare that one by itself",
        )
    return None


def with_units(listing: Listing, items: Mapping[str, Item]) -> Listing:
    """The same, with which of its substitutes come in whole units."""
    counted = {item.item for item in items.values() if item.base_uom in COUNTED_UNITS}
    told = tuple(each._replace(counted=each.item in counted) for each in listing.substitutes)
    return Listing(listing.item, listing.effective_from, told)


# --- files ------------------------------------------------------------------------------------------------------------


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("yes or no")
    return text == "yes"


LAYOUT: Final = Layout(
    columns=(Column("sku", text_of(64), required=True), Column("effective_from", instant)),
    families={_PART: text_of(64), _FACTOR: number, _BOTH: _yes_or_no, _CHANNELS: text_of(1_000)},
)
"""One row per item: ``substitute:1`` is the SKU of the preferred one, ``factor:1`` how many base units of it serve one,
``both_ways:1`` (``yes``), ``channels:1`` the channels where it does, by semicolons; and so on.

A row without substitutes says that nothing stands in for the item any more.
"""


def skus_of_row(row: Row) -> list[str]:
    """The SKUs that a row names, its item's first."""
    return [row.values["sku"], *(sku for name, sku in row.values.items() if name.startswith(_PART))]


def listing_of_row(
    row: Row, by_sku: Mapping[str, Item], is_kit: Callable[[str], bool], now: datetime
) -> Listing | RefusedRow:
    """What a row says may stand in for an item, or why it is not taken."""
    unknown = next((sku for sku in skus_of_row(row) if sku not in by_sku), None)
    if unknown is not None:
        return _refused(row, Unfit("substitute.unknown", f"there is no item {unknown!r}: import it first"))
    ranks = sorted((name.removeprefix(_PART) for name in row.values if name.startswith(_PART)), key=_rank)
    lone = next((name for name in row.values if ":" in name and name.partition(":")[2] not in ranks), None)
    if lone is not None:
        detail = f"there is no substitute beside {lone}: fill in {_PART}{lone.partition(':')[2]}"
        return _refused(row, Unfit("substitute.missing", detail))
    listed = tuple(_listed(row, rank, by_sku) for rank in ranks)
    items = {item.item: item for item in by_sku.values()}
    listing = Listing(by_sku[row.values["sku"]].item, row.values.get("effective_from", now), listed)
    misfit = unfit(listing, items, is_kit, now)
    return with_units(listing, items) if misfit is None else _refused(row, misfit)


def _listed(row: Row, rank: str, by_sku: Mapping[str, Item]) -> ListedSubstitute:
    channels = row.values.get(f"{_CHANNELS}{rank}", "").split(";")
    return ListedSubstitute(
        by_sku[row.values[f"{_PART}{rank}"]].item,
        row.values.get(f"{_FACTOR}{rank}", _ONE),
        row.values.get(f"{_BOTH}{rank}", False),
        tuple(sorted({each.strip() for each in channels if each.strip()})),
    )


def _rank(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else 1_000, name)


def _refused(row: Row, misfit: Unfit) -> RefusedRow:
    return RefusedRow(line=row.line, column=None, code=misfit.code, detail=misfit.detail)
