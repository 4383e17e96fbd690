"""Of which lots an order line is picked, and which of them it gives back or ships."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from typing import Any, Final

from system_apis.regional_wms.warehouse.ledger import Ledger

Parts = list[tuple[str, Decimal]]
_COUNTERS: Final = {"PICK": ("picked", 1), "UNPICK": ("picked", -1)}


def asked(row: sqlite3.Row, line: sqlite3.Row) -> str:
    """The lot that the order asks for at a line; empty for any."""
    lines: list[dict[str, Any]] = json.loads(row["body"])["lines"]
    found = next((each for each in lines if each.get("line_number") == line["line_number"]), {})
    return str(found.get("lot") or "")


def there(ledger: Ledger, row: sqlite3.Row, line: sqlite3.Row) -> Parts:
    """What may be picked for a line, by lot, in base units."""
    wanted = asked(row, line)
    lots = ledger.lots(row["warehouse"], line["item_code"], "AVL")
    return [each for each in lots if not wanted or each[0] == wanted]


def taken(ledger: Ledger, row: sqlite3.Row, line: sqlite3.Row, kind: str, base: Decimal) -> Parts:
    """The lots that `base` units are of, kept for the line: picked as they lie, given back and shipped as picked."""
    held = ledger.rows(
        "select lot, picked, shipped from order_lot where order_id = ? and line_number = ? order by lot",
        row["id"],
        line["line_number"],
    )
    left = [(str(each["lot"]), Decimal(each["picked"]) - Decimal(each["shipped"])) for each in held]
    parts = _cut(there(ledger, row, line) if kind == "PICK" else left, base)
    column, sign = _COUNTERS.get(kind, ("shipped", 1))
    known = {str(each["lot"]): Decimal(each[column]) for each in held}
    for lot, part in parts:
        ledger.execute(
            f"insert into order_lot (order_id, line_number, lot, {column}) values (?, ?, ?, ?) "
            f"on conflict (order_id, line_number, lot) do update set {column} = excluded.{column}",
            row["id"],
            line["line_number"],
            lot,
            str(known.get(lot, Decimal(0)) + sign * part),
        )
    return parts


def _cut(lots: Parts, amount: Decimal) -> Parts:
    found = []
    for lot, left in lots:
        part = min(left, amount)
        if part > 0:
            found.append((lot, part))
            amount -= part
    # What was picked before lots were kept is of none.
    return [*found, ("", amount)] if amount else found
