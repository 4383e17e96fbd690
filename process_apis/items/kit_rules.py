"""What a kit may be made of, and what a file says of kits. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.canonical.item import Item
from gateway.canonical.kit import MOST_COMPONENTS, Component
from gateway.kernel.quantity import COUNTED_UNITS
from gateway.reference.csv_rows import Column, Layout, RefusedRow, Row, text_of

_PART: Final = "component:"
_AMOUNT: Final = "amount:"
_DECIMAL: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


class Recipe(Struct, frozen=True):
    """What `kit` is made of from `effective_from` on: nothing, and it is no kit."""

    kit: str
    effective_from: datetime
    components: tuple[Component, ...]

    @property
    def of(self) -> str:
        """The kit, as what is dated of an item names it."""
        return self.kit

    @property
    def said(self) -> tuple[Component, ...]:
        """Its components."""
        return self.components


class Unfit(Struct, frozen=True):
    """Why a kit cannot be made so, and what to do about it."""

    code: str
    detail: str


def unfit(recipe: Recipe, items: Mapping[str, Item], others: Sequence[Recipe], now: datetime) -> Unfit | None:
    """Why `recipe` cannot be; None when it can. `others` are all recipes that hold now or will.

    Kits are not nested, now or at any date to come: what goes into one has stock of its own, and nothing else.
    """
    kit = items[recipe.kit]
    parts = [part.item for part in recipe.components]
    if recipe.effective_from < now:
        return Unfit("kit.backdated", "what a kit was made of does not change: let it begin now or later")
    if len(parts) > MOST_COMPONENTS:
        return Unfit("kit.too_many_components", f"a kit has at most {MOST_COMPONENTS} components: make some one item")
    if len(set(parts)) < len(parts):
        return Unfit("kit.component_repeated", "a component is named twice: add up its amounts")
    if recipe.kit in parts:
        return Unfit("kit.contains_itself", f"{kit.sku} cannot be made of itself: leave it out")
    if parts and kit.base_uom not in COUNTED_UNITS:
        return Unfit("kit.not_counted", f"{kit.sku} is kept in {kit.base_uom}: a kit is counted in pieces")
    return _unfit_part(recipe, items) or _nested(recipe, items, others)


def _unfit_part(recipe: Recipe, items: Mapping[str, Item]) -> Unfit | None:
    for part in recipe.components:
        item = items.get(part.item)
        if item is None:
            return Unfit("kit.component_unknown", f"there is no item {part.item}: import it first")
        if part.amount <= 0:
            return Unfit("kit.amount_invalid", f"{part.amount} of {item.sku}: name more than zero")
        if item.base_uom in COUNTED_UNITS and part.amount != part.amount.to_integral_value():
            return Unfit("kit.amount_invalid", f"{part.amount} {item.base_uom} of {item.sku}: pieces are whole")
    return None


def _nested(recipe: Recipe, items: Mapping[str, Item], others: Sequence[Recipe]) -> Unfit | None:
    parts = {part.item for part in recipe.components}
    for other in others:
        if not parts or not other.components or other.kit == recipe.kit:
            continue
        if other.kit in parts:
            sku = items[other.kit].sku if other.kit in items else other.kit
            return Unfit("kit.nested", f"{sku} is a kit itself, now or later: name what it is made of instead")
        if any(part.item == recipe.kit for part in other.components):
            return Unfit(
                "kit.nested", f"{items[recipe.kit].sku} goes into another kit, now or later: that one names its parts"
            )
    return None


# --- files ------------------------------------------------------------------------------------------------------------


def number(text: str) -> Decimal:
    """An amount in a file; raises ValueError."""
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError("a decimal number such as 2 or 0.5")
    return Decimal(text)


def instant(text: str) -> datetime:
    """An instant in a file; raises ValueError."""
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found
    raise ValueError("an instant with its offset, such as 2026-12-01T00:00:00Z")


LAYOUT: Final = Layout(
    columns=(Column("sku", text_of(64), required=True), Column("effective_from", instant)),
    families={_PART: text_of(64), _AMOUNT: number},
)
"""One row per kit: ``component:1`` is the SKU of a component, ``amount:1`` how much of it goes into one; and so on.

A row without components says that the item is no kit any more.
"""


def skus_of_row(row: Row) -> list[str]:
    """The SKUs that a row names, its kit's first."""
    return [row.values["sku"], *(sku for name, sku in row.values.items() if name.startswith(_PART))]


def recipe_of_row(row: Row, by_sku: Mapping[str, Item], others: Sequence[Recipe], now: datetime) -> Recipe | RefusedRow:
    """What a row says a kit is made of, or why it is not taken."""
    parts = _parts_of_row(row)
    if isinstance(parts, RefusedRow):
        return parts
    unknown = next((sku for sku in skus_of_row(row) if sku not in by_sku), None)
    if unknown is not None:
        code = "kit.unknown" if unknown == row.values["sku"] else "kit.component_unknown"
        detail = f"there is no item {unknown!r}: import it first"
        return RefusedRow(line=row.line, column=None, code=code, detail=detail)
    recipe = Recipe(
        by_sku[row.values["sku"]].item,
        row.values.get("effective_from", now),
        tuple(sorted(Component(by_sku[sku].item, amount) for sku, amount in parts)),
    )
    misfit = unfit(recipe, {item.item: item for item in by_sku.values()}, others, now)
    if misfit is None:
        return recipe
    return RefusedRow(line=row.line, column=None, code=misfit.code, detail=misfit.detail)


def _parts_of_row(row: Row) -> list[tuple[str, Decimal]] | RefusedRow:
    """The components of a row, by SKU, with their amounts."""
    found = []
    for name, sku in row.values.items():
        if not name.startswith(_PART):
            continue
        amount = row.values.get(f"{_AMOUNT}{name.removeprefix(_PART)}")
        if amount is None:
            detail = f"{sku!r} has no amount: fill in {_AMOUNT}{name.removeprefix(_PART)}"
            return RefusedRow(line=row.line, column=name, code="kit.amount_missing", detail=detail)
        found.append((sku, amount))
    named = {name.removeprefix(_PART) for name in row.values if name.startswith(_PART)}
    for name in row.values:
        if name.startswith(_AMOUNT) and name.removeprefix(_AMOUNT) not in named:
            detail = f"there is no component beside {name}: fill in {_PART}{name.removeprefix(_AMOUNT)}"
            return RefusedRow(line=row.line, column=name, code="kit.component_missing", detail=detail)
    return found
