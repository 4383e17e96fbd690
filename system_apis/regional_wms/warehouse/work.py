"""What people and machines do in the warehouse: receive, put away, pick, ship, adjust, count, transfer, return.

Each function is one transaction: balances, order lines and the event together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from gateway.sandboxes.books import Refusal
from system_apis.regional_wms.warehouse.ledger import Ledger

_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?")


def decimal(value: object) -> Decimal:
    """A decimal string of the contract."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise Refusal(422, "BAD_QUANTITY", f"{value!r} is no decimal string")
    return Decimal(value)


def positive(value: object) -> Decimal:
    """A decimal string above zero."""
    amount = decimal(value)
    if amount <= 0:
        raise Refusal(422, "BAD_QUANTITY", f"{value!r} is not above zero")
    return amount


def move(kind: str, from_state: str | None, to_state: str | None) -> Callable[[Ledger, dict[str, Any]], dict[str, Any]]:
    """An operation that moves one item between two states, or in or out."""

    def operation(ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
        source = order.get("from_state", from_state)
        target = order.get("to_state", to_state)
        with ledger.transaction():
            item = _item(ledger, order)
            unit = order.get("unit", item["base_unit"])
            amount = positive(order["quantity"])
            base = ledger.base(item, amount, unit)
            lot = order.get("lot", "")
            if source is not None:
                ledger.change(order["warehouse"], item["item_code"], source, -base, lot)
            if target is not None:
                ledger.change(order["warehouse"], item["item_code"], target, base, lot)
            return _emit(ledger, kind, order, item, str(amount), unit, source, target)

    return operation


def adjust(ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    """Add a signed quantity to one state."""
    with ledger.transaction():
        item = _item(ledger, order)
        unit = order.get("unit", item["base_unit"])
        amount = decimal(order["quantity"])
        state = order.get("state", "AVL")
        ledger.change(
            order["warehouse"], item["item_code"], state, ledger.base(item, amount, unit), order.get("lot", "")
        )
        return _emit(ledger, "ADJ", order, item, str(amount), unit, None, state)


def count(ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    """Set one state to what was counted."""
    with ledger.transaction():
        item = _item(ledger, order)
        unit = order.get("unit", item["base_unit"])
        amount = decimal(order["quantity"])
        state, lot = order.get("state", "AVL"), order.get("lot", "")
        before = ledger.balance(order["warehouse"], item["item_code"], state, lot)
        ledger.change(order["warehouse"], item["item_code"], state, ledger.base(item, amount, unit) - before, lot)
        return _emit(ledger, "COUNT", order, item, str(amount), unit, None, state)


OPERATIONS: Final[dict[str, Callable[[Ledger, dict[str, Any]], dict[str, Any]]]] = {
    "receive": move("RCPT", None, "RCV"),
    "putaway": move("PUTAWAY", "RCV", "AVL"),
    "transfer": move("XFER_OUT", "AVL", None),
    "transfer-receive": move("XFER_IN", None, "RCV"),
    "return": move("RTN_IN", None, "RTN"),
    "disposition": move("RTN_DISP", "RTN", "AVL"),
    "status": move("STATUS", "AVL", "DMG"),
    "adjust": adjust,
    "count": count,
}


def _item(ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    return ledger.item(order["item_code"]) if "item_code" in order else ledger.item(sku=order["client_sku"])


def _emit(
    ledger: Ledger,
    kind: str,
    order: dict[str, Any],
    item: dict[str, Any],
    quantity: str,
    unit: str,
    source: str | None,
    target: str | None,
) -> dict[str, Any]:
    line = {
        "item_code": item["item_code"],
        "quantity": quantity,
        "unit": unit,
        "from_state": source,
        "to_state": target,
        "lot": order.get("lot") or None,
        "bin": order.get("bin"),
    }
    return ledger.emit(
        kind,
        order["warehouse"],
        [line],
        document=order.get("document"),
        reason=order.get("reason"),
        client_reference=order.get("client_reference"),
    )
