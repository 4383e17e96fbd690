"""The shapes of the process API on the wire."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.canonical.item import Item
from gateway.kernel.money import Money
from gateway.kernel.quantity import plain
from gateway.reference.shapes import Text
from gateway.reference.survivorship import STEWARD
from process_apis.items.describing import PACK, price_text
from process_apis.items.models import Change, Code

_DECIMAL = r"^-?[0-9]{1,18}(\.[0-9]{1,12})?$(?!\n)"
Sku = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]
Unit = Annotated[
    str,
    Meta(pattern=r"^[A-Z0-9]{2,3}$(?!\n)", description="UN/ECE Recommendation 20, or 21 for packages", examples=["EA"]),
]
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$(?!\n)", examples=["12.5"])]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217", examples=["USD"])]
Group = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]


class PackView(Struct, kw_only=True):
    """A further unit and how many base units it holds."""

    uom: str
    factor: Annotated[str, Meta(pattern=_DECIMAL)]


class PriceView(Struct, kw_only=True):
    """An exact amount per base unit in one currency (ISO 4217)."""

    amount: Annotated[str, Meta(pattern=_DECIMAL)]
    currency: str


class ItemView(Struct, kw_only=True):
    """One item as it counts: its units, list price and group."""

    id: str
    sku: str
    name: str
    base_uom: str
    packs: list[PackView]
    list_price: PriceView | None
    sellable: bool
    item_group: str | None


class ItemPage(Struct, kw_only=True):
    """A page of items."""

    items: Annotated[list[ItemView], Meta(max_length=200)]
    next_cursor: str | None


class ItemCode(Struct, kw_only=True):
    """What a system calls an item."""

    source: str
    code: str


class ItemCodes(Struct, kw_only=True):
    """Every system's codes for an item. `gtin` is the source of barcodes, written with 14 digits."""

    codes: list[ItemCode]


class PriceInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """An exact amount per base unit in one currency."""

    amount: Amount
    currency: Currency


class ItemStatement(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a source says of an item. What is left out it does not speak of; null says that there is none.

    `packs`: how many base units each further unit holds.
    """

    sku: Sku | UnsetType = UNSET
    name: Text | UnsetType = UNSET
    base_uom: Unit | UnsetType = UNSET
    packs: Annotated[dict[Unit, Amount], Meta(max_length=50)] | UnsetType = UNSET
    list_price: PriceInput | UnsetType | None = UNSET
    sellable: bool | UnsetType = UNSET
    item_group: Group | UnsetType | None = UNSET


class ItemInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new item, what `source` says of it, and each system's code for it."""

    sku: Sku
    says: ItemStatement
    codes: Annotated[dict[Text, Text], Meta(max_length=50)] = {}
    source: Text = STEWARD


class ItemCodeInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the system calls the item."""

    code: Text


def item_view(item: Item) -> ItemView:
    """An item on the wire."""
    price = item.list_price
    return ItemView(
        id=item.item,
        sku=item.sku,
        name=item.name,
        base_uom=item.base_uom,
        packs=[PackView(uom=pack.uom, factor=plain(pack.factor)) for pack in item.packs],
        list_price=None if price is None else PriceView(amount=plain(price.amount), currency=price.currency),
        sellable=item.sellable,
        item_group=item.group,
    )


def code_list(codes: Sequence[Code]) -> ItemCodes:
    """Codes on the wire."""
    return ItemCodes(codes=[ItemCode(source=source, code=code) for source, code in codes])


def new_item(data: ItemInput) -> Change:
    """What a source says of an item that it adds."""
    codes = tuple(sorted(data.codes.items()))
    return Change(record=data.sku, sku=data.sku, attributes=said_of(data.says), codes=codes, whole=True)


def said_of(data: ItemStatement) -> dict[str, Any]:
    """What is spoken of."""
    fields = ("sku", "name", "base_uom", "sellable", "item_group")
    said: dict[str, Any] = {name: value for name in fields if (value := getattr(data, name)) is not UNSET}
    if data.packs is not UNSET:
        said |= {f"{PACK}{uom}": plain(Decimal(factor)) for uom, factor in data.packs.items()}
    if data.list_price is not UNSET:
        price = data.list_price
        said["list_price"] = None if price is None else price_text(Money(Decimal(price.amount), price.currency))
    return said
