"""The ERP's books in SQLite: articles, stock by site, customers, sales orders and deliveries. Survives ``kill -9``.

Quantities and amounts are decimal strings, exact.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from gateway.sandboxes.books import Refusal, SqliteBooks

_SCHEMA: Final = """
create table if not exists article (article text primary key, sku text not null unique, body text not null);
create table if not exists stock (
    site text, article text, quantity text not null, primary key (site, article)
);
create table if not exists customer (number text primary key, body text not null);
create table if not exists sales_order (
    id integer primary key autoincrement, external_reference text not null unique, customer text not null,
    currency text not null, status text not null, body text not null
);
create index if not exists open_orders on sales_order (customer) where status in ('OPEN', 'IN_FULFILMENT');
create table if not exists order_line (
    order_id integer, line integer, site text not null, article text not null, body text not null,
    quantity text not null, delivered text not null default '0', primary key (order_id, line, site)
);
create table if not exists delivery (
    id integer primary key autoincrement, order_id integer not null, external_reference text not null unique,
    body text not null
);
create index if not exists deliveries_of on delivery (order_id);
create table if not exists invoice (
    id integer primary key autoincrement, order_id integer not null, delivery text not null unique, body text not null
);
create index if not exists invoices_of on invoice (order_id);
"""
_LONGEST: Final = 64
_CENT: Final = Decimal("0.01")


class Ledger(SqliteBooks):
    """The books of one sandbox."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA)

    def seed(self, data: dict[str, Any]) -> None:
        """Fill empty books: ``{"sites": [], "articles": [], "stock": [], "customers": []}``; filled ones stay."""
        if self.remembered("sites", ""):
            return
        with self.transaction() as db:
            self.remember("sites", json.dumps(data["sites"]))
            db.executemany(
                "insert into article values (?, ?, ?)",
                [(each["article"], each["sku"], json.dumps(each)) for each in data["articles"]],
            )
            db.executemany(
                "insert into stock values (?, ?, ?)",
                [(each["site"], each["article"], each["quantity"]) for each in data.get("stock", [])],
            )
            db.executemany(
                "insert into customer values (?, ?)",
                [(each["number"], json.dumps(each)) for each in data.get("customers", [])],
            )

    @property
    def sites(self) -> list[str]:
        """The codes of its sites."""
        found: list[str] = json.loads(self.remembered("sites", "[]"))
        return found

    @property
    def journal(self) -> int:
        """How many deliveries were posted."""
        return int(self.rows("select coalesce(max(id), 0) as n from delivery")[0]["n"])

    def articles(self, after: str, limit: int) -> list[dict[str, Any]]:
        """By code."""
        rows = self.rows("select body from article where article > ? order by article limit ?", after, limit)
        return [json.loads(row["body"]) for row in rows]

    def stock(self, sites: list[str]) -> list[dict[str, Any]]:
        """What it believes to be there; zero is left out."""
        rows = self.rows(
            "select s.site, s.article, s.quantity, json_extract(a.body, '$.base_unit') as unit from stock s "
            f"join article a using (article) where s.site in ({', '.join('?' * len(sites))}) order by 1, 2",
            *sites,
        )
        return [dict(row) for row in rows if Decimal(row["quantity"])]

    def customer(self, number: str) -> dict[str, Any]:
        """With what is owed: the opening balance and all that is ordered and not cancelled."""
        rows = self.rows("select body from customer where number = ?", number)
        if not rows:
            raise Refusal(404, "UNKNOWN_CUSTOMER", f"no customer {number!r}")
        body: dict[str, Any] = json.loads(rows[0]["body"])
        lines = (
            self.rows(
                "select l.body from sales_order o join order_line l on l.order_id = o.id "
                "where o.customer = ? and o.status in ('OPEN', 'IN_FULFILMENT')",
                number,
            )
            if body.get("credit_limit")
            else []
        )
        ordered = [json.loads(row["body"]) for row in lines]
        owed = sum((Decimal(line["quantity"]) * Decimal(line["price"]) for line in ordered), Decimal(0))
        return {**body, "balance": str(Decimal(body.get("balance", "0")) + owed)}

    def orders(self, *, reference: str | None = None, number: str | None = None) -> list[dict[str, Any]]:
        """By external reference or number; all without either."""
        where: str = ""
        args: list[str | int] = []
        if reference is not None:
            where, args = "where external_reference = ?", [reference]
        elif number is not None:
            where, args = "where id = ?", [_id(number)]
        return [self._shown(row) for row in self.rows(f"select * from sales_order {where} order by id", *args)]

    def create(self, order: dict[str, Any]) -> dict[str, Any]:
        """Take an order on; its external reference is unique for ever."""
        reference, lines = order.get("external_reference"), order.get("lines")
        if not isinstance(reference, str) or not 0 < len(reference) <= _LONGEST or not isinstance(lines, list):
            raise Refusal(422, "BAD_ORDER", "external_reference (1 to 64 characters) and lines are needed")
        if not lines:
            raise Refusal(422, "BAD_ORDER", "an order has lines")
        customer = self.customer(str(order.get("customer")))
        if customer.get("blocked"):
            raise Refusal(422, "CUSTOMER_BLOCKED", f"{order['customer']} is blocked")
        with self.transaction() as db:
            if self.rows("select 1 from sales_order where external_reference = ?", reference):
                raise Refusal(409, "DUPLICATE_REFERENCE", f"there is an order with external_reference {reference}")
            made = db.execute(
                "insert into sales_order (external_reference, customer, currency, status, body) "
                "values (?, ?, ?, 'OPEN', ?)",
                (reference, order["customer"], order["currency"], json.dumps(order)),
            )
            for line in lines:
                self._add_line(db, made.lastrowid or 0, line)
        return self.orders(reference=reference)[0]

    def _add_line(self, db: sqlite3.Connection, order_id: int, line: dict[str, Any]) -> None:
        rows = self.rows("select article from article where sku = ?", line["sku"])
        if not rows:
            raise Refusal(422, "UNKNOWN_ARTICLE", f"no article {line['sku']!r}")
        if line.get("site") is not None and line["site"] not in self.sites:
            raise Refusal(422, "UNKNOWN_SITE", f"no site {line['site']!r}")
        if not Decimal(line["quantity"]) > 0 or not Decimal(line["price"]) >= 0:
            raise Refusal(422, "BAD_QUANTITY", "quantity above zero, price zero or more")
        kept = {**line, "article": rows[0]["article"]}
        try:
            db.execute(
                "insert into order_line (order_id, line, site, article, body, quantity) values (?, ?, ?, ?, ?, ?)",
                (order_id, line["line"], line.get("site") or "", kept["article"], json.dumps(kept), line["quantity"]),
            )
        except sqlite3.IntegrityError:
            raise Refusal(422, "BAD_ORDER", "line is needed, once per site") from None

    def cancel(self, number: str) -> dict[str, Any]:
        """Cancel before anything is picked; cancelling again answers the same."""
        with self.transaction() as db:
            order = self._one(number)
            if order["status"] in ("IN_FULFILMENT", "DELIVERED"):
                raise Refusal(409, "WORK_BEGUN", f"{number} is {order['status']}")
            db.execute("update sales_order set status = 'CANCELLED' where id = ?", (_id(number),))
        return self._one(number)

    def begin(self, reference: str) -> dict[str, Any]:
        """Somebody begins to pick."""
        with self.transaction() as db:
            db.execute(
                "update sales_order set status = 'IN_FULFILMENT' where external_reference = ? and status = 'OPEN'",
                (reference,),
            )
        return self.orders(reference=reference)[0]

    def deliver(self, number: str, delivery: dict[str, Any]) -> dict[str, Any]:
        """Post what left: stock falls, lines count up; its external reference is unique for ever."""
        with self.transaction() as db:
            order = self._one(number)
            if order["status"] == "CANCELLED":
                raise Refusal(409, "CANCELLED", f"{number} is cancelled")
            if self.rows("select 1 from delivery where external_reference = ?", delivery["external_reference"]):
                raise Refusal(409, "DUPLICATE_REFERENCE", f"{delivery['external_reference']} was delivered")
            if delivery["site"] not in self.sites:
                raise Refusal(422, "UNKNOWN_SITE", f"no site {delivery['site']!r}")
            lines = {(line["line"], line.get("site") or ""): line for line in order["lines"]}
            told = []
            for each in delivery["lines"]:
                line = lines.get((each["line"], delivery["site"])) or lines.get((each["line"], ""))
                if line is None or not Decimal(each["quantity"]) > 0:
                    raise Refusal(422, "BAD_LINE", f"{number} has no line {each['line']}, or nothing left of it")
                self._leave(db, _id(number), line, delivery["site"], Decimal(each["quantity"]))
                told.append({**each, "article": line["article"]})
            made = db.execute(
                "insert into delivery (order_id, external_reference, body) values (?, ?, ?)",
                (_id(number), delivery["external_reference"], json.dumps({**delivery, "lines": told})),
            )
            left = self.rows("select quantity, delivered from order_line where order_id = ?", _id(number))
            done = all(Decimal(row["delivered"]) >= Decimal(row["quantity"]) for row in left)
            status = "DELIVERED" if done else "IN_FULFILMENT"
            db.execute("update sales_order set status = ? where id = ?", (status, _id(number)))
        return {"number": f"DN-{made.lastrowid:07d}", **delivery, "lines": told}

    def bill(self, number: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """Bill a delivery, named by its external reference, once, at the order's prices with each article's tax."""
        with self.transaction() as db:
            order = self._one(number)
            delivery = next(
                (each for each in order["deliveries"] if each["external_reference"] == wanted["delivery"]), None
            )
            if delivery is None:
                raise Refusal(422, "UNKNOWN_DELIVERY", f"{number} has no delivery {wanted['delivery']!r}")
            if self.rows("select 1 from invoice where delivery = ?", wanted["delivery"]):
                raise Refusal(409, "DUPLICATE_REFERENCE", f"{wanted['delivery']} is billed")
            lines = [self._billed(order, each) for each in delivery["lines"]]
            net, tax = (sum((Decimal(line[name]) for line in lines), Decimal(0)) for name in ("net", "tax"))
            body = {
                "delivery": wanted["delivery"],
                "issued_on": datetime.now(UTC).date().isoformat(),
                "currency": order["currency"],
                "net": str(net),
                "tax": str(tax),
                "total": str(net + tax),
                "lines": lines,
            }
            made = db.execute(
                "insert into invoice (order_id, delivery, body) values (?, ?, ?)",
                (_id(number), wanted["delivery"], json.dumps(body)),
            )
        return {"number": f"IN-{made.lastrowid:07d}", **body}

    def _billed(self, order: dict[str, Any], left: dict[str, Any]) -> dict[str, Any]:
        line = next(each for each in order["lines"] if each["line"] == left["line"])
        [row] = self.rows("select body from article where article = ?", line["article"])
        rate = Decimal(json.loads(row["body"]).get("tax_percent", "0"))
        net = (Decimal(left["quantity"]) * Decimal(line["price"])).quantize(_CENT)
        tax = (net * rate / 100).quantize(_CENT)
        told = {name: left[name] for name in ("line", "article", "quantity")}
        return {**told, "price": line["price"], "net": str(net), "tax": str(tax)}

    def _leave(self, db: sqlite3.Connection, order_id: int, line: dict[str, Any], site: str, amount: Decimal) -> None:
        rows = self.rows("select quantity from stock where site = ? and article = ?", site, line["article"])
        before = Decimal(rows[0]["quantity"]) if rows else Decimal(0)
        db.execute("insert or replace into stock values (?, ?, ?)", (site, line["article"], str(before - amount)))
        db.execute(
            "update order_line set delivered = ? where order_id = ? and line = ? and site = ?",
            (str(Decimal(line["delivered"]) + amount), order_id, line["line"], line.get("site") or ""),
        )

    def _one(self, number: str) -> dict[str, Any]:
        found = self.orders(number=number)
        if not found:
            raise Refusal(404, "UNKNOWN_ORDER", f"no order {number!r}")
        return found[0]

    def _shown(self, row: sqlite3.Row) -> dict[str, Any]:
        lines = self.rows("select body, delivered from order_line where order_id = ? order by line, site", row["id"])
        posted = self.rows("select id, body from delivery where order_id = ? order by id", row["id"])
        billed = self.rows("select id, body from invoice where order_id = ? order by id", row["id"])
        return {
            "number": f"SO-{row['id']:07d}",
            "external_reference": row["external_reference"],
            "customer": row["customer"],
            "currency": row["currency"],
            "status": row["status"],
            "lines": [{**json.loads(line["body"]), "delivered": line["delivered"]} for line in lines],
            "deliveries": [{"number": f"DN-{each['id']:07d}", **json.loads(each["body"])} for each in posted],
            "invoices": [{"number": f"IN-{each['id']:07d}", **json.loads(each["body"])} for each in billed],
        }


def _id(number: str) -> int:
    return int(number[3:]) if number[3:].isdigit() else 0
