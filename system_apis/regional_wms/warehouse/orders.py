"""Orders to pick and ship: released once per client reference, picked, shipped in parts, cancelled before picking."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from typing import Any, Final

from gateway.sandboxes.books import Refusal
from system_apis.regional_wms.warehouse import lots
from system_apis.regional_wms.warehouse.ledger import Ledger
from system_apis.regional_wms.warehouse.work import positive

_LONGEST: Final = 64
_OPEN: Final = ("RELEASED", "PICKING", "PARTIAL")


def release(ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    """Take an order on; its client reference is unique for ever."""
    reference, lines = order.get("client_reference"), order.get("lines")
    if not isinstance(reference, str) or not 0 < len(reference) <= _LONGEST or not isinstance(lines, list) or not lines:
        raise Refusal(422, "BAD_ORDER", "client_reference (1 to 64 characters) and lines are needed")
    if order.get("kind", "ORDER") not in ("ORDER", "TRANSFER"):
        raise Refusal(422, "BAD_ORDER", "kind is ORDER or TRANSFER")
    if order.get("kind") == "TRANSFER" and not order.get("destination"):
        raise Refusal(422, "BAD_ORDER", "a transfer needs its destination")
    if order.get("warehouse") not in ledger.warehouses:
        raise Refusal(422, "UNKNOWN_WAREHOUSE", f"no warehouse {order.get('warehouse')!r}")
    with ledger.transaction() as db:
        if ledger.rows("select 1 from wms_order where client_reference = ?", reference):
            raise Refusal(409, "DUPLICATE_REFERENCE", f"there is an order with client_reference {reference}")
        made = db.execute(
            "insert into wms_order (client_reference, warehouse, status, body) values (?, ?, 'RELEASED', ?)",
            (reference, order["warehouse"], json.dumps(order)),
        )
        for line in lines:
            _add_line(ledger, db, made.lastrowid or 0, line)
    return find(ledger, reference=reference)[0]


def _add_line(ledger: Ledger, db: sqlite3.Connection, order_id: int, line: dict[str, Any]) -> None:
    item = ledger.item(line.get("item_code")) if "item_code" in line else ledger.item(sku=line.get("client_sku"))
    unit = line.get("unit", item["base_unit"])
    amount = positive(line.get("quantity"))
    ledger.base(item, amount, unit)
    try:
        db.execute(
            "insert into order_line (order_id, line_number, item_code, client_sku, unit, ordered) "
            "values (?, ?, ?, ?, ?, ?)",
            (order_id, line["line_number"], item["item_code"], item["client_sku"], unit, str(amount)),
        )
    except (sqlite3.IntegrityError, KeyError):
        raise Refusal(422, "BAD_ORDER", "line_number is needed, once per line") from None


def find(
    ledger: Ledger, *, reference: str | None = None, number: str | None = None, open_only: bool = False
) -> list[dict[str, Any]]:
    """Orders by client reference or number; without either all, or those that something is to be done about."""
    where: str = ""
    args: list[str | int] = []
    if reference is not None:
        where, args = "where client_reference = ?", [reference]
    elif number is not None:
        where, args = "where id = ?", [int(number[3:]) if number[3:].isdigit() else 0]
    elif open_only:
        where = "where status in ('RELEASED', 'PICKING', 'PARTIAL')"
    return [_shown(ledger, row) for row in ledger.rows(f"select * from wms_order {where} order by id", *args)]


def cancel(ledger: Ledger, number: str) -> dict[str, Any]:
    """Cancel before picking; cancelling again answers the same."""
    with ledger.transaction() as db:
        row = _one(ledger, number=number)
        if row["status"] == "CANCELLED":
            return _shown(ledger, row)
        if row["status"] != "RELEASED":
            raise Refusal(409, "PICKING_STARTED", f"{number} is being picked; ask the warehouse")
        db.execute("update wms_order set status = 'CANCELLED' where id = ?", (row["id"],))
    return find(ledger, number=number)[0]


def pick(ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    """Pick what is named, else all that is open."""
    with ledger.transaction():
        row = _open_order(ledger, order)
        return _pick(ledger, row, _asked(ledger, row, order, "ordered", "picked"))


def unpick(ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    """Put back what is named, else all that is picked and not shipped."""
    with ledger.transaction():
        row = _open_order(ledger, order)
        asked = _asked(ledger, row, order, "picked", "shipped")
        return _apply(ledger, row, asked, "UNPICK", ("PCK", "AVL"), ("picked", -1), "PICKING")


def ship(ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    """Ship what is named, else all that is open; what is not picked yet is picked first, as its own event."""
    with ledger.transaction() as db:
        row = _open_order(ledger, order)
        asked = _asked(ledger, row, order, "ordered", "shipped")
        missing = []
        for line, amount in asked:
            short = amount - (Decimal(line["picked"]) - Decimal(line["shipped"]))
            if short > 0:
                missing.append((line, short))
        if missing:
            _pick(ledger, row, missing)
        kind = "SHIP" if _destination(row) is None else "XFER_OUT"
        event = _apply(ledger, row, asked, kind, ("PCK", None), ("shipped", 1), "PARTIAL")
        if not any(Decimal(line["ordered"]) > Decimal(line["shipped"]) for line in _lines(ledger, row["id"])):
            db.execute("update wms_order set status = 'SHIPPED' where id = ?", (row["id"],))
        return event


def _pick(ledger: Ledger, row: sqlite3.Row, asked: list[tuple[sqlite3.Row, Decimal]]) -> dict[str, Any]:
    for line, amount in asked:
        base = ledger.base(ledger.item(line["item_code"]), amount, line["unit"])
        if sum((there for _, there in lots.there(ledger, row, line)), Decimal(0)) < base:
            raise Refusal(409, "SHORT", f"not enough {line['item_code']} in {row['warehouse']}")
    status = "PARTIAL" if row["status"] == "PARTIAL" else "PICKING"
    return _apply(ledger, row, asked, "PICK", ("AVL", "PCK"), ("picked", 1), status)


def _apply(
    ledger: Ledger,
    row: sqlite3.Row,
    asked: list[tuple[sqlite3.Row, Decimal]],
    kind: str,
    states: tuple[str, str | None],
    counter: tuple[str, int],
    status: str,
) -> dict[str, Any]:
    column, sign = counter
    shown = []
    for line, amount in asked:
        item = ledger.item(line["item_code"])
        base = ledger.base(item, amount, line["unit"])
        parts = lots.taken(ledger, row, line, kind, base)
        for lot, part in parts:
            ledger.change(row["warehouse"], line["item_code"], states[0], -part, lot)
            if states[1] is not None:
                ledger.change(row["warehouse"], line["item_code"], states[1], part, lot)
        ledger.execute(
            f"update order_line set {column} = ? where order_id = ? and line_number = ?",
            str(_present(ledger, line, column) + sign * amount),
            row["id"],
            line["line_number"],
        )
        whole = len(parts) == 1
        shown += [
            {
                "item_code": line["item_code"],
                "quantity": str(amount if whole else part),
                "unit": line["unit"] if whole else item["base_unit"],
                "from_state": states[0],
                "to_state": states[1],
                "client_line": line["line_number"],
                "lot": lot or None,
            }
            for lot, part in parts
        ]
    ledger.execute("update wms_order set status = ? where id = ?", status, row["id"])
    return ledger.emit(
        kind,
        row["warehouse"],
        shown,
        client_reference=row["client_reference"],
        order_number=_number(row),
        document=row["client_reference"] if kind == "XFER_OUT" else None,
    )


def _destination(row: sqlite3.Row) -> str | None:
    found: str | None = json.loads(row["body"]).get("destination")
    return found


def _present(ledger: Ledger, line: sqlite3.Row, column: str) -> Decimal:
    row = ledger.rows(
        "select * from order_line where order_id = ? and line_number = ?", line["order_id"], line["line_number"]
    )[0]
    return Decimal(row[column])


def _asked(
    ledger: Ledger, row: sqlite3.Row, order: dict[str, Any], ceiling: str, floor: str
) -> list[tuple[sqlite3.Row, Decimal]]:
    """The lines meant, each with its amount, within what is left between two counters."""
    wanted = {line["line_number"]: positive(line["quantity"]) for line in order.get("lines", [])}
    asked = []
    for line in _lines(ledger, row["id"]):
        left = Decimal(line[ceiling]) - Decimal(line[floor])
        amount = wanted.pop(line["line_number"], Decimal(0)) if order.get("lines") else left
        if amount > left:
            raise Refusal(409, "TOO_MUCH", f"line {line['line_number']} has {left} left")
        if amount > 0:
            asked.append((line, amount))
    if wanted or not asked:
        raise Refusal(409, "NOTHING_LEFT", "no such line, or nothing left of it")
    return asked


def _open_order(ledger: Ledger, order: dict[str, Any]) -> sqlite3.Row:
    row = _one(ledger, reference=order.get("client_reference"), number=order.get("order_number"))
    if row["status"] not in _OPEN:
        raise Refusal(409, "NOT_OPEN", f"the order is {row['status']}")
    return row


def _one(ledger: Ledger, *, reference: str | None = None, number: str | None = None) -> sqlite3.Row:
    digits = (number or "")[3:]
    found = ledger.rows(
        "select * from wms_order where client_reference = ? or id = ?",
        reference,
        int(digits) if digits.isdigit() else 0,
    )
    if not found:
        raise Refusal(404, "UNKNOWN_ORDER", "no such order")
    return found[0]


def _lines(ledger: Ledger, order_id: int) -> list[sqlite3.Row]:
    return ledger.rows("select * from order_line where order_id = ? order by line_number", order_id)


def _number(row: sqlite3.Row) -> str:
    return f"SO-{row['id']:07d}"


def _shown(ledger: Ledger, row: sqlite3.Row) -> dict[str, Any]:
    keys = ("line_number", "client_sku", "item_code", "unit", "ordered", "picked", "shipped")
    return {
        "order_number": _number(row),
        "client_reference": row["client_reference"],
        "warehouse": row["warehouse"],
        "status": row["status"],
        "destination": _destination(row),
        "lines": [
            {key: line[key] for key in keys} | {"lot": lots.asked(row, line) or None}
            for line in _lines(ledger, row["id"])
        ],
    }
