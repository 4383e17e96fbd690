"""The carrier's API and the sandbox's control API."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from gateway.sandboxes.api import Answer, Query, VendorApi, first, no_such
from gateway.sandboxes.bucket import Bucket
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from system_apis.parcel_carrier.carrier.books import Books
from system_apis.parcel_carrier.carrier.webhooks import Sender

_MOST_EVENTS: Final = 500


class Api(VendorApi):
    """Answers requests; one instance per sandbox."""

    def __init__(
        self, books: Books, received: Journal, faults: FaultBox, bucket: Bucket, sender: Sender, key: str
    ) -> None:
        super().__init__(received, faults, ("x-api-key", key), sender)
        self._books = books
        self._bucket = bucket

    def limited(self) -> float | None:
        """Take a call in, as the bucket counts them."""
        return self._bucket.drop()

    def problem(self, code: str, message: str) -> dict[str, str]:
        """The vendor's body of an error."""
        return {"code": code, "message": message}

    def dispatch(self, method: str, path: str, query: Query, body: dict[str, Any]) -> Answer:
        """The vendor's resources, as README.md lists them."""
        match method, [unquote(part) for part in path.removeprefix("/v3/").split("/")]:
            case "GET", ["account"]:
                return 200, {"name": "Parcel carrier", "version": "2026-09"}
            case "POST", ["rates"]:
                return 200, {"rates": self._books.rates(body)}
            case "GET", ["shipments"]:
                return 200, {"shipments": self._books.find(query["reference"][0])}
            case "POST", ["shipments"]:
                return 201, self._books.book(body)
            case "POST", ["shipments", number, "void"]:
                return 200, self._books.void(number)
            case "GET", ["tracking-events"]:
                return 200, self._events(query)
        raise no_such("resource")

    def _events(self, query: Query) -> dict[str, Any]:
        after, limit = first(query, "after") or "0", int(first(query, "limit") or 100)
        rows = self._books.events(int(after), min(limit, _MOST_EVENTS))
        return {"events": [event for _, event in rows], "next": str(rows[-1][0]) if rows else after}

    def control(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Have something happen, as README.md lists it."""
        match name:
            case "track":
                self._books.track(body["reference"], body["code"], place=body.get("place"), note=body.get("note"))
                self.happened()
            case "bucket":
                self._bucket.size, self._bucket.rate = int(body["size"]), float(body["rate"])
            case _:
                raise no_such("control")
        return {}

    def look(self, name: str, query: Query) -> dict[str, Any]:  # noqa: ARG002
        """Show something of the books, as README.md lists it."""
        if name == "shipments":
            return {"shipments": self._books.shipments()}
        raise no_such("control")
