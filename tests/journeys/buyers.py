"""Buyers who all want the one unit there is, each on a keep-alive connection; imports no Crossdock code.

    python buyers.py PLAN.json

In each round a warehouse tells of one unit (a signed webhook), then all buyers, waiting at a barrier, order it at once.
Connections are opened until every gateway worker process serves equally many. Each answer is a line of JSON in the
plan's `log`: round, buyer, process, external number, when it was asked and answered (seconds), status, and the answer.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

_PATIENCE = 90.0
_SHIP_TO = {
    "name": "Harbor Outfitters", "street": "12 Quay Street", "city": "Portland", "postal_code": "04101",
    "country": "US",
}  # fmt: skip


def open_connections(plan: dict[str, Any]) -> list[tuple[int, http.client.HTTPConnection]]:
    """As many connections as buyers, the worker processes of the gateway taking turns."""
    share = plan["buyers"] // plan["gateway_workers"]
    held: dict[int, list[http.client.HTTPConnection]] = {}
    end = time.monotonic() + _PATIENCE
    while sum(map(len, held.values())) < plan["buyers"]:
        if time.monotonic() > end:
            raise TimeoutError(f"connections went to { ({pid: len(own) for pid, own in held.items()}) }")
        connection = http.client.HTTPConnection("127.0.0.1", plan["port"], timeout=_PATIENCE)
        connection.request("GET", "/livez")
        connection.getresponse().read()
        pid = serving(plan["gateway_pid"], connection.sock.getsockname()[1])
        if len(held.setdefault(pid, [])) < share:
            held[pid].append(connection)
        else:
            connection.close()
    rows = zip(*held.values(), strict=True)
    return [served for row in rows for served in zip(held, row, strict=True)]


def serving(gateway: int, client_port: int) -> int:
    """The worker process at the other end of the connection from `client_port`."""
    for process in psutil.Process(gateway).children(recursive=True):
        if any(pair.raddr and pair.raddr.port == client_port for pair in process.net_connections("tcp4")):
            return process.pid
    raise LookupError(f"no process of the gateway holds the connection from port {client_port}")


def tell_of_one_unit(plan: dict[str, Any], connection: http.client.HTTPConnection, number: int) -> None:
    """One piece more of this round's item, told as the warehouse does; returns when it is committed."""
    now = datetime.now(UTC)
    line = {"line": 1, "item_code": item(plan, number)["code"], "quantity": "1", "unit": "PCE", "to_state": "AVL"}
    event = {
        "event_id": f"found-{number}", "epoch": 1, "sequence": number, "type": "ADJ", "occurred_at": now.isoformat(),
        "warehouse": plan["warehouse"], "reason": "found", "lines": [line],
    }  # fmt: skip
    body = json.dumps({"delivery_id": f"delivery-{number}", "events": [event]}).encode()
    stamp = str(int(now.timestamp()))
    signature = hmac.new(plan["webhook_secret"].encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json", "X-WMS-Timestamp": stamp, "X-WMS-Signature": f"v1={signature}",
    }  # fmt: skip
    connection.request("POST", plan["webhook_path"], body, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != http.client.NO_CONTENT:
        raise RuntimeError(f"the webhook was answered with {answer.status}: {text!r}")


def item(plan: dict[str, Any], number: int) -> dict[str, str]:
    """The item of a round."""
    found: dict[str, str] = plan["items"][number % len(plan["items"])]
    return found


class Buyer(threading.Thread):
    """One buyer: meets the others at the gate each round, orders, notes the answer."""

    def __init__(
        self, plan: dict[str, Any], number: int, served: tuple[int, http.client.HTTPConnection], gate: threading.Barrier
    ) -> None:
        super().__init__(daemon=True)
        self._plan, self._number, self._gate = plan, number, gate
        self._pid, self._connection = served
        self.partner = plan["partners"][number // plan["gateway_workers"] % len(plan["partners"])]
        self.answers: list[dict[str, Any]] = []

    def run(self) -> None:
        """All rounds; a buyer that fails breaks the gate for all."""
        try:
            for number in range(1, self._plan["rounds"] + 1):
                self._order(number)
        except BaseException:
            self._gate.abort()
            raise

    def _order(self, number: int) -> None:
        external = f"round-{number}-buyer-{self._number}"
        lines = [{"sku": item(self._plan, number)["sku"], "quantity": "1"}]
        body = json.dumps({"external_number": external, "ship_to": _SHIP_TO, "lines": lines}).encode()
        headers = {"Content-Type": "application/json", "X-Api-Key": self.partner, "Idempotency-Key": f'"{external}"'}
        self._gate.wait(_PATIENCE)
        asked = time.perf_counter()
        self._connection.request("POST", "/storefront/v1/orders", body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        self.answers.append(
            {
                "round": number, "buyer": self._number, "process": self._pid, "external_number": external,
                "partner": self._plan["partners"].index(self.partner), "asked": asked, "answered": time.perf_counter(),
                "status": answer.status, "content_type": answer.headers["Content-Type"], "answer": json.loads(text),
            }
        )  # fmt: skip
        self._gate.wait(_PATIENCE)


def main() -> int:
    """Play all rounds; 0 when every buyer got an answer in each."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    gate = threading.Barrier(plan["buyers"] + 1)
    buyers = [Buyer(plan, number, served, gate) for number, served in enumerate(open_connections(plan))]
    warehouse = http.client.HTTPConnection("127.0.0.1", plan["port"], timeout=_PATIENCE)
    for buyer in buyers:
        buyer.start()
    for number in range(1, plan["rounds"] + 1):
        tell_of_one_unit(plan, warehouse, number)
        gate.wait(_PATIENCE)
        gate.wait(_PATIENCE)
    with Path(plan["log"]).open("w", encoding="utf-8") as log:
        log.writelines(json.dumps(answer) + "\n" for buyer in buyers for answer in buyer.answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
