"""The independent checker of a purchase: reads the evidence where it lies and imports no Crossdock code.

    python checker_purchase.py observe PLAN.json    what Tryton counts of each article before anything came in
    python checker_purchase.py check PLAN.json      everything, when the trade is over

PLAN names Tryton (read by JSON-RPC as its administrator), the warehouse (by its own API), the number of the purchase in
Tryton, and logs that others wrote: what two suppliers sent and were answered, and the webhooks that arrived. `check`
prints one JSON object a line, ``{"check", "ok", "evidence"}``, and exits with 1 when any is not ok.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.parse
import urllib.request
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import standardwebhooks

from gateway.plays.checkers.evidence import Finding, fetch, lines, made, tell
from gateway.plays.checkers.tryton import Tryton

_OK, _NOT_FOUND = 200, 404
_HEARD = {"ordered", "decided", "received", "invoice_blocked", "invoice_matched", "invoice_in_books"}


def sent(plan: dict[str, Any], label: str) -> dict[str, Any]:
    """What the supplier sent under a label, and the answer to it."""
    [entry] = [each for each in lines(plan["supplier_log"]) if each["label"] == label]
    return {"at": entry["at"], "status": entry["status"], "said": json.loads(entry["sent"]), "answer": entry["body"]}


def figures(plan: dict[str, Any], erp: Tryton) -> dict[str, str]:
    """What Tryton counts of each article."""
    return erp.quantities(plan["skus"], [plan["warehouse"]])


def came_in(plan: dict[str, Any]) -> dict[str, Decimal]:
    """Pieces by article that the warehouse itself says came in under the purchase."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    codes = {each["item_code"]: each["client_sku"] for each in _pages(plan["wms"], "items", "items")}
    for event in _pages(plan["wms"], "events", "events"):
        if event["type"] == "RCPT" and event.get("document") == plan["number"]:
            for line in event["lines"]:
                found[codes[line["item_code"]]] += Decimal(line["quantity"])
    return dict(found)


