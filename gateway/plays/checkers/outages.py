"""The independent checker of the play of outages: reads the evidence where it lies and imports no Crossdock code.

Run as ``python -I -m gateway.plays.checkers.outages MODE PLAN.json``; a MODE each:

    open     what everybody has before it begins, as one JSON object
    check    waits until all has come to rest, within a bound; then everything

`check` prints one JSON object a line, ``{"check", "ok", "evidence"}``, and exits with 1 when any is not ok. The books:
the client's log (what it sent and was answered), the record (SQL), Tryton (JSON-RPC as its administrator), both
warehouses (their own log and books), the partner's log of the webhooks it got.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import standardwebhooks

from gateway.plays.checkers.evidence import Finding, fetch, lines, made, short, tell
from gateway.plays.checkers.tryton import Tryton

_CREATED, _CONFLICT, _INTERNAL, _UNAVAILABLE = 201, 409, 500, 503
_POLL = 0.5
_REST = 9
_NOT_FINAL = {"idempotency.in_flight", "idempotency.outcome_unknown"}
_ALIVE = ("confirmed", "processing", "done")

_MOVING = """
select
  (select count(*) from order_to_ship.sales_order
    where order_id = any($1) and completed_at is null and cancelled_at is null and rejected_at is null) as orders,
  (select count(*) from order_to_ship.exception where order_id = any($1) and state = 'open') as exceptions,
  (select count(*) from dbos.workflow_status
    where status in ('ENQUEUED', 'PENDING', 'DELAYED')) as workflows,
  (select count(*) from store.consumer c where (c.log_epoch, c.transaction_id, c.event_id) <
    (select e.log_epoch, e.transaction_id, e.id from store.event e where e.stream = 'main'
     order by 1 desc, 2 desc, 3 desc limit 1)) as consumers,
  (select count(*) from partner_notifications.message where state = 'waiting' and created_at >= $2) as messages,
  (select max(id) from store.event) as progress
"""
_DRIFTED = """
select count(*) from availability.stock_line s left join (
  select tenant, item, location, owner, coalesce(sum(open) filter (where state = 'reserved'), 0) as reserved,
         coalesce(sum(open) filter (where state = 'allocated'), 0) as allocated
  from availability.claim group by tenant, item, location, owner
) c using (tenant, item, location, owner)
where s.reserved <> coalesce(c.reserved, 0) or s.allocated <> coalesce(c.allocated, 0)
"""
_CHANNELS_DRIFTED = """
select count(*) from availability.channel_line l left join (
  select tenant, item, channel, owner, sum(open) as open from availability.claim where state <> 'promised'
  group by tenant, item, channel, owner
) c using (tenant, item, channel, owner)
where l.open <> coalesce(c.open, 0)
"""
_POSITIONS_DRIFTED = """
select count(*) from availability.stock_line s left join (
  select tenant, item, location, owner, sum(amount) as sellable from availability.position
  where bucket = 'sellable' group by tenant, item, location, owner
) p using (tenant, item, location, owner)
where s.sellable <> coalesce(p.sellable, 0)
"""
# What never may be: a name, and a statement of $1 order ids or $2 the beginning that counts it.
_LAWS = (
    (
        "every line adds up, shipped whole, nothing beyond",
        """select count(*) from order_to_ship.line where order_id = any($1)
           and (shipped <> ordered or over_shipped <> 0 or ordered <> open + backordered + shipped + cancelled)""",
    ),
    (
        "nothing was promised beyond what was there",
        "select count(*) from availability.stock_line where short <> 0 or negative",
    ),
    ("claims sum up to what stands on the stock lines", _DRIFTED),
    ("claims sum up to what stands on the channels", _CHANNELS_DRIFTED),
    ("positions sum up to what stands on the stock lines", _POSITIONS_DRIFTED),
    (
        "no claim of these orders is left",
        "select count(*) from availability.claim where order_id = any($1) and open <> 0",
    ),
    (
        "no consumer gave an event up",
        "select count(*) from store.dead_letter where resolved_at is null and first_failed_at >= $2",
    ),
    (
        "no webhook was given up",
        """select count(*) from partner_notifications.message
           where state = 'abandoned' and created_at >= $2 and type = 'order.updated'""",
    ),
)  # fmt: skip


def _object(body: str) -> dict[str, Any]:
    try:
        decoded = json.loads(body)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def warehouse_stock(plan: dict[str, Any]) -> dict[str, dict[str, str]]:
    """What the warehouses' own books hold of each article, by state."""
    held: dict[str, Counter[str]] = {sku: Counter() for sku in plan["stock"]}
    for warehouse in plan["warehouses"]:
        stock = fetch(urllib.request.Request(f"{warehouse['url']}/_control/stock"))  # noqa: S310
        seed = json.loads(Path(warehouse["log"]).with_name("seed.json").read_text(encoding="utf-8"))
        sku_of = {item["item_code"]: item["client_sku"] for item in seed["items"]}
        for line in stock["lines"]:
            if (sku := sku_of.get(line["item_code"])) in held:
                held[sku][line["state"]] += Decimal(line["quantity"])  # type: ignore[assignment]
    return {sku: {state: str(amount) for state, amount in states.items()} for sku, states in held.items()}


