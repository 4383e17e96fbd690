"""A file of items: its columns, and what a row says. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from gateway.canonical.item import Item
from gateway.canonical.units import is_unit, no_unit
from gateway.kernel.money import Money
from gateway.kernel.quantity import plain
from gateway.reference.csv_rows import Column, Layout, RefusedRow, Row, one_of, text_of
from process_apis.items.describing import PACK, price_text
from process_apis.items.models import Change, Code

GTIN: Final = "gtin"
"""The source of barcodes: a GTIN, written with 14 digits, is what it calls an item."""
_CODE: Final = "code:"
_DECIMAL: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_LENGTHS: Final = (8, 12, 13, 14)
_YES: Final = "yes"


def gtin(text: str) -> str:
    """A GTIN-8, -12, -13 or -14 as 14 digits; the last is its check digit (GS1 General Specifications, 7.9)."""
    if not text.isascii() or not text.isdigit() or len(text) not in _LENGTHS:
        raise ValueError("a GTIN of 8, 12, 13 or 14 digits")
    digits = [int(digit) for digit in text.zfill(14)]
    if sum(digit * (3 if place % 2 == 0 else 1) for place, digit in enumerate(digits)) % 10:
        raise ValueError("a GTIN whose last digit checks the others: one is mistyped")
    return text.zfill(14)


def _number(text: str) -> Decimal:
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError("a decimal number such as 12 or 0.5")
    return Decimal(text)


def _factor(text: str) -> Decimal:
    factor = _number(text)
    if factor <= 0:
        raise ValueError("a number above zero")
    return factor


def _unit(text: str) -> str:
    if not is_unit(text):
        raise ValueError(f"a unit: {no_unit(text)}")
    return text


def _matching(pattern: re.Pattern[str], what: str) -> Any:
    def parse(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(what)
        return text

    return parse


LAYOUT: Final = Layout(
    columns=(
        Column("sku", text_of(64), required=True),
        Column("name", text_of()),
        Column("base_uom", _unit),
        Column("list_price", _number),
        Column("currency", _matching(_CURRENCY, "three capital letters of ISO 4217, such as USD")),
        Column("sellable", one_of(_YES, "no")),
        Column("item_group", text_of(64)),
        Column("gtin", gtin),
    ),
    families={_CODE: text_of(), PACK: _factor},
)
"""``pack:CS`` is how many base units a case holds; ``code:wms_n`` is what the system wms_n calls the item."""


def changes_of_rows(rows: Sequence[Row], known: Mapping[str, Item]) -> tuple[list[Change], list[RefusedRow]]:
    """What each row says, besides what its source said before; `known` has items by SKU, for their currency."""
    changes: list[Change] = []
    refused: list[RefusedRow] = []
    for row in rows:
        sku = row.values["sku"]
        said = _said(row.values, known.get(sku))
        if said is None:
            detail = "a price needs its currency: fill in currency"
            refused.append(RefusedRow(line=row.line, column="currency", code="item.incomplete", detail=detail))
        else:
            changes.append(Change(record=sku, sku=sku, attributes=said, codes=tuple(_codes(row.values))))
    return changes, refused


def _codes(values: Mapping[str, Any]) -> list[Code]:
    found = [(name.removeprefix(_CODE), value) for name, value in values.items() if name.startswith(_CODE)]
    return [*found, *([(GTIN, values[GTIN])] if GTIN in values else [])]


def _said(values: Mapping[str, Any], known: Item | None) -> dict[str, Any] | None:
    said: dict[str, Any] = {name: values[name] for name in ("name", "base_uom", "item_group") if name in values}
    said |= {name: plain(value) for name, value in values.items() if name.startswith(PACK)}
    if "sellable" in values:
        said["sellable"] = values["sellable"] == _YES
    if "list_price" in values:
        currency = values.get("currency") or (known.list_price.currency if known and known.list_price else None)
        if currency is None:
            return None
        said["list_price"] = price_text(Money(values["list_price"], currency))
    return said
