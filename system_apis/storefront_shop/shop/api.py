"""The shop's API and the sandbox's control API."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from gateway.sandboxes.api import Answer, Query, VendorApi, first, no_such
from gateway.sandboxes.books import Refusal
from gateway.sandboxes.bucket import Bucket
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from system_apis.storefront_shop.shop.books import Books
from system_apis.storefront_shop.shop.shoppers import Shoppers

_ROOT: Final = "/admin/2026-10"
_ORDER_UPDATES: Final = re.compile(r"/orders/([^/]+)/updates")
_MOST_LEVELS: Final = 250
_MOST_FEED: Final = 5_000


class Api(VendorApi):
    """Answers requests; one instance per sandbox. `feed_delay` (seconds) holds order events back from their feed."""

    def __init__(self, books: Books, received: Journal, faults: FaultBox, bucket: Bucket, access_key: str) -> None:
        super().__init__(received, faults, ("x-shop-access-key", access_key))
        self._books = books
        self._bucket = bucket
        self._feed_delay = 0.0
        self.shoppers = Shoppers(books)
        self._changes: dict[str, Callable[[dict[str, Any]], None]] = {
            "cancel": lambda body: books.cancel(body["order"]),
            "adjust": lambda body: books.adjust(body["sku"], int(body["amount"])),
            "list": lambda body: books.list_sku(body["sku"], int(body["quantity"])),
            "remove": lambda body: books.remove(body["sku"]),
            "feed": self._hold_back,
            "bucket": self._limit,
            "shoppers": lambda body: self.shoppers.begin(**body),
        }

    def limited(self) -> float | None:
        """Take a call in, as the bucket counts them."""
        return self._bucket.drop()

    def standing(self) -> tuple[tuple[str, str], ...]:
        """How full the bucket is."""
        return (("x-shop-call-limit", self._bucket.standing),)

    def problem(self, code: str, message: str) -> dict[str, Any]:
        """The vendor's body of an error."""
        return {"errors": [{"code": code, "message": message}]}

    def dispatch(self, method: str, path: str, query: Query, body: dict[str, Any]) -> Answer:
        """The vendor's resources, as README.md lists them."""
        match method, path.removeprefix(_ROOT):
            case "GET", "/shop":
                return 200, {"name": "Storefront shop", "api_version": "2026-10"}
            case "POST", "/levels/query":
                return 200, {"levels": self._levels(_bounded(body["skus"], _MOST_LEVELS))}
            case "POST", "/levels/set":
                return 200, {"results": self._set(_bounded(body["levels"], _MOST_LEVELS))}
            case "POST", "/feeds/levels":
                return 202, self._feed(_bounded(body["levels"], _MOST_FEED))
            case "GET", "/order-events":
                return 200, self._events(query)
            case "POST", changed if order := _ORDER_UPDATES.fullmatch(changed):
                return 200, self._books.update(unquote(order[1]), body)
        raise no_such("resource")

    def _levels(self, skus: list[Any]) -> list[dict[str, Any]]:
        found = [(sku, self._books.level(str(sku))) for sku in skus]
        return [{"sku": sku, "quantity": level[0], "version": level[1]} for sku, level in found if level is not None]

    def _set(self, levels: list[Any]) -> list[dict[str, Any]]:
        with self._books.transaction():
            return [self._set_one(level["sku"], int(level["quantity"]), int(level["if_version"])) for level in levels]

    def _set_one(self, sku: str, quantity: int, if_version: int) -> dict[str, Any]:
        found = self._books.level(sku)
        if found is None:
            return {"sku": sku, "status": "unknown_sku"}
        if found[1] != if_version:
            return {"sku": sku, "status": "version_mismatch", "quantity": found[0], "version": found[1]}
        version = self._books.put(sku, quantity, "set")
        return {"sku": sku, "status": "applied", "quantity": quantity, "version": version}

    def _feed(self, levels: list[Any]) -> dict[str, Any]:
        with self._books.transaction():
            for level in levels:
                if self._books.level(level["sku"]) is not None:
                    self._books.put(level["sku"], int(level["quantity"]), "feed")
        return {"feed": f"F-{uuid.uuid4()}", "accepted": len(levels)}

    def _events(self, query: Query) -> dict[str, Any]:
        after, limit = int(first(query, "after") or 0), min(_MOST_LEVELS, int(first(query, "limit") or 50))
        rows = self._books.events(after, limit, before=time.time() - self._feed_delay)
        events = [
            {
                "sequence": row["sequence"],
                "order": row["reference"],
                "type": row["type"],
                "at": datetime.fromtimestamp(row["at"], UTC).isoformat(),
                "lines": row["lines"],
                **row["buyer"],
            }
            for row in rows
        ]
        return {"events": events, "next": rows[-1]["sequence"] if rows else after}

    def control(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Have something happen, as README.md lists it."""
        if name == "buy":
            lines = [(each["sku"], int(each["quantity"])) for each in body["lines"]]
            return {"order": self._books.buy(lines, body.get("buyer"), body.get("prices"))}
        if (change := self._changes.get(name)) is None:
            raise no_such("control")
        change(body)
        return {}

    def _hold_back(self, body: dict[str, Any]) -> None:
        self._feed_delay = float(body["delay_s"])

    def _limit(self, body: dict[str, Any]) -> None:
        self._bucket.size, self._bucket.rate = int(body["size"]), float(body["rate"])

    def look(self, name: str, query: Query) -> dict[str, Any]:
        """Show something of the books, as README.md lists it."""
        match name:
            case "levels":
                rows = self._books.rows("select sku, quantity, version from level order by sku")
                return {
                    "levels": {row["sku"]: {"quantity": row["quantity"], "version": row["version"]} for row in rows}
                }
            case "history":
                after = int(first(query, "after") or 0)
                rows = self._books.rows("select * from history where id > ? order by id limit 100000", after)
                return {"changes": [dict(row) for row in rows]}
            case "orders":
                return {"events": self._books.events(0, 1_000_000, before=time.time())}
            case "updates":
                return {"updates": self._books.updates()}
            case "shoppers":
                return {"bought": self.shoppers.bought, "refused": self.shoppers.refused}
        raise no_such("control")


def _bounded(things: Any, most: int) -> list[Any]:
    if not isinstance(things, list) or len(things) > most:
        raise Refusal(422, "TOO_MANY", f"a list of at most {most} is needed")
    return things