class Evidence:
    """What the client's log says: the final answer under each key."""

    def __init__(self, plan: dict[str, Any]) -> None:
        entries = lines(plan["client_log"])
        self.answers = [entry for entry in entries if entry["event"] == "answer"]
        self.unanswered = sum(entry["event"] == "no answer" for entry in entries)
        self.asked = {e["key"]: e["sent"] for e in entries if e["event"] == "sending" and e["what"] == "order"}
        self.tries = Counter(e["key"] for e in entries if e["event"] == "sending" and e["what"] == "order")
        self.ids: dict[str, set[str]] = defaultdict(set)
        self.refused: dict[str, str] = {}
        for answer in (one for one in self.answers if one["what"] == "order"):
            body = _object(answer["body"])
            if answer["status"] == _CREATED:
                self.ids[answer["key"]].add(body["id"])
            elif 400 <= answer["status"] < _INTERNAL and body.get("code") not in _NOT_FINAL:  # noqa: PLR2004
                self.refused[answer["key"]] = str(body.get("code"))
        self.orders = {order: key for key, orders in self.ids.items() for order in orders}

    @property
    def accepted(self) -> dict[str, Decimal]:
        """Base units accepted, by article."""
        amounts: dict[str, Decimal] = defaultdict(Decimal)
        for key in self.ids:
            for line in self.asked[key]["lines"]:
                amounts[line["sku"]] += Decimal(line["quantity"])
        return amounts


def check_answers(plan: dict[str, Any], seen: Evidence) -> list[Finding]:
    """Everybody got a final answer, the same one each time, and every failure said clearly what it was."""
    unclear = [answer for answer in seen.answers if not _is_clear(answer)]
    doubled = {key: ids for key, ids in seen.ids.items() if len(ids) != 1}
    turned = sorted(set(seen.ids) & set(seen.refused))
    open_keys = sorted(set(seen.asked) - set(seen.ids) - set(seen.refused))
    statuses = Counter(answer["status"] for answer in seen.answers)
    retried = sum(tries > 1 for tries in seen.tries.values())
    return [
        (
            "every buyer got a final answer",
            not open_keys and len(seen.asked) == plan["orders"],
            f"{len(seen.ids)} accepted, {len(seen.refused)} refused of {len(seen.asked)}; {retried} had to ask again",
        ),
        ("no key got two answers", not doubled and not turned, short([*doubled, *turned]) or "one each"),
        (
            "refused only for want of stock",
            set(seen.refused.values()) <= {"stock.insufficient"},
            short(f"{code} x {count}" for code, count in Counter(seen.refused.values()).items()) or "none refused",
        ),
        (
            "every failure was problem+json with a code, 503 with Retry-After, no 500",
            not unclear,
            short(f"{a['status']} {a['during']} {a['body'][:120]}" for a in unclear)
            or short(f"{status} x {count}" for status, count in sorted(statuses.items()))
            + f"; {seen.unanswered} calls had no answer",
        ),
    ]


def _is_clear(answer: dict[str, Any]) -> bool:
    status, headers = answer["status"], answer["headers"]
    if 200 <= status < 300:  # noqa: PLR2004
        return True
    problem = _object(answer["body"])
    told = headers.get("content-type", "").startswith("application/problem+json") and problem.get("code")
    later = status != _UNAVAILABLE or headers.get("retry-after", "").isdigit()
    return bool(told) and later and status != _INTERNAL


