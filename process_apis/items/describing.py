"""An item as sources speak of it, attribute by attribute, and as it counts. Pure.

A factor is an attribute of its own (``pack:CS``), owned as `packs` is: a source that corrects one says nothing of the
others. Factors are in the base unit of who says them, so those of a source with another base unit do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from gateway.canonical.item import Item, ReportedItem
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion, plain
from gateway.reference.survivorship import DEFAULT, Ownership, Statement, surviving

PACK: Final = "pack:"
PACKS: Final = "packs"
ATTRIBUTES: Final = ("sku", "name", "base_uom", PACKS, "list_price", "sellable", "item_group")
"""What has an owner; `packs` stands for the factors of all units."""
Values = Mapping[str, Any]


def price_text(price: Money | None) -> str | None:
    """A price as a source says it: ``12.5 USD``."""
    return None if price is None else f"{plain(price.amount)} {price.currency}"


def price_of(text: str | None) -> Money | None:
    """The price that was said."""
    if text is None:
        return None
    amount, _, currency = text.partition(" ")
    return Money(Decimal(amount), currency)


def said_of_report(reported: ReportedItem) -> dict[str, Any]:
    """What a system says that lists an item."""
    said: dict[str, Any] = {
        "sku": reported.sku,
        "name": reported.name,
        "base_uom": reported.base_uom,
        "list_price": price_text(reported.list_price),
        "sellable": reported.sellable,
    }
    if reported.group is not None:
        said["item_group"] = reported.group
    return said | said_of_packs(reported.packs)


def said_of_packs(packs: Iterable[UnitConversion]) -> dict[str, str]:
    """What is said of factors, by attribute."""
    return {f"{PACK}{pack.uom}": plain(pack.factor) for pack in packs}


def implied(item: Item, publisher: str, since: datetime) -> Statement:
    """What the publisher of an item said that was taken in before statements were kept."""
    said: dict[str, Any] = {
        "sku": item.sku,
        "name": item.name,
        "base_uom": item.base_uom,
        "list_price": price_text(item.list_price),
        "sellable": item.sellable,
        **said_of_packs(item.packs),
    }
    return Statement(source=publisher, first_at=since, said_at=dict.fromkeys(said, since), attributes=said)


def owners_of(owners: Mapping[str, Ownership], statements: Iterable[Statement]) -> dict[str, Ownership]:
    """Who owns each attribute that is spoken of, factors included."""
    packs = owners.get(PACKS, DEFAULT)
    spoken = {name for each in statements for name in each.attributes if name.startswith(PACK)}
    return {**owners, **dict.fromkeys(spoken, packs)}


def counted(statements: Sequence[Statement], owners: Mapping[str, Ownership], base_uom: str | None) -> dict[str, Any]:
    """What counts of an item whose stock is counted in `base_uom` (None: not yet)."""
    by_name = owners_of(owners, statements)
    values = surviving(statements, by_name)
    base = base_uom or values.get("base_uom")
    foreign = [each for each in statements if each.attributes.get("base_uom", base) != base]
    if not foreign:
        return values
    alike = [each for each in statements if each not in foreign]
    return {
        **{name: value for name, value in values.items() if not name.startswith(PACK)},
        **{name: value for name, value in surviving(alike, by_name).items() if name.startswith(PACK)},
    }


def item_of(item: str, values: Values, before: Item | None) -> Item:
    """The item that these values make. Of what an item cannot be without, the last that counted stands."""
    base = before.base_uom if before else str(values["base_uom"])
    return Item(
        item=item,
        sku=values.get("sku") or (before.sku if before else ""),
        name=values["name"] if values.get("name") is not None else (before.name if before else ""),
        base_uom=base,
        packs=packs_of(values, base),
        list_price=price_of(values.get("list_price")),
        sellable=values.get("sellable") is not False,
        group=values.get("item_group"),
        dated=before.dated if before else (),
    )


def packs_of(values: Values, base: str) -> tuple[UnitConversion, ...]:
    """The further units in their order."""
    found = ((name.removeprefix(PACK), factor) for name, factor in values.items() if name.startswith(PACK) and factor)
    return tuple(UnitConversion(uom, Decimal(factor)) for uom, factor in sorted(found) if uom != base)
