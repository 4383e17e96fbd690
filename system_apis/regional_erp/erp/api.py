"""The ERP's API and the sandbox's control API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from gateway.sandboxes.api import Answer, Query, VendorApi, first, no_such
from gateway.sandboxes.books import Refusal
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from system_apis.regional_erp.erp.ledger import Ledger
from system_apis.regional_erp.erp.window import Window

_ROOT: Final = "/api/v1"
_MOST: Final = 1000


class Api(VendorApi):
    """Answers requests; one instance per sandbox."""

    def __init__(self, ledger: Ledger, received: Journal, faults: FaultBox, window: Window, token: str) -> None:
        super().__init__(received, faults, ("authorization", f"Bearer {token}"))
        self._ledger = ledger
        self._window = window

    def limited(self) -> float | None:
        """Take a call in, as the window counts them."""
        return self._window.take()

    def problem(self, code: str, message: str) -> dict[str, str]:
        """The vendor's body of an error."""
        return {"code": code, "text": message}

    def dispatch(self, method: str, path: str, query: Query, body: dict[str, Any]) -> Answer:
        """The vendor's resources, as README.md lists them."""
        parts = unquote(path.removeprefix(_ROOT)).strip("/").split("/")
        return self._read(parts, query) if method == "GET" else self._change(method, parts, body)

    def _read(self, parts: list[str], query: Query) -> Answer:
        match parts:
            case ["status"]:
                return 200, {"status": "up"}
            case ["articles"]:
                return 200, self._articles(query)
            case ["stock"]:
                return 200, self._stock(query)
            case ["customers", *number]:
                return 200, self._ledger.customer("/".join(number))
            case ["sales-orders"]:
                return 200, {"orders": self._ledger.orders(reference=first(query, "external_reference") or "")}
        raise no_such("resource")

    def _change(self, method: str, parts: list[str], body: dict[str, Any]) -> Answer:
        match method, parts:
            case "POST", ["sales-orders"]:
                return 201, self._ledger.create(body)
            case "POST", ["sales-orders", number, "cancel"]:
                return 200, self._ledger.cancel(number)
            case "POST", ["sales-orders", number, "deliveries"]:
                return 201, self._ledger.deliver(number, body)
            case "POST", ["sales-orders", number, "invoices"]:
                return 201, self._ledger.bill(number, body)
        raise no_such("resource")

    def _articles(self, query: Query) -> dict[str, Any]:
        limit = min(_MOST, int(first(query, "limit") or 200))
        found = self._ledger.articles(first(query, "after") or "", limit + 1)
        return {"articles": found[:limit], "next": found[limit - 1]["article"] if len(found) > limit else None}

    def _stock(self, query: Query) -> dict[str, Any]:
        sites = query.get("site") or self._ledger.sites
        if unknown := set(sites) - set(self._ledger.sites):
            raise Refusal(422, "UNKNOWN_SITE", f"no site {min(unknown)!r}")
        return {
            "journal": self._ledger.journal,
            "taken_at": datetime.now(UTC).isoformat(),
            "lines": self._ledger.stock(sites),
        }

    def control(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Have something happen, as README.md lists it."""
        match name:
            case "begin":
                return self._ledger.begin(body["external_reference"])
            case "limit":
                self._window.calls = int(body["calls_per_second"])
                return {}
        raise no_such("control")

    def look(self, name: str, query: Query) -> dict[str, Any]:
        """Show something of the books, as README.md lists it."""
        match name:
            case "orders":
                return {"orders": self._ledger.orders()}
            case "stock":
                return self._stock(query)
        raise no_such("control")
