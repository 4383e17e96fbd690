"""The independent checker of the play of ERPs: reads the evidence where it lies and imports no Crossdock code.

    python -I -m gateway.plays.checkers.erp_migration PLAN.json

prints one JSON object a line, ``{"check", "ok", "evidence"}``, and exits with 1 when any is not ok. The books: the
partners' log (what they sent and were answered), the record (SQL), Tryton (JSON-RPC), S/4HANA (OData v2).
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import urllib.parse
import urllib.request
from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from gateway.plays.checkers.evidence import Finding, fetch, lines, short, tell
from gateway.plays.checkers.tryton import Tryton

_ALIVE = ("confirmed", "processing", "done")
_BEGUN = ("completed", "partially_shipped", "picked")
_TAKEN_ALONG = ("released", "submitted")
_NOWHERE = ("held", "backordered")


class Sap:
    """As much OData v2 as the checks need."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = f"{url}/sap/opu/odata/sap"
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode(),
            "Accept": "application/json",
        }

    def read(self, path: str, **options: str) -> list[dict[str, Any]]:
        """Entities of a set."""
        query = urllib.parse.urlencode({f"${k}": v for k, v in options.items()}, quote_via=urllib.parse.quote)
        asked = urllib.request.Request(f"{self._url}/{path}?{query}", headers=self._headers)  # noqa: S310
        rows: list[dict[str, Any]] = fetch(asked)["d"]["results"]
        return rows


class Evidence:
    """What the partners sent and saw."""

    def __init__(self, log: str) -> None:
        self.entries = lines(log)
        answers = [e for e in self.entries if e["event"] == "answer"]
        sent = {e["key"]: e["sent"] for e in self.entries if e["event"] == "sending"}
        self.asked = sent
        self.bodies = {a["body"]["id"]: a["body"] for a in answers if a["status"] == 201}  # noqa: PLR2004
        self.kinds = {a["body"]["id"]: a["kind"] for a in answers if a["status"] == 201}  # noqa: PLR2004
        self.wanted = {
            a["body"]["id"]: {line["sku"]: Decimal(line["quantity"]["amount"]) for line in sent[a["key"]]["lines"]}
            for a in answers
            if a["status"] == 201  # noqa: PLR2004
        }

    def looks(self, when: str) -> dict[str, dict[str, Any]]:
        """How each order looked to its partner."""
        return {e["order"]: e["body"] for e in self.entries if e["event"] == "look" and e["when"] == when}

    def told(self, what: str) -> list[dict[str, Any]]:
        """What the command said."""
        return [e["told"] for e in self.entries if e["event"] == "migrate" and e["what"] == what]

    def of(self, *kinds: str) -> set[str]:
        """The orders that were brought into these states."""
        return {order for order, kind in self.kinds.items() if kind in kinds}