def check_tryton(plan: dict[str, Any], seen: Evidence) -> list[Finding]:
    """Each accepted order is one live sale for each warehouse it leaves from, of what was ordered, and left once."""
    erp = Tryton(**plan["tryton"])
    stock = _tryton_stock(plan)
    ids = sorted(order for order, key in seen.orders.items() if seen.asked[key]["lines"][0]["sku"] in stock)
    sales = erp.read("sale.sale", [["reference", "in", ids]], ["state", "reference", "warehouse.code"])
    alive = Counter((s["reference"], s["warehouse."]["code"]) for s in sales if s["state"] in _ALIVE)
    sold = erp.read(
        "sale.line", [["sale.reference", "in", ids], ["sale.state", "in", _ALIVE], ["type", "=", "line"]],
        ["quantity", "product.code", "sale.reference"],
    )  # fmt: skip
    shipments = erp.read("stock.shipment.out", [["moves.origin.sale.reference", "in", ids, "sale.line"]], ["state"])
    erp_sold: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in sold:
        erp_sold[line["sale."]["reference"], line["product."]["code"]] += Decimal(str(line["quantity"]))
    asked: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for order in ids:
        for line in seen.asked[seen.orders[order]]["lines"]:
            asked[order, line["sku"]] += Decimal(line["quantity"])
    now = erp.quantities(list(stock), _tryton_codes(plan))
    return [
        (
            "Tryton lost no accepted order",
            {order for order, _ in alive} == set(ids),
            f"{len({order for order, _ in alive})} of {len(ids)} orders",
        ),
        (
            "Tryton has no order twice",
            all(count == 1 for count in alive.values()),
            f"{sum(alive.values())} live sales, one per warehouse; {len(sales) - sum(alive.values())} others",
        ),
        ("Tryton sold what was ordered", dict(erp_sold) == dict(asked), f"{len(sold)} lines"),
        (
            "Tryton's shipments are done",
            all(one["state"] in ("done", "cancelled") for one in shipments),
            short(f"{state} x {count}" for state, count in Counter(one["state"] for one in shipments).items()),
        ),
        _left(
            "Tryton's quantities fell by what was accepted",
            {sku: plan["opening"]["tryton"][sku] for sku in stock},
            now,
            seen,
        ),
    ]


def _tryton_stock(plan: dict[str, Any]) -> dict[str, Any]:
    others = plan.get("second_unit", {"skus": ()})["skus"]
    return {sku: figure for sku, figure in plan["stock"].items() if sku not in others}


def _tryton_codes(plan: dict[str, Any]) -> list[str]:
    return [warehouse["tryton_code"] for warehouse in plan["warehouses"] if warehouse["tryton_code"]]


def check_second_unit(plan: dict[str, Any], seen: Evidence) -> list[Finding]:
    """Each order of the second unit's articles stands once in its ERP, delivered whole, and its stock fell by them."""
    if "second_unit" not in plan:
        return []
    unit = plan["second_unit"]
    ids = {order for order, key in seen.orders.items() if seen.asked[key]["lines"][0]["sku"] in unit["skus"]}
    orders = fetch(urllib.request.Request(f"{unit['erp']}/_control/orders"))["orders"]  # noqa: S310
    alive = Counter(order["external_reference"] for order in orders if order["status"] != "CANCELLED")
    undelivered = [
        order["external_reference"]
        for order in orders
        if order["status"] != "CANCELLED" and any(line["delivered"] != line["quantity"] for line in order["lines"])
    ]
    stock = fetch(urllib.request.Request(f"{unit['erp']}/_control/stock"))["lines"]  # noqa: S310
    now = {line["article"].removeprefix("A-"): line["quantity"] for line in stock}
    before = {sku: str(plan["stock"][sku]) for sku in unit["skus"] if sku in plan["stock"]}
    return [
        ("the second ERP lost no accepted order", ids <= set(alive), f"{len(ids & set(alive))} of {len(ids)} orders"),
        (
            "the second ERP has no order twice, and no other",
            set(alive) <= ids and all(count == 1 for count in alive.values()),
            f"{sum(alive.values())} live orders",
        ),
        (
            "the second ERP was told of all that left, once",
            not undelivered,
            short(undelivered) or f"{len(alive)} delivered",
        ),
        _left("the second ERP's stock fell by what was accepted", before, {**dict.fromkeys(before, "0"), **now}, seen),
    ]