def _pages(wms: dict[str, str], resource: str, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        query = urllib.parse.urlencode({"limit": 200, **({"after": after} if after else {})})
        url = f"{wms['url']}/api/v2/{resource}?{query}"
        page = fetch(urllib.request.Request(url, headers={"x-api-key": wms["api_key"]}))
        found += page[name]
        if not page[name] or not page["next"] or page["next"] == after:
            return found
        after = page["next"]


def check_tryton(plan: dict[str, Any]) -> list[Finding]:
    """The purchase came in as the warehouse says, once, and is billed as the supplier billed it, once."""
    erp, number = Tryton(**plan["tryton"]), plan["number"]
    [purchase] = erp.read(
        "purchase.purchase", [["number", "=", number]], ["state", "shipment_state", "invoice_state", "invoices"]
    )
    moves = erp.read(
        "stock.move",
        [["purchase.number", "=", number], ["state", "=", "done"]],
        ["internal_quantity", "product.code", "shipment"],
    )
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for move in moves:
        booked[move["product."]["code"]] += Decimal(str(move["internal_quantity"]))
    numbers = sorted({int(move["shipment"].partition(",")[2]) for move in moves})
    receptions = erp.read("stock.shipment.in", [["id", "in", numbers]], ["number", "reference", "state"])
    came = came_in(plan)
    now = figures(plan, erp)
    rose = {sku: Decimal(now[sku]) - Decimal(plan["before"][sku]) for sku in plan["skus"]}
    bills = erp.read("account.invoice", [["id", "in", purchase["invoices"]]], ["reference", "state", "untaxed_amount"])
    billed = sent(plan, "invoice")["said"]
    net = sum((Decimal(line["amount"]) * Decimal(line["unit_price"]) for line in billed["lines"]), Decimal(0))
    return [
        (
            "Tryton has the purchase received and billed",
            (purchase["shipment_state"], purchase["invoice_state"]) == ("received", "awaiting payment"),
            f"{number}: {purchase['state']}, {purchase['shipment_state']}, {purchase['invoice_state']}",
        ),
        ("Tryton booked what came in, once", dict(booked) == came, f"booked {_plain(booked)}, came in {_plain(came)}"),
        (
            "each reception is done and bears a reference of its own",
            all(each["state"] == "done" for each in receptions)
            and len({each["reference"] for each in receptions}) == len(receptions) > 0,
            ", ".join(f"{each['number']} {each['state']}" for each in receptions),
        ),
        ("Tryton's stock rose by what came in", rose == came, f"{plan['before']} before, {now} after"),
        (
            "Tryton has the supplier's invoice once, posted, to the cent",
            [(each["reference"], each["state"], each["untaxed_amount"]) for each in bills]
            == [(billed["number"], "posted", net)],
            f"{[(each['reference'], each['state'], str(each['untaxed_amount'])) for each in bills]}, billed {net}",
        ),
    ]


def _plain(found: dict[str, Decimal]) -> dict[str, str]:
    return {sku: f"{amount:f}" for sku, amount in found.items()}


def check_supplier(plan: dict[str, Any]) -> list[Finding]:
    """What the supplier said was taken, and its own door tells it how that fared; nobody else sees the order."""
    said = {label: sent(plan, label) for label in ("acknowledgement", "ship notice", "invoice")}
    last = json.loads([each for each in lines(plan["supplier_log"]) if each["label"] == "look"][-1]["body"])
    open_ones = [line["line"] for line in last["lines"] if Decimal(line["open"])]
    wrong = [line["line"] for line in last["lines"] if len({line[n] for n in ("received", "accepted", "invoiced")}) > 1]
    invoices = [(each["number"], each["verdict"], each["in_books"]) for each in last["invoices"]]
    other = lines(plan["other_log"])
    look = [each["status"] for each in other if each["label"] == "look"]
    mine = [each for each in other if each["label"] == "list" and plan["purchase"] in each["body"]]
    statuses = {label: each["status"] for label, each in said.items()}
    return [
        ("what the supplier said was taken", set(statuses.values()) == {_OK}, str(statuses)),
        (
            "one line was acknowledged at another price",
            [line.get("unit_price") is not None for line in said["acknowledgement"]["said"]["lines"]] == [False, True],
            str(said["acknowledgement"]["said"]["lines"]),
        ),
        (
            "the door says that all came and was billed",
            last["state"] == "matched" and not open_ones and not wrong,
            f"{last['state']}, open {open_ones}, unlike {wrong}",
        ),
        (
            "the door says that the invoice is in the books",
            invoices == [(said["invoice"]["said"]["number"], "matched", "posted")],
            str(invoices),
        ),
        (
            "another supplier is told that the order is not there",
            bool(look) and set(look) == {_NOT_FOUND} and not mine,
            f"{look}, lists with it: {len(mine)}",
        ),
    ]


def _heard(log: str) -> list[dict[str, Any]]:
    """What a receiver noted; who was told nothing has no log."""
    return lines(log) if Path(log).exists() else []


def check_webhooks(plan: dict[str, Any]) -> list[Finding]:
    """The supplier heard of the order, signed, before it answered, and of all that came of it; the other did not."""
    hook, got = standardwebhooks.Webhook(plan["webhook_secret"]), _heard(plan["webhook_log"])
    heard: list[tuple[str, float]] = []
    strange = unsigned = 0
    for entry in got:
        body = base64.b64decode(entry["body"])
        fields = entry["headers"]
        at = datetime.fromtimestamp(int(fields["webhook-timestamp"]), UTC)
        if hook.sign(fields["webhook-id"], at, body.decode()) not in fields["webhook-signature"].split(" "):
            unsigned += 1
            continue
        told = json.loads(body)
        if told["type"] != "purchase_order.updated":
            strange += 1
        elif told["data"]["number"] == plan["number"]:
            heard.append((told["occasion"], entry["received_at"]))
    first = min((at for occasion, at in heard if occasion == "ordered"), default=float("inf"))
    occasions = [occasion for occasion, _ in heard]
    elsewhere = [
        e for e in _heard(plan["other_webhook_log"]) if plan["purchase"].encode() in base64.b64decode(e["body"])
    ]
    return [
        ("every webhook's signature verifies", bool(got) and not unsigned, f"{len(got)} webhooks, {unsigned} unsigned"),
        (
            "the supplier heard of the order before it answered",
            first < sent(plan, "acknowledgement")["at"],
            f"{sent(plan, 'acknowledgement')['at'] - first:.2f} s before",
        ),
        ("the supplier heard of all that came of it", set(occasions) >= _HEARD, " → ".join(occasions)),
        ("it was told of purchase orders only", not strange, f"{strange} others"),
        ("another supplier heard nothing of it", not elsewhere, f"{len(elsewhere)} webhooks"),
    ]


def main() -> int:
    """Run every check of the plan, or observe."""
    plan = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    if sys.argv[1] == "observe":
        sys.stdout.write(json.dumps(figures(plan, Tryton(**plan["tryton"]))) + "\n")
        return 0
    return tell(made((check_tryton, check_supplier, check_webhooks), plan))


if __name__ == "__main__":
    sys.exit(main())
