"""Changes of state that the depositor asks for: made at once, once per client reference, or refused."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from typing import Any, Final

from gateway.sandboxes.books import Refusal
from system_apis.regional_wms.warehouse.ledger import STATES, Ledger
from system_apis.regional_wms.warehouse.work import positive

_LONGEST: Final = 64
_FIELDS: Final = ("warehouse", "client_sku", "quantity", "unit", "from_state", "to_state", "lot")


def change(ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    """Move a quantity from one state to another and tell the event; the goods must be there."""
    reference = order.get("client_reference")
    if not isinstance(reference, str) or not 0 < len(reference) <= _LONGEST:
        raise Refusal(422, "BAD_CHANGE", "client_reference (1 to 64 characters) is needed")
    source, target = order.get("from_state"), order.get("to_state")
    if source not in STATES or target not in STATES or source == target:
        raise Refusal(422, "UNKNOWN_STATE", "from_state and to_state are two different states")
    with ledger.transaction() as db:
        item = ledger.item(sku=order.get("client_sku"))
        amount = positive(order.get("quantity"))
        unit, lot = order.get("unit", item["base_unit"]), order.get("lot") or ""
        base = ledger.base(item, amount, unit)
        try:
            db.execute(
                "insert into status_change (client_reference, body) values (?, ?)", (reference, json.dumps(order))
            )
        except sqlite3.IntegrityError:
            raise Refusal(409, "DUPLICATE_REFERENCE", f"there is a change with client_reference {reference}") from None
        _move(ledger, order, item["item_code"], base, lot)
        line = {"item_code": item["item_code"], "quantity": str(amount), "unit": unit, "from_state": source}
        ledger.emit(
            "STATUS",
            order["warehouse"],
            [line | {"to_state": target, "lot": lot or None}],
            document=reference,
            reason=order.get("reason"),
        )
    return find(ledger, reference)[0]


def find(ledger: Ledger, reference: str | None) -> list[dict[str, Any]]:
    """Changes by client reference; all without."""
    where, args = ("", ()) if reference is None else ("where client_reference = ?", (reference,))
    found = ledger.rows(f"select * from status_change {where} order by id", *args)
    return [_shown(row) for row in found]


def _move(ledger: Ledger, order: dict[str, Any], code: str, base: Decimal, lot: str) -> None:
    warehouse, source = order.get("warehouse", ""), order["from_state"]
    if warehouse in ledger.warehouses and ledger.balance(warehouse, code, source, lot) < base:
        raise Refusal(409, "SHORT", f"not so much of {code} is {source} in {warehouse}")
    ledger.change(warehouse, code, source, -base, lot)
    ledger.change(warehouse, code, order["to_state"], base, lot)


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    order = json.loads(row["body"])
    return {
        "change_number": f"SC-{row['id']:07d}",
        "client_reference": row["client_reference"],
        **{name: order.get(name) for name in _FIELDS},
    }