def check_counts(plan: dict[str, Any], seen: Evidence, found: list[Finding]) -> list[Finding]:
    """The three figures that matter, out of all the books; none of the checks behind them may have failed."""
    sales = [name for name, ok, _ in found if not ok]
    lost = sum("lost" in name or "every accepted order" in name for name in sales)
    doubled = sum("twice" in name or "two answers" in name for name in sales)
    over = sum(max(0, int(seen.accepted[sku]) - int(figure)) for sku, figure in plan["stock"].items())
    return [
        (
            "lost, duplicated, oversold",
            not (lost or doubled or over),
            f"lost {lost}, duplicated {doubled}, oversold {over} of {len(seen.orders)} accepted",
        )
    ]


def _left(name: str, before: dict[str, str], now: dict[str, str], seen: Evidence) -> Finding:
    wrong = [sku for sku, opening in before.items() if Decimal(opening) - seen.accepted[sku] != Decimal(now[sku])]
    shown = [f"{sku} {before[sku]} - {seen.accepted[sku]} → {now[sku]}" for sku in (wrong or before)]
    return name, not wrong, short(shown)


def check_warehouses(plan: dict[str, Any], seen: Evidence) -> list[Finding]:
    """Each accepted order was worked on once, all of it, and the shelves hold the rest."""
    twice, unasked, shipped = [], [], Counter[str]()
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    for warehouse in plan["warehouses"]:
        asked = Counter(
            json.loads(entry["body"])["client_reference"]
            for entry in lines(warehouse["log"])
            if entry["method"] == "POST" and entry["target"].endswith("/orders") and entry["status"] == _CREATED
        )
        twice += [order for order in seen.orders if asked[order] > 1]
        for order in fetch(urllib.request.Request(f"{warehouse['url']}/_control/orders"))["orders"]:  # noqa: S310
            reference = order["client_reference"]
            if reference not in seen.orders:
                continue
            shipped[reference] += order["status"] == "SHIPPED"
            unasked += [reference for line in order["lines"] if line["shipped"] != line["ordered"]]
            for line in order["lines"]:
                amounts[line["client_sku"]] += Decimal(line["shipped"])
    stock = warehouse_stock(plan)
    refusals = [e for e in lines(plan["work_log"]) if '"SHORT"' in e["body"]]
    figures = {sku: states.get("AVL", "0") for sku, states in stock.items()}
    opening = {sku: states.get("AVL", "0") for sku, states in plan["opening"]["warehouses"].items() if sku in stock}
    return [
        (
            "the warehouses lost no accepted order",
            all(shipped[order] for order in seen.orders) and not unasked,
            f"{len(shipped)} of {len(seen.orders)} orders shipped whole; {short(set(seen.orders) - set(shipped))}",
        ),
        ("no warehouse got an order twice", not twice, short(twice) or f"{sum(shipped.values())} works, once each"),
        (
            "the warehouses shipped what was accepted",
            dict(amounts) == dict(seen.accepted),
            f"{sum(amounts.values())} units",
        ),
        ("no picker stood before an empty shelf", not refusals, f"{len(refusals)} refusals"),
        _left("the shelves hold what was there less what was accepted", opening, figures, seen),
    ]  # fmt: skip


def check_told(plan: dict[str, Any], seen: Evidence) -> list[Finding]:
    """What the channel is told now, and what the partner was told of each order."""
    told = {}
    for sku in plan["stock"]:
        url = f"{plan['gateway']}/storefront/v1/availability?{urllib.parse.urlencode({'sku': sku})}"
        request = urllib.request.Request(url, headers={"X-Api-Key": plan["api_key"]})  # noqa: S310
        told[sku] = str(Decimal(fetch(request)["available_to_sell"]))
    hook = standardwebhooks.Webhook(plan["webhook_secret"])
    forged, states = 0, defaultdict(set)
    for entry in lines(plan["webhook_log"]):
        body, headers = base64.b64decode(entry["body"]), entry["headers"]
        moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        if hook.sign(headers["webhook-id"], moment, body.decode()) not in headers["webhook-signature"].split(" "):
            forged += 1
            continue
        message = json.loads(body)
        if message["type"] == "order.updated":
            states[message["data"]["id"]].add(message["data"]["state"])
    untold = [order for order in seen.orders if "completed" not in states[order]]
    return [
        _left("the channel is told what is left", {s: str(n) for s, n in plan["stock"].items()}, told, seen),
        ("every webhook's signature verifies", forged == 0, f"{forged} do not"),
        (
            "the partner was told that each order is complete",
            not untold,
            short(untold) or f"all {len(seen.orders)} by webhook",
        ),
    ]


