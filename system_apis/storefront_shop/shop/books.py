"""The shop's books in SQLite: levels, their history, orders and their numbered events. Survives ``kill -9``.

A change of a level, its history and the order event that made it are one transaction.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.sandboxes.books import Refusal, SqliteBooks

_SCHEMA: Final = """
create table if not exists level (sku text primary key, quantity integer not null check (quantity >= 0),
    version integer not null);
create table if not exists history (id integer primary key autoincrement, at real not null, sku text not null,
    was integer not null, quantity integer not null, version integer not null, cause text not null);
create table if not exists event (sequence integer primary key autoincrement, reference text not null,
    type text not null, at real not null, lines text not null, buyer text not null default '{}');
create table if not exists told (id text primary key, reference text not null, body text not null,
    times integer not null default 1);
create index if not exists told_reference on told (reference);
create index if not exists event_reference on event (reference);
create index if not exists history_sku on history (sku, version);
"""


class Books(SqliteBooks):
    """The books of one shop."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA)

    def seed(self, data: dict[str, Any]) -> None:
        """Fill empty books: ``{"levels": {"SKU": 7}}``; filled ones stay as they are."""
        if self.remembered("seeded", ""):
            return
        with self.transaction():
            self.remember("seeded", "yes")
            self._db.executemany("insert into level values (?, ?, 1)", list(data.get("levels", {}).items()))

    def level(self, sku: str) -> tuple[int, int] | None:
        """Quantity and version, or None for an SKU that the shop does not sell."""
        found = self._db.execute("select quantity, version from level where sku = ?", (sku,)).fetchone()
        return None if found is None else (found["quantity"], found["version"])

    def put(self, sku: str, quantity: int, cause: str) -> int:
        """Change a level that exists; returns its new version. The caller holds the transaction."""
        found = self.level(sku)
        if found is None:
            raise Refusal(422, "UNKNOWN_SKU", f"the shop does not sell {sku!r}")
        was, version = found
        if quantity < 0:
            raise Refusal(409, "SOLD_OUT", f"only {was} of {sku!r} are left")
        self._db.execute("update level set quantity = ?, version = ? where sku = ?", (quantity, version + 1, sku))
        self._db.execute(
            "insert into history (at, sku, was, quantity, version, cause) values (?, ?, ?, ?, ?, ?)",
            (time.time(), sku, was, quantity, version + 1, cause),
        )
        return version + 1

    def buy(
        self,
        lines: Sequence[tuple[str, int]],
        buyer: Mapping[str, Any] | None = None,
        prices: Mapping[str, str] | None = None,
    ) -> str:
        """A shopper's order: all lines or `Refusal`; returns its number.

        `buyer` is told with it as it is, and `prices` by SKU with its lines.
        """
        with self.transaction():
            number = self._next_order()
            bought = []
            for line, (sku, quantity) in enumerate(lines, start=1):
                found = self.level(sku) or (0, 0)
                version = self.put(sku, found[0] - quantity, f"order {number}")
                price = {"price": prices[sku]} if prices and sku in prices else {}
                bought.append({"line": line, "sku": sku, "quantity": quantity, "level_version": version, **price})
            self._tell(number, "placed", bought, buyer or {})
        return number

    def cancel(self, number: str) -> None:
        """Cancel an order and put its goods back on show; again changes nothing."""
        with self.transaction():
            events = self.rows("select type, lines from event where reference = ? order by sequence", number)
            if not events:
                raise Refusal(404, "NOT_FOUND", f"no order {number!r}")
            if events[-1]["type"] == "cancelled":
                return
            back = []
            for line in json.loads(events[0]["lines"]):
                found = self.level(line["sku"])
                if found is None:
                    continue
                version = self.put(line["sku"], found[0] + line["quantity"], f"cancel {number}")
                back.append({**line, "level_version": version})
            self._tell(number, "cancelled", back)

    def update(self, number: str, told: dict[str, Any]) -> dict[str, Any]:
        """Take how an order goes on, once by its id; together never more than was bought."""
        body = json.dumps(told, sort_keys=True)
        with self.transaction():
            events = self.rows("select type, lines from event where reference = ? order by sequence", number)
            if not events:
                raise Refusal(404, "NOT_FOUND", f"no order {number!r}")
            if known := self.rows("select reference, body from told where id = ?", told["update"]):
                if (known[0]["reference"], known[0]["body"]) != (number, body):
                    raise Refusal(409, "UPDATE_USED", f"update {told['update']} said something else before")
                self._db.execute("update told set times = times + 1 where id = ?", (told["update"],))
                return {"update": told["update"], "repeated": True}
            if told["fulfilled"] and events[-1]["type"] == "cancelled":
                raise Refusal(409, "ORDER_CANCELLED", f"{number} is cancelled")
            self._within(number, json.loads(events[0]["lines"]), told)
            self._db.execute("insert into told (id, reference, body) values (?, ?, ?)", (told["update"], number, body))
        return {"update": told["update"], "repeated": False}

    def _within(self, number: str, bought: Sequence[dict[str, Any]], told: dict[str, Any]) -> None:
        left = {line["line"]: line["quantity"] for line in bought}
        before = [json.loads(row["body"]) for row in self.rows("select body from told where reference = ?", number)]
        for each in (*before, told):
            for part in (*each["fulfilled"], *each["cancelled"]):
                if part["quantity"] <= 0 or left.get(part["line"], 0) < part["quantity"]:
                    raise Refusal(422, "EXCEEDS_ORDER", f"line {part['line']} of {number} has less open than that")
                left[part["line"]] -= part["quantity"]

    def updates(self) -> list[dict[str, Any]]:
        """Every update that was taken, in the order of its coming, and how often it was told."""
        rows = self.rows("select reference, body, times from told order by rowid")
        return [{"order": row["reference"], "times": row["times"], **json.loads(row["body"])} for row in rows]

    def adjust(self, sku: str, amount: int) -> None:
        """What the shop's own people change by hand."""
        with self.transaction():
            self.put(sku, (self.level(sku) or (0, 0))[0] + amount, "hand")

    def list_sku(self, sku: str, quantity: int) -> None:
        """Sell an SKU from now on."""
        with self.transaction():
            self._db.execute("insert into level values (?, ?, 1)", (sku, quantity))

    def remove(self, sku: str) -> None:
        """Sell it no longer."""
        with self.transaction():
            self._db.execute("delete from level where sku = ?", (sku,))

    def events(self, after: int, limit: int, *, before: float) -> list[dict[str, Any]]:
        """Order events after a sequence number that are older than `before` (epoch seconds), without a gap."""
        rows = self.rows("select * from event where sequence > ? order by sequence limit ?", after, limit)
        found = []
        for row in rows:
            if row["at"] > before:
                break
            found.append({**dict(row), "lines": json.loads(row["lines"]), "buyer": json.loads(row["buyer"])})
        return found

    def _next_order(self) -> str:
        return f"S-{1 + self.rows('select coalesce(max(sequence), 0) n from event')[0]['n']:06d}"

    def _tell(
        self, number: str, kind: str, lines: Sequence[dict[str, Any]], buyer: Mapping[str, Any] | None = None
    ) -> None:
        self._db.execute(
            "insert into event (reference, type, at, lines, buyer) values (?, ?, ?, ?, ?)",
            (number, kind, time.time(), json.dumps(lines), json.dumps(buyer or {})),
        )
