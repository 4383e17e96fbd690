"""A file of items: its columns, what a row says beside what is known, and which rows cannot be taken. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from gateway.canonical.item import ReportedItem
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from gateway.reference.csv_rows import Column, Layout, RefusedRow, Row, one_of, text_of
from process_apis.items.models import KnownItem

GTIN: Final = "gtin"
"""The source of barcodes: a GTIN, written with 14 digits, is what it calls an item."""
_CODE: Final = "code:"
_PACK: Final = "pack:"
_DECIMAL: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_UNIT: Final = re.compile(r"[A-Z0-9]{2,3}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_LENGTHS: Final = (8, 12, 13, 14)
_YES: Final = "yes"
_DESCRIBES: Final = ("name", "base_uom", "list_price", "currency", "sellable")


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
        Column("base_uom", _matching(_UNIT, "a unit code of UN/ECE Recommendation 20, such as EA or KGM")),
        Column("list_price", _number),
        Column("currency", _matching(_CURRENCY, "three capital letters of ISO 4217, such as USD")),
        Column("sellable", one_of(_YES, "no")),
        Column("gtin", gtin),
    ),
    families={_CODE: text_of(), _PACK: _factor},
)
"""``pack:CS`` is how many base units a case holds; ``code:wms_n`` is what the system wms_n calls the item."""


def codes_of_row(values: Mapping[str, Any]) -> dict[str, str]:
    """By source, what it calls the item."""
    found = {name.removeprefix(_CODE): value for name, value in values.items() if name.startswith(_CODE)}
    return found | ({GTIN: values[GTIN]} if GTIN in values else {})


def readable(
    rows: Sequence[Row], known: Mapping[str, KnownItem], codes: Mapping[tuple[str, str], str], source: str
) -> tuple[list[tuple[Row, ReportedItem | None]], list[RefusedRow]]:
    """Rows with the item that each describes (None: it only has codes), and those that cannot be taken.

    `known` has items by SKU, `codes` the ids of the items that codes mean already.
    """
    read: list[tuple[Row, ReportedItem | None]] = []
    refused: list[RefusedRow] = []
    claimed: dict[tuple[str, str], str] = {}
    for row in rows:
        sku = row.values["sku"]
        item = known.get(sku)
        pairs = list(codes_of_row(row.values).items())
        clash = next(
            (
                pair
                for pair in pairs
                if (pair in codes and (item is None or codes[pair] != item.item.item)) or claimed.get(pair, sku) != sku
            ),
            None,
        )
        made = _clash(row, *clash) if clash is not None else _described(row, item, source)
        if isinstance(made, RefusedRow):
            refused.append(made)
        else:
            claimed |= dict.fromkeys(pairs, sku)
            read.append((row, made))
    return read, refused


def _clash(row: Row, source: str, code: str) -> RefusedRow:
    column = GTIN if source == GTIN else f"{_CODE}{source}"
    detail = f"{code!r} means another item ({source}): correct one of the two"
    return RefusedRow(line=row.line, column=column, code="item.code_taken", detail=detail)


def _described(row: Row, known: KnownItem | None, source: str) -> ReportedItem | RefusedRow | None:
    """The item as the row describes it, besides what is known of it; None when the row only has codes for it."""
    values, sku = row.values, row.values["sku"]
    packs = {name.removeprefix(_PACK): value for name, value in values.items() if name.startswith(_PACK)}
    described = [name for name in (*_DESCRIBES, *(f"{_PACK}{uom}" for uom in packs)) if name in values]
    if known is not None and not described:
        return None
    if known is not None and known.publisher != source:
        detail = f"{known.publisher} publishes {sku!r}: correct it there, and leave {described[0]} empty here"
        return RefusedRow(line=row.line, column=described[0], code="item.published_elsewhere", detail=detail)
    item = None if known is None else known.item
    missing = next((name for name in ("name", "base_uom") if item is None and name not in values), None)
    if missing is not None:
        detail = f"{missing} is empty, and {sku!r} is new: a new item needs one"
        return RefusedRow(line=row.line, column=missing, code="item.incomplete", detail=detail)
    price = None if item is None else item.list_price
    if "list_price" in values:
        currency = values.get("currency") or (price.currency if price else None)
        if currency is None:
            detail = "a price needs its currency: fill in currency"
            return RefusedRow(line=row.line, column="currency", code="item.incomplete", detail=detail)
        price = Money(values["list_price"], currency)
    factors = {pack.uom: pack.factor for pack in item.packs} if item else {}
    return ReportedItem(
        source_code=sku,
        sku=sku,
        name=values.get("name") or (item.name if item else ""),
        base_uom=values.get("base_uom") or (item.base_uom if item else ""),
        packs=tuple(UnitConversion(uom, factor) for uom, factor in sorted({**factors, **packs}.items())),
        list_price=price,
        sellable=values["sellable"] == _YES if "sellable" in values else (item.sellable if item else True),
    )