async def rest(plan: dict[str, Any]) -> list[Finding]:
    """Wait until all is done, while something still moves: a slow machine is no lost order.

    It is over when nothing came on for the plan's patience, and after its limit in any case (both in seconds). The
    look takes a tenth of the time at most: what it costs, the orders that it waits for are late by.
    """
    began = moved = time.monotonic()
    last: tuple[dict[str, Any], Any] | None = None
    orders = list(Evidence(plan).orders)
    while True:
        looked = time.monotonic()
        try:
            moving = await _moving(plan, orders)
        except (OSError, asyncpg.PostgresError) as error:
            moving = {"the record": type(error).__name__}
        progress = moving.pop("progress", None)
        now = time.monotonic()
        if (moving, progress) != last:
            last, moved = (moving, progress), now
        waited = now - began
        if not moving or now - moved > plan["patience"] or waited > plan["limit"]:
            break
        await asyncio.sleep(max(_POLL, _REST * (now - looked)))
    return [("all came to rest", not moving, f"after {waited:.1f} s" + (f": {moving}" if moving else ""))]


async def _moving(plan: dict[str, Any], orders: list[str]) -> dict[str, Any]:
    connection = await asyncpg.connect(plan["postgres"])
    try:
        row = await connection.fetchrow(_MOVING, orders, datetime.fromisoformat(plan["opening"]["at"]))
        found: dict[str, Any] = {name: count for name, count in row.items() if count}
        if "exceptions" in found:
            rows = await connection.fetch(
                "select code, detail from order_to_ship.exception where order_id = any($1) and state = 'open'", orders
            )
            found["exceptions"] = [f"{row['code']}: {row['detail']}" for row in rows]
        return found if found.keys() - {"progress"} else {}
    finally:
        await connection.close()


async def check_record(plan: dict[str, Any], seen: Evidence) -> list[Finding]:
    """In SQL: every order once, and every law that must always hold."""
    connection = await asyncpg.connect(plan["postgres"])
    try:
        rows = await connection.fetch(
            "select order_id, state from order_to_ship.sales_order where external_number = any($1)", list(seen.asked)
        )
        began = datetime.fromisoformat(plan["opening"]["at"])
        found = [
            (name, count == 0, f"{count} violations")
            for name, query in _LAWS
            for count in [await _count(connection, query, list(seen.orders), began)]
        ]
    finally:
        await connection.close()
    states = Counter(row["state"] for row in rows)
    accepted = sum((seen.accepted[sku] for sku in plan["stock"]), Decimal(0))
    return [
        (
            "the record has every accepted order, once, and no other",
            sorted(row["order_id"] for row in rows) == sorted(seen.orders),
            f"{len(rows)} orders: {short(f'{state} x {count}' for state, count in states.items())}",
        ),
        ("every order is complete", set(states) <= {"completed"}, f"{states['completed']} of {len(rows)}"),
        (
            "no more was accepted than there was",
            all(seen.accepted[sku] <= figure for sku, figure in plan["stock"].items()),
            f"{accepted} of {sum(plan['stock'].values())} units",
        ),
        *found,
    ]


async def _count(connection: asyncpg.Connection, query: str, orders: list[str], began: datetime) -> int:
    arguments: list[Any] = [value for mark, value in (("$1", orders), ("$2", began)) if mark in query]
    count: int = await connection.fetchval(query.replace("$2", f"${len(arguments)}"), *arguments)
    return count


async def _opening(plan: dict[str, Any]) -> dict[str, Any]:
    erp = Tryton(**plan["tryton"])
    connection = await asyncpg.connect(plan["postgres"])
    try:
        now: datetime = await connection.fetchval("select now()")
    finally:
        await connection.close()
    figures = erp.quantities(list(_tryton_stock(plan)), _tryton_codes(plan))
    return {"at": now.isoformat(), "tryton": figures, "warehouses": warehouse_stock(plan)}


async def main(mode: str, plan: dict[str, Any]) -> int:
    """Run every check of the plan, or read the opening figures."""
    if mode == "open":
        sys.stdout.write(json.dumps(await _opening(plan)) + "\n")
        return 0
    findings = await rest(plan)
    seen = Evidence(plan)
    findings += await check_record(plan, seen)
    findings += made((check_answers, check_tryton, check_second_unit, check_warehouses, check_told), plan, seen)
    return tell([*findings, *check_counts(plan, seen, findings)])


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))))