def shape(value: Any) -> Any:
    """The members of an answer and the sorts of their values, whatever they say; of lists those of all elements."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in sorted(value.items())}
    if isinstance(value, list):
        return [json.loads(text) for text in sorted({json.dumps(shape(each)) for each in value})]
    return type(value).__name__


def fits(before: Any, after: Any) -> bool:
    """Whether two shapes are of one contract: what is empty or null in one of them may be anything in the other."""
    if "NoneType" in (before, after) or [] in (before, after):
        return True
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(fits(before[name], after[name]) for name in before)
    if isinstance(before, list) and isinstance(after, list):
        return all(fits(one, other) for one in before for other in after)
    return bool(before == after)


def check_contract(seen: Evidence) -> list[Finding]:
    """What partners read before and after is the same order by the same contract."""
    before, after = seen.looks("before"), seen.looks("after")
    first = next(iter(before.values()))
    shapes = {order: shape(body) for order, body in {**before, **after}.items()}
    odd = [order for order, known in shapes.items() if not fits(shape(first), known)]
    moved = [order for order in before if not fits(shape(before[order]), shape(after[order]))]
    same = ("id", "external_number")
    lost = [o for o, body in before.items() if any(after.get(o, {}).get(name) != body[name] for name in same)]
    changed = [o for o in before if [x["item"] for x in before[o]["lines"]] != [x["item"] for x in after[o]["lines"]]]
    states = Counter(f"{seen.kinds[order]} -> {body['status']['state']}" for order, body in after.items())
    ends = {o: body["status"]["state"] for o, body in after.items()}
    wrong = [o for o, state in ends.items() if state != (seen.kinds[o] if seen.kinds[o] in _NOWHERE else "completed")]
    return [
        (
            "v2 answers have one shape before and after",
            not odd and not moved,
            short(odd + moved) or f"{len(shapes)} orders",
        ),
        ("ids, numbers and items stay", not lost and not changed, short(lost + changed) or f"{len(before)} orders"),
        ("every order came to its end", not wrong, short(f"{state} x {count}" for state, count in states.items())),
    ]


def check_erps(plan: dict[str, Any], seen: Evidence) -> list[Finding]:
    """Each order is live in exactly one ERP, of what was ordered."""
    tryton, sap = Tryton(**plan["tryton"]), Sap(**plan["sap"])
    ids = sorted(seen.bodies)
    sales = tryton.read("sale.sale", [["reference", "in", ids]], ["state", "reference", "shipment_state", "shipments"])
    shipments = {s["id"]: s for s in tryton.read("stock.shipment.out", [], ["state", "reference"])}
    old: Counter[str] = Counter()
    for sale in sales:
        own = [shipments[number]["state"] for number in sale["shipments"]]
        gone = bool(own) and all(state == "cancelled" for state in own)
        old[sale["reference"]] += sale["state"] in _ALIVE and not gone
    orders = [o for o in sap.read("API_SALES_ORDER_SRV/A_SalesOrder", expand="to_Item") if o["PurchaseOrderByCustomer"]]
    new = Counter(
        o["PurchaseOrderByCustomer"]
        for o in orders
        if not all(item["SalesDocumentRjcnReason"] for item in o["to_Item"]["results"])
    )
    both = {order: old[order] + new[order] for order in ids}
    nowhere = seen.of(*_NOWHERE)
    doubled = [order for order, count in both.items() if count > 1]
    lost = [order for order, count in both.items() if count == 0 and order not in nowhere]
    early = [order for order in nowhere if both[order]]
    strangers = sorted(set(new) - set(ids))
    [cut] = seen.told("cut-over")
    at = datetime.fromisoformat(cut["effective_at"])
    late = {o for o in seen.of("crossing") if datetime.fromisoformat(seen.bodies[o]["placed_at"]) >= at}
    stay, along = seen.of(*_BEGUN), seen.of(*_TAKEN_ALONG)
    handed, meanwhile = len(ids) - len(nowhere), len(seen.of("crossing"))
    return [
        (
            "doubled 0: no order is live twice",
            not doubled and not strangers,
            short(doubled + strangers) or f"{len(ids)} orders",
        ),
        ("lost 0: every order that was handed over is live once", not lost, short(lost) or f"{handed} orders"),
        ("what waits is in neither", not early, short(early) or f"{len(nowhere)} held or backordered"),
        ("what the warehouse had begun stayed in Tryton", all(old[o] == 1 for o in stay), f"{len(stay)} orders"),
        ("what it had not begun is in S/4HANA alone", all(new[o] == 1 for o in along), f"{len(along)} orders"),
        (
            "what was placed from the cut-over on went to S/4HANA",
            bool(late) and all(new[o] == 1 for o in late),
            f"{len(late)} of {meanwhile} that were placed meanwhile",
        ),
        *_check_amounts(sap, orders, new, seen),
        _posted_in_tryton(shipments, sales, stay),
    ]


def _check_amounts(sap: Sap, orders: list[dict[str, Any]], new: Counter[str], seen: Evidence) -> list[Finding]:
    ordered: dict[str, dict[str, Decimal]] = defaultdict(dict)
    numbers = {}
    for order in orders:
        reference = order["PurchaseOrderByCustomer"]
        if new[reference]:
            numbers[order["SalesOrder"]] = reference
            for item in order["to_Item"]["results"]:
                ordered[reference][item["Material"]] = Decimal(item["RequestedQuantity"])
    delivered: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    headers = {h["DeliveryDocument"]: h for h in sap.read("API_OUTBOUND_DELIVERY_SRV/A_OutbDeliveryHeader")}
    for part in sap.read("API_OUTBOUND_DELIVERY_SRV/A_OutbDeliveryItem"):
        if headers[part["DeliveryDocument"]]["OverallGoodsMovementStatus"] == "C":
            amount = Decimal(part["ActualDeliveredQtyInOrderQtyUnit"])
            delivered[numbers.get(part["ReferenceSDDocument"], "?")][part["Material"]] += amount
    postings = Counter(h["DeliveryDocumentBySupplier"] for h in headers.values())
    other = [o for o, items in ordered.items() if items != seen.wanted.get(o)]
    partly = [o for o in ordered if dict(delivered[o]) != seen.wanted.get(o)]
    twice = [posting for posting, count in postings.items() if count > 1]
    return [
        ("S/4HANA has what was ordered, to the last digit", not other, short(other) or f"{len(ordered)} orders"),
        (
            "S/4HANA was told of every shipment once",
            not partly and not twice,
            short(partly + twice) or f"{len(postings)} goods issues",
        ),
    ]


def _posted_in_tryton(shipments: dict[int, dict[str, Any]], sales: list[dict[str, Any]], stay: set[str]) -> Finding:
    states: Counter[str] = Counter()
    for sale in sales:
        if sale["reference"] in stay:
            states.update(shipments[number]["state"] for number in sale["shipments"])
    told = short(f"{state} x {count}" for state, count in states.items())
    return ("Tryton was told of every shipment of what stayed", set(states) == {"done"}, told)


async def check_record(plan: dict[str, Any], seen: Evidence) -> list[Finding]:
    """The record says the same: counters, moves, no exception left."""
    connection = await asyncpg.connect(plan["postgres"])
    try:
        ids = sorted(seen.bodies)
        moves = {
            r["order_id"]: r["state"]
            for r in await connection.fetch("select order_id, state from order_to_ship.erp_move")
        }
        wrong = await connection.fetchval(
            "select count(*) from order_to_ship.line where order_id = any($1)"
            " and ordered <> open + backordered + shipped + cancelled",
            ids,
        )
        count = await connection.fetchval("select count(*) from order_to_ship.sales_order")
        stuck = await connection.fetch(
            "select order_id, code from order_to_ship.exception"
            " where state = 'open' and blocking and order_id = any($1)",
            ids,
        )
        audited = await connection.fetchval("select count(*) from store.audit where action = 'order.move'")
    finally:
        await connection.close()
    along = seen.of(*_TAKEN_ALONG, *_NOWHERE)
    return [
        ("the record has each order once", count == len(ids), f"{count} orders, {len(ids)} accepted"),
        ("its lines add up", wrong == 0, f"{wrong} do not"),
        (
            "what was to move has moved",
            {o for o in along if moves.get(o) == "moved"} == along,
            str(dict(Counter(moves.values()))),
        ),
        (
            "no person is needed",
            not stuck,
            short(f"{r['order_id']} {r['code']}" for r in stuck) or "no exception is open",
        ),
        ("every move is audited", audited == len(moves), f"{audited} entries"),
    ]


def main() -> int:
    """Check and tell."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    seen = Evidence(plan["client_log"])
    findings = [*check_contract(seen), *check_erps(plan, seen), *asyncio.run(check_record(plan, seen))]
    return tell(findings)


if __name__ == "__main__":
    sys.exit(main())
