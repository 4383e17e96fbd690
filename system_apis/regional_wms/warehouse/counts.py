"""Counts that the depositor tells: figures are set to them, once per client reference, unless goods moved since."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Final

from gateway.sandboxes.books import Refusal
from system_apis.regional_wms.warehouse.ledger import STATES, Ledger
from system_apis.regional_wms.warehouse.work import decimal

_LONGEST: Final = 64
_FIELDS: Final = ("warehouse", "epoch", "sequence", "lines")


def post(ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    """Set each figure to what was counted and tell one event of all lines."""
    reference, lines = order.get("client_reference"), order.get("lines")
    if not isinstance(reference, str) or not 0 < len(reference) <= _LONGEST or not isinstance(lines, list) or not lines:
        raise Refusal(422, "BAD_COUNT", "client_reference (1 to 64 characters) and lines are needed")
    if order.get("warehouse") not in ledger.warehouses:
        raise Refusal(422, "UNKNOWN_WAREHOUSE", f"no warehouse {order.get('warehouse')!r}")
    with ledger.transaction() as db:
        try:
            db.execute(
                "insert into posted_count (client_reference, body) values (?, ?)", (reference, json.dumps(order))
            )
        except sqlite3.IntegrityError:
            raise Refusal(409, "DUPLICATE_REFERENCE", f"there is a count with client_reference {reference}") from None
        moved = _moved_since(ledger, order)
        told = [_set(ledger, order["warehouse"], line, moved) for line in lines]
        ledger.emit("COUNT", order["warehouse"], told, document=reference, reason=order.get("reason"))
    return find(ledger, reference)[0]


def find(ledger: Ledger, reference: str | None) -> list[dict[str, Any]]:
    """Counts by client reference; all without."""
    where, args = ("", ()) if reference is None else ("where client_reference = ?", (reference,))
    return [_shown(row) for row in ledger.rows(f"select * from posted_count {where} order by id", *args)]


def _set(ledger: Ledger, warehouse: str, line: dict[str, Any], moved: set[tuple[str, str]]) -> dict[str, Any]:
    item, state = ledger.item(sku=line.get("client_sku")), line.get("state")
    if state not in STATES:
        raise Refusal(422, "UNKNOWN_STATE", f"no state {state!r}")
    code, unit, amount = item["item_code"], line.get("unit", item["base_unit"]), decimal(line.get("quantity"))
    if amount < 0:
        raise Refusal(422, "BAD_QUANTITY", "nobody counts less than nothing")
    if (code, state) in moved:
        raise Refusal(409, "MOVED_SINCE", f"{code} moved since it was counted: count it again")
    lot = line.get("lot") or ""
    off = ledger.base(item, amount, unit) - ledger.balance(warehouse, code, state, lot)
    ledger.change(warehouse, code, state, off, lot)
    told = {"item_code": code, "quantity": str(amount), "unit": unit, "from_state": None, "to_state": state}
    return told | {"lot": lot or None}


def _moved_since(ledger: Ledger, order: dict[str, Any]) -> set[tuple[str, str]]:
    """Items and states that any event after the cut-off touched in that warehouse."""
    rows = ledger.rows(
        "select body from event where (epoch, sequence) > (?, ?)", int(order["epoch"]), int(order["sequence"])
    )
    events = [event for event in (json.loads(row["body"]) for row in rows) if event["warehouse"] == order["warehouse"]]
    return {
        (line["item_code"], state)
        for event in events
        for line in event["lines"]
        for state in (line.get("from_state"), line.get("to_state"))
        if state is not None
    }


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    order = json.loads(row["body"])
    return {
        "count_number": f"CC-{row['id']:07d}",
        "client_reference": row["client_reference"],
        **{name: order.get(name) for name in _FIELDS},
    }
