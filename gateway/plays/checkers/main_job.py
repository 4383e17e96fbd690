"""The independent checker of the main job: reads the evidence where it lies and imports no Crossdock code.

Run as ``python -I -m gateway.plays.checkers.main_job MODE PLAN.json``; a MODE each:

    observe    what the channel is told beside what Tryton counts
    check      everything, when the story is over

PLAN names the systems, the order, and the logs that others wrote: Tryton (by JSON-RPC as its administrator), the WMS
sandbox's own log, the record (SQL), the client's log of what it sent and was answered, the partner's log of the
webhooks it got. `check` prints one JSON object a line, ``{"check", "ok", "evidence"}``, and exits with 1 when any is
not ok.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import standardwebhooks

from gateway.plays.checkers.evidence import Finding, fetch, lines, made, tell
from gateway.plays.checkers.tryton import Tryton

_PATIENCE = 30.0
_TOLERANCE = 300
_CREATED, _UNPROCESSABLE = 201, 422


def check_client(plan: dict[str, Any]) -> list[Finding]:
    """Accepted once, answered from the record the second time, the same bytes."""
    posts = [entry for entry in lines(plan["client_log"]) if entry["label"].startswith("order")]
    answers = {entry["label"]: entry for entry in posts}
    first, again = answers["order"], answers["order again"]
    return [
        ("the order was accepted", first["status"] == _CREATED, f"HTTP {first['status']}"),
        (
            "the retry was answered from the record",
            again["status"] == _CREATED and again["headers"].get("idempotent-replayed") == "true",
            f"HTTP {again['status']}, Idempotent-Replayed: {again['headers'].get('idempotent-replayed')}",
        ),
        ("both answers are the same", first["body"] == again["body"], f"{len(first['body'])} bytes"),
        (
            "another body under the same key was refused",
            answers["order changed"]["status"] == _UNPROCESSABLE,
            f"HTTP {answers['order changed']['status']}",
        ),
    ]


def check_availability(plan: dict[str, Any]) -> list[Finding]:
    """At each moment: what the channel was told equals what Tryton counts less what is promised and not yet shipped."""
    found: list[Finding] = []
    for moment in plan["moments"]:
        erp = sum((Decimal(figure) for figure in moment["tryton"].values()), Decimal(0))
        expected = erp - Decimal(moment["promised_unshipped"])
        told = Decimal(moment["available_to_sell"])
        found.append(
            (
                f"availability {moment['name']} agrees with Tryton",
                told == expected,
                f"channel {told}; Tryton {moment['tryton']} = {erp}, unshipped {moment['promised_unshipped']}",
            )
        )
    return found


def check_tryton(plan: dict[str, Any]) -> list[Finding]:
    """One sale under our order id, its shipments done, its quantities shipped once."""
    erp = Tryton(**plan["tryton"])
    order = plan["order"]
    sales = erp.read("sale.sale", [["reference", "=", order]], ["number", "state", "reference"])
    moves = erp.read(
        "stock.move",
        [["origin.sale.reference", "=", order, "sale.line"], ["shipment", "like", "stock.shipment.out,%"]],
        ["quantity", "state", "shipment", "to_location.type"],
    )
    numbers = sorted({int(move["shipment"].split(",")[1]) for move in moves})
    shipments = erp.read("stock.shipment.out", [["id", "in", numbers]], ["number", "state"])
    left = [m for m in moves if m["state"] == "done" and m["to_location."]["type"] == "customer"]
    shipped = sum((Decimal(str(move["quantity"])) for move in left), Decimal(0))
    figures = _figures(erp, plan)
    return [
        ("Tryton has one sale", len(sales) == 1, ", ".join(f"{s['number']} {s['state']}" for s in sales)),
        (
            "its shipments are done",
            bool(shipments) and all(s["state"] == "done" for s in shipments),
            ", ".join(f"{s['number']} {s['state']}" for s in shipments),
        ),
        (
            "one shipment per part that left",
            len(shipments) == plan["parts"],
            f"{len(shipments)} shipments for {plan['parts']} parts",
        ),
        ("Tryton shipped what was ordered", shipped == Decimal(plan["ordered"]), f"{shipped} of {plan['ordered']}"),
        (
            "Tryton's quantities fell by what was shipped",
            sum(map(Decimal, figures.values())) == Decimal(plan["tryton_before"]) - Decimal(plan["ordered"]),
            f"{figures}, {plan['tryton_before']} before",
        ),
    ]


def _figures(erp: Tryton, plan: dict[str, Any]) -> dict[str, str]:
    return {warehouse: erp.quantities([plan["sku"]], [warehouse])[plan["sku"]] for warehouse in plan["warehouses"]}


def check_wms(plan: dict[str, Any]) -> list[Finding]:
    """The warehouse was asked once and shipped what was ordered; read from its own log."""
    received = lines(plan["wms_log"])
    releases = [
        e for e in received
        if e["method"] == "POST" and e["target"].endswith("/orders") and e["status"] == _CREATED
        and plan["order"] in e["body"]
    ]  # fmt: skip
    return [("the warehouse got the work once", len(releases) == 1, f"{len(releases)} releases in its log")]


def check_webhooks(plan: dict[str, Any]) -> list[Finding]:
    """Every webhook of the order verifies with the standardwebhooks package and arrived under one id."""
    got = lines(plan["webhook_log"])
    hook = standardwebhooks.Webhook(plan["webhook_secret"])
    verified, orders, states = 0, 0, []
    for entry in got:
        body = base64.b64decode(entry["body"])
        headers = {k: v for k, v in entry["headers"].items() if k.startswith("webhook-")}
        try:
            payload = _verify(hook, body, headers, entry["received_at"])
        except standardwebhooks.WebhookVerificationError:
            continue
        verified += 1
        if payload["type"] == "order.updated" and payload["data"]["id"] == plan["order"]:
            orders += 1
            states.append(payload["data"]["state"])
    return [
        ("every webhook's signature verifies", bool(got) and verified == len(got), f"{verified} of {len(got)}"),
        ("the partner was told of its order", "completed" in states, f"{orders} messages: {' → '.join(states)}"),
        (
            "the partner was told of availability",
            any(b'"availability.changed"' in base64.b64decode(e["body"]).replace(b" ", b"") for e in got),
            f"{len(got) - orders} availability messages",
        ),
    ]


def _verify(hook: Any, body: bytes, headers: dict[str, str], received_at: float) -> Any:
    """The package compares with the present; the log may be read later than its tolerance of five minutes."""
    if abs(received_at - int(headers["webhook-timestamp"])) > _TOLERANCE:
        raise standardwebhooks.WebhookVerificationError("too old when it arrived")
    signature = hook.sign(headers["webhook-id"], _at(int(headers["webhook-timestamp"])), body.decode())
    if signature not in headers["webhook-signature"].split(" "):
        raise standardwebhooks.WebhookVerificationError("no signature fits")
    return json.loads(body)


def _at(seconds: int) -> Any:
    return datetime.fromtimestamp(seconds, UTC)


async def check_record(plan: dict[str, Any]) -> list[Finding]:
    """In SQL: one order, counters that add up, claims that equal their aggregate, nothing oversold."""
    connection = await asyncpg.connect(plan["postgres"])
    try:
        found = [await _row(connection, *check) for check in plan["sql"]]
    finally:
        await connection.close()
    return found


async def _row(connection: asyncpg.Connection, name: str, query: str, expected: str) -> Finding:
    value = str(await connection.fetchval(query))
    return name, value == expected, f"{value} (expected {expected})"


def observe(plan: dict[str, Any]) -> int:
    """Read both sides until they agree, at most for `_PATIENCE` seconds; print the last reading."""
    erp = Tryton(**plan["tryton"])
    started = time.monotonic()
    query = urllib.parse.urlencode({"sku": plan["sku"]})
    request = urllib.request.Request(  # noqa: S310 - loopback, from our own plan
        f"{plan['gateway']}/storefront/v1/availability?{query}", headers={"X-Api-Key": plan["api_key"]}
    )
    while True:
        figures = _figures(erp, plan)
        told = fetch(request)["available_to_sell"]
        expected = sum(map(Decimal, figures.values())) - Decimal(plan["promised_unshipped"])
        waited = time.monotonic() - started
        if Decimal(told) == expected or waited > _PATIENCE:
            break
        time.sleep(0.1)
    moment = {"name": plan["name"], "tryton": figures, "available_to_sell": told, "seconds": waited}
    sys.stdout.write(json.dumps({**moment, "promised_unshipped": str(plan["promised_unshipped"])}) + "\n")
    return 0


def main() -> int:
    """Run every check of the plan, or observe."""
    plan = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    if sys.argv[1] == "observe":
        return observe(plan)
    findings = made((check_client, check_availability, check_tryton, check_wms, check_webhooks), plan)
    return tell([*findings, *asyncio.run(check_record(plan))])


if __name__ == "__main__":
    sys.exit(main())
