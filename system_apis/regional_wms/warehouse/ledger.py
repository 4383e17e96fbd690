"""The warehouse's books in SQLite: items, balances, orders and the numbered events. Survives ``kill -9``.

Every change and its event are one transaction. Quantities are decimal strings, exact.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from gateway.sandboxes.books import Refusal, SqliteBooks

_SCHEMA: Final = """
create table if not exists item (item_code text primary key, client_sku text not null unique, body text not null);
create table if not exists balance (
    warehouse text, item_code text, state text, lot text not null default '', quantity text not null,
    primary key (warehouse, item_code, state, lot)
);
create table if not exists wms_order (
    id integer primary key autoincrement, client_reference text not null unique, warehouse text not null,
    status text not null, body text not null
);
create table if not exists order_line (
    order_id integer, line_number integer, item_code text not null, client_sku text not null, unit text not null,
    ordered text not null, picked text not null default '0', shipped text not null default '0',
    primary key (order_id, line_number)
);
create table if not exists order_lot (
    order_id integer, line_number integer, lot text not null, picked text not null default '0',
    shipped text not null default '0', primary key (order_id, line_number, lot)
);
create table if not exists status_change (
    id integer primary key autoincrement, client_reference text not null unique, body text not null
);
create table if not exists posted_count (
    id integer primary key autoincrement, client_reference text not null unique, body text not null
);
create table if not exists event (
    id integer primary key autoincrement, epoch integer not null, sequence integer not null, body text not null,
    unique (epoch, sequence)
);
"""
STATES: Final = ("AVL", "RCV", "PCK", "DMG", "RTN", "QHD")


class Ledger(SqliteBooks):
    """The books of one sandbox."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA)

    def execute(self, statement: str, *args: Any) -> None:
        """One change; the caller holds the transaction."""
        self._db.execute(statement, args)

    def seed(self, data: dict[str, Any]) -> None:
        """Fill empty books: ``{"warehouses": [], "items": [], "stock": []}``; filled ones stay as they are."""
        if self.remembered("seeded", ""):
            return
        with self.transaction():
            self.remember("seeded", datetime.now(UTC).isoformat())
            self.remember("warehouses", json.dumps(data["warehouses"]))
            for item in data["items"]:
                self.add_item(item)
            for line in data.get("stock", []):
                self.change(
                    line["warehouse"],
                    line["item_code"],
                    line.get("state", "AVL"),
                    Decimal(line["quantity"]),
                    line.get("lot", ""),
                )

    @property
    def warehouses(self) -> list[str]:
        """The codes of this WMS's warehouses."""
        codes: list[str] = json.loads(self.remembered("warehouses", "[]"))
        return codes

    @property
    def epoch(self) -> int:
        """Raised when the sequence starts again."""
        return int(self.remembered("epoch", "1"))

    @property
    def sequence(self) -> int:
        """The number of the last event of this epoch."""
        return int(self.rows("select coalesce(max(sequence), 0) n from event where epoch = ?", self.epoch)[0]["n"])

    def add_item(self, item: dict[str, Any]) -> None:
        """Take an item on."""
        self._db.execute(
            "insert or replace into item values (?, ?, ?)", (item["item_code"], item["client_sku"], json.dumps(item))
        )

    def item(self, code: str | None = None, *, sku: str | None = None) -> dict[str, Any]:
        """An item by its code or by the depositor's SKU."""
        column, value = ("client_sku", sku) if code is None else ("item_code", code)
        found = self.rows(f"select body from item where {column} = ?", value)
        if not found:
            raise Refusal(422, "UNKNOWN_ITEM", f"no item {value!r}")
        body: dict[str, Any] = json.loads(found[0]["body"])
        return body

    def base(self, item: dict[str, Any], amount: Decimal, unit: str) -> Decimal:
        """`amount` of `unit` in the item's base unit."""
        if unit == item["base_unit"]:
            return amount
        for pack in item.get("packs", []):
            if pack["unit"] == unit:
                return amount * Decimal(pack["quantity"])
        raise Refusal(422, "UNKNOWN_UNIT", f"{item['item_code']} is not kept in {unit!r}")

    def balance(self, warehouse: str, code: str, state: str, lot: str = "") -> Decimal:
        """One balance in base units."""
        found = self.rows(
            "select quantity from balance where (warehouse, item_code, state, lot) = (?, ?, ?, ?)",
            warehouse,
            code,
            state,
            lot,
        )
        return Decimal(found[0]["quantity"]) if found else Decimal(0)

    def lots(self, warehouse: str, code: str, state: str) -> list[tuple[str, Decimal]]:
        """What lies there by lot, in base units; lot "" first."""
        found = self.rows(
            "select lot, quantity from balance where (warehouse, item_code, state) = (?, ?, ?) order by lot",
            warehouse,
            code,
            state,
        )
        return [(str(row["lot"]), Decimal(row["quantity"])) for row in found if Decimal(row["quantity"]) > 0]

    def change(self, warehouse: str, code: str, state: str, amount: Decimal, lot: str = "") -> None:
        """Add `amount` base units, which may be negative."""
        if warehouse not in self.warehouses:
            raise Refusal(422, "UNKNOWN_WAREHOUSE", f"no warehouse {warehouse!r}")
        if state not in STATES:
            raise Refusal(422, "UNKNOWN_STATE", f"no state {state!r}")
        self._db.execute(
            "insert into balance values (?, ?, ?, ?, ?) on conflict (warehouse, item_code, state, lot) "
            "do update set quantity = excluded.quantity",
            (warehouse, code, state, lot, str(self.balance(warehouse, code, state, lot) + amount)),
        )

    def emit(self, kind: str, warehouse: str, lines: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """Number an event and keep it; the caller holds the transaction."""
        epoch, sequence = self.epoch, self.sequence + 1
        event = {
            "event_id": f"EV-{epoch}-{sequence:09d}",
            "epoch": epoch,
            "sequence": sequence,
            "type": kind,
            "occurred_at": datetime.now(UTC).isoformat(),
            "warehouse": warehouse,
            "lines": [{"line": number, **line} for number, line in enumerate(lines, start=1)],
            **{key: value for key, value in more.items() if value is not None},
        }
        self._db.execute(
            "insert into event (epoch, sequence, body) values (?, ?, ?)", (epoch, sequence, json.dumps(event))
        )
        return event
