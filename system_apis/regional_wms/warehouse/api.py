"""The warehouse's API and the sandbox's control API."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from gateway.sandboxes.api import Answer, Query, VendorApi, first, no_such
from gateway.sandboxes.books import Refusal
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from system_apis.regional_wms.warehouse import counts, orders, status_changes
from system_apis.regional_wms.warehouse.ledger import Ledger
from system_apis.regional_wms.warehouse.webhooks import Sender
from system_apis.regional_wms.warehouse.work import OPERATIONS

_ORDER_WORK: Final = {"pick": orders.pick, "unpick": orders.unpick, "ship": orders.ship}
_MOST: Final = 1000


class Api(VendorApi):
    """Answers requests; one instance per sandbox."""

    def __init__(
        self, ledger: Ledger, received: Journal, sent: Journal, faults: FaultBox, sender: Sender, api_key: str
    ) -> None:
        super().__init__(received, faults, ("x-api-key", api_key), sender)
        self._ledger = ledger
        self._sent = sent
        self._backlog = sender.backlog
        self._readers: dict[str, Callable[[Query], dict[str, Any]]] = {
            "status": self._status,
            "items": self._items,
            "stock": self._stock,
            "events": self._events,
            "orders": self._orders,
            "status-changes": self._status_changes,
            "counts": self._counts,
        }

    def problem(self, code: str, message: str) -> dict[str, Any]:
        """The vendor's body of an error."""
        return {"error": {"code": code, "message": message}}

    def dispatch(self, method: str, path: str, query: Query, body: dict[str, Any]) -> Answer:
        """The vendor's resources, as README.md lists them."""
        resource = path.removeprefix("/api/v2/")
        if method == "GET" and resource in self._readers:
            return 200, self._readers[resource](query)
        match method, resource.split("/"):
            case "POST", ["orders"]:
                return 201, orders.release(self._ledger, body)
            case "POST", ["orders", number, "cancel"]:
                return 200, orders.cancel(self._ledger, unquote(number))
            case "POST", ["status-changes"]:
                made = status_changes.change(self._ledger, body)
                self.happened()
                return 201, made
            case "POST", ["counts"]:
                counted = counts.post(self._ledger, body)
                self.happened()
                return 201, counted
        raise no_such("resource")

    def _status(self, _: Query) -> dict[str, Any]:
        return {"status": "up", "epoch": self._ledger.epoch, "sequence": self._ledger.sequence}

    def _orders(self, query: Query) -> dict[str, Any]:
        return {"orders": orders.find(self._ledger, reference=first(query, "client_reference"))}

    def _status_changes(self, query: Query) -> dict[str, Any]:
        return {"changes": status_changes.find(self._ledger, first(query, "client_reference"))}

    def _counts(self, query: Query) -> dict[str, Any]:
        return {"counts": counts.find(self._ledger, first(query, "client_reference"))}

    def _items(self, query: Query) -> dict[str, Any]:
        limit = min(_MOST, int(first(query, "limit") or 200))
        rows = self._ledger.rows(
            "select body from item where item_code > ? order by item_code limit ?",
            first(query, "after") or "",
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
        limit = min(_MOST, int(first(query, "limit") or 200))
        epoch, _, sequence = (first(query, "after") or "0:0").partition(":")
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

    def control(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Have something happen, as README.md lists it."""
        work: Callable[[Ledger, dict[str, Any]], dict[str, Any]] | None = OPERATIONS.get(name) or _ORDER_WORK.get(name)
        if work is not None:
            event = work(self._ledger, body)
            self.happened()
            return event
        match name:
            case "items":
                self._ledger.add_item(body)
            case "restore":
                self._ledger.remember("epoch", str(self._ledger.epoch + 1))
            case _:
                raise no_such("control")
        return {}

    def look(self, name: str, query: Query) -> dict[str, Any]:
        """Show something of the books, as README.md lists it."""
        match name:
            case "webhooks":
                after, limit = int(first(query, "after") or 0), int(first(query, "limit") or 10_000)
                return {"entries": self._sent.read(after, limit), "backlog": self._backlog()}
            case "orders":
                return {"orders": orders.find(self._ledger, open_only=first(query, "open") == "1")}
            case "stock":
                return self._stock(query)
        raise no_such("control")
