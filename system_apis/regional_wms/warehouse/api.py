"""The vendor's API and, beside it, the control API of the sandbox (loopback only, without a key)."""

from __future__ import annotations

import asyncio
import hmac
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from gateway.sandboxes.answering import delivered
from gateway.sandboxes.books import Refusal
from gateway.sandboxes.faults import FaultBox, Faults
from gateway.sandboxes.http import HttpAnswer, HttpRequest
from gateway.sandboxes.journal import Journal
from system_apis.regional_wms.warehouse import counts, orders, status_changes
from system_apis.regional_wms.warehouse.ledger import Ledger
from system_apis.regional_wms.warehouse.webhooks import Sender
from system_apis.regional_wms.warehouse.work import OPERATIONS

_JSON: Final = (("content-type", "application/json"),)
_ORDER_WORK: Final = {"pick": orders.pick, "unpick": orders.unpick, "ship": orders.ship}
_MOST: Final = 1000
Query = dict[str, list[str]]


class Api:
    """Answers requests; one instance per sandbox."""

    def __init__(
        self, ledger: Ledger, received: Journal, sent: Journal, faults: FaultBox, sender: Sender, api_key: str
    ) -> None:
        self._ledger = ledger
        self._received = received
        self._sent = sent
        self._faults = faults
        self._sender = sender
        self._api_key = api_key.encode()
        self._readers: dict[str, Callable[[Query], dict[str, Any]]] = {
            "status": self._status,
            "items": self._items,
            "stock": self._stock,
            "events": self._events,
            "orders": self._orders,
            "status-changes": self._status_changes,
            "counts": self._counts,
        }

    async def handle(self, request: HttpRequest) -> HttpAnswer:
        """One request, with whatever fault is due."""
        url = urlsplit(request.target)
        rule = None if url.path.startswith("/_control") else self._faults.take(request.method, url.path)
        if self._faults.now.latency_ms and not url.path.startswith("/_control"):
            await asyncio.sleep(self._faults.now.latency_ms / 1000)
        if rule is not None and rule.do in ("error_before", "hang_before", "drop_before", "throttle"):
            status, answer = rule.status, {"error": {"code": "INTERNAL", "message": "fault on demand"}}
        else:
            status, answer = self._answer(request, url.path, parse_qs(url.query, keep_blank_values=True))
        if not url.path.startswith("/_control"):
            self._received.write(
                method=request.method,
                target=request.target,
                body=request.body.decode("utf-8", "replace"),
                status=status,
                fault=rule.do if rule else None,
                correlation_id=request.headers.get("x-correlation-id"),
            )
        told = HttpAnswer(status, json.dumps(answer, ensure_ascii=False).encode(), _JSON)
        return await delivered(rule, told, {"error": {"code": "INTERNAL", "message": "fault on demand"}})

    def _answer(self, request: HttpRequest, path: str, query: Query) -> tuple[int, Any]:
        try:
            return self._dispatch(request, path, query)
        except Refusal as refusal:
            return refusal.status, {"error": {"code": refusal.code, "message": refusal.message}}
        except (KeyError, TypeError, ValueError) as error:
            return 400, {"error": {"code": "BAD_REQUEST", "message": f"{type(error).__name__}: {error}"}}

    def _dispatch(self, request: HttpRequest, path: str, query: Query) -> tuple[int, Any]:
        body = json.loads(request.body) if request.body else {}
        if not isinstance(body, dict):
            raise Refusal(400, "BAD_JSON", "an object is needed")
        if path.startswith("/_control/"):
            return self._control(request.method, path.removeprefix("/_control/"), query, body)
        if not hmac.compare_digest(request.headers.get("x-api-key", "").encode(), self._api_key):
            raise Refusal(401, "BAD_KEY", "x-api-key is missing or wrong")
        resource = path.removeprefix("/api/v2/")
        if request.method == "GET" and resource in self._readers:
            return 200, self._readers[resource](query)
        match request.method, resource.split("/"):
            case "POST", ["orders"]:
                return 201, orders.release(self._ledger, body)
            case "POST", ["orders", number, "cancel"]:
                return 200, orders.cancel(self._ledger, unquote(number))
            case "POST", ["status-changes"]:
                made = status_changes.change(self._ledger, body)
                self._sender.wake()
                return 201, made
            case "POST", ["counts"]:
                counted = counts.post(self._ledger, body)
                self._sender.wake()
                return 201, counted
        raise Refusal(404, "NOT_FOUND", "no such resource")

    def _status(self, _: Query) -> dict[str, Any]:
        return {"status": "up", "epoch": self._ledger.epoch, "sequence": self._ledger.sequence}

    def _orders(self, query: Query) -> dict[str, Any]:
        return {"orders": orders.find(self._ledger, reference=_first(query, "client_reference"))}

    def _status_changes(self, query: Query) -> dict[str, Any]:
        return {"changes": status_changes.find(self._ledger, _first(query, "client_reference"))}

    def _counts(self, query: Query) -> dict[str, Any]:
        return {"counts": counts.find(self._ledger, _first(query, "client_reference"))}

    def _items(self, query: Query) -> dict[str, Any]:
        limit = min(_MOST, int(_first(query, "limit") or 200))
        rows = self._ledger.rows(
            "select body from item where item_code > ? order by item_code limit ?",
            _first(query, "after") or "",
            limit + 1,
        )
        found = [json.loads(row["body"]) for row in rows[:limit]]
        return {"items": found, "next": found[-1]["item_code"] if len(rows) > limit else None}

    def _stock(self, query: Query) -> dict[str, Any]:
        warehouses = query.get("warehouse") or self._ledger.warehouses
        unknown = set(warehouses) - set(self._ledger.warehouses)
        if unknown:
            raise Refusal(422, "UNKNOWN_WAREHOUSE", f"no warehouse {min(unknown)!r}")
        with self._ledger.transaction():
            rows = self._ledger.rows(
                "select b.*, json_extract(i.body, '$.base_unit') unit from balance b join item i using (item_code) "
                f"where b.warehouse in ({', '.join('?' * len(warehouses))}) order by b.warehouse, b.item_code",
                *warehouses,
            )
            epoch, sequence = self._ledger.epoch, self._ledger.sequence
        lines = [{key: row[key] for key in ("warehouse", "item_code", "state", "quantity", "unit")} for row in rows]
        return {
            "snapshot_id": f"SNAP-{uuid.uuid4()}",
            "epoch": epoch,
            "sequence_cutoff": sequence,
            "taken_at": datetime.now(UTC).isoformat(),
            "warehouses": warehouses,
            "lines": [{**line, "lot": row["lot"] or None} for line, row in zip(lines, rows, strict=True)],
        }

    def _events(self, query: Query) -> dict[str, Any]:
        limit = min(_MOST, int(_first(query, "limit") or 200))
        epoch, _, sequence = (_first(query, "after") or "0:0").partition(":")
        rows = self._ledger.rows(
            "select epoch, sequence, body from event where (epoch, sequence) > (?, ?) order by epoch, sequence limit ?",
            int(epoch),
            int(sequence),
            limit + 1,
        )
        last = rows[:limit][-1] if rows else None
        return {
            "events": [json.loads(row["body"]) for row in rows[:limit]],
            "next": f"{last['epoch']}:{last['sequence']}" if last else f"{int(epoch)}:{int(sequence)}",
            "more": len(rows) > limit,
        }

    def _control(self, method: str, name: str, query: Query, body: dict[str, Any]) -> tuple[int, Any]:
        if method == "GET":
            return 200, self._look(name, query)
        work: Callable[[Ledger, dict[str, Any]], dict[str, Any]] | None = OPERATIONS.get(name) or _ORDER_WORK.get(name)
        if work is not None:
            event = work(self._ledger, body)
            self._sender.wake()
            return 200, event
        if name == "faults":
            self._faults.set(msgspec.convert(body, Faults))
            self._sender.wake()
        elif name == "webhook":
            self._sender.url = str(body["url"])
        elif name == "items":
            self._ledger.add_item(body)
        elif name == "restore":
            self._ledger.put("epoch", str(self._ledger.epoch + 1))
        else:
            raise Refusal(404, "NOT_FOUND", "no such control")
        return 200, {}

    def _look(self, name: str, query: Query) -> dict[str, Any]:
        after, limit = int(_first(query, "after") or 0), int(_first(query, "limit") or 10_000)
        if name == "requests":
            return {"entries": self._received.read(after, limit)}
        if name == "webhooks":
            return {"entries": self._sent.read(after, limit), "backlog": self._sender.backlog()}
        if name == "faults":
            return {"faults": msgspec.to_builtins(self._faults.now)}
        if name == "orders":
            return {"orders": orders.find(self._ledger, open_only=_first(query, "open") == "1")}
        if name == "stock":
            return self._stock(query)
        raise Refusal(404, "NOT_FOUND", "no such control")


def _first(query: Query, name: str) -> str | None:
    values = query.get(name)
    return values[0] if values else None
