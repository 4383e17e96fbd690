"""The vendor's API and, beside it, the control API of the sandbox (loopback only, without a key)."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from gateway.sandboxes.books import Refusal
from gateway.sandboxes.bucket import Bucket
from gateway.sandboxes.faults import FaultBox, Faults, Rule
from gateway.sandboxes.http import HttpAnswer, HttpRequest
from gateway.sandboxes.journal import Journal
from system_apis.storefront_shop.shop.books import Books
from system_apis.storefront_shop.shop.shoppers import Shoppers

_JSON: Final = (("content-type", "application/json"),)
_ROOT: Final = "/admin/2026-10"
_MOST_LEVELS: Final = 250
_MOST_FEED: Final = 5_000
Query = dict[str, list[str]]


class Api:
    """Answers requests; one instance per sandbox. `feed_delay` (seconds) holds order events back from their feed."""

    def __init__(self, books: Books, received: Journal, faults: FaultBox, bucket: Bucket, access_key: str) -> None:
        self._books = books
        self._received = received
        self._faults = faults
        self._bucket = bucket
        self._access_key = access_key.encode()
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
            "faults": lambda body: faults.set(msgspec.convert(body, Faults)),
        }

    async def handle(self, request: HttpRequest) -> HttpAnswer:
        """One request, with whatever fault is due."""
        url = urlsplit(request.target)
        if url.path.startswith("/_control/"):
            return _encoded(*self._safely(self._control, request, url.path, parse_qs(url.query)))
        rule = self._faults.take(request.method, url.path)
        if self._faults.now.latency_ms:
            await asyncio.sleep(self._faults.now.latency_ms / 1000)
        wait = self._bucket.drop()
        if wait is not None:
            status, answer = 429, _problem("THROTTLED", "the bucket is full")
        elif rule is not None and rule.do in ("error_before", "hang_before", "drop_before"):
            status, answer = rule.status, _problem("INTERNAL", "fault on demand")
        else:
            status, answer = self._safely(self._dispatch, request, url.path, parse_qs(url.query))
        self._received.write(
            method=request.method,
            target=request.target,
            body=request.body.decode("utf-8", "replace"),
            status=status,
            fault=rule.do if rule else None,
            bucket=self._bucket.standing,
        )
        headers: tuple[tuple[str, str], ...] = (*_JSON, ("x-shop-call-limit", self._bucket.standing))
        if wait is not None:
            headers = (*headers, ("retry-after", str(wait)))
        return await _deliver(rule, HttpAnswer(status, json.dumps(answer, ensure_ascii=False).encode(), headers))

    def _safely(self, work: Any, request: HttpRequest, path: str, query: Query) -> tuple[int, Any]:
        try:
            body = json.loads(request.body) if request.body else {}
            if not isinstance(body, dict):
                raise Refusal(400, "BAD_JSON", "an object is needed")  # noqa: TRY301
            status, answer = work(request, path, query, body)
        except Refusal as refusal:
            return refusal.status, _problem(refusal.code, refusal.message)
        except (KeyError, TypeError, ValueError) as error:
            return 400, _problem("BAD_REQUEST", f"{type(error).__name__}: {error}")
        return status, answer

    def _dispatch(self, request: HttpRequest, path: str, query: Query, body: dict[str, Any]) -> tuple[int, Any]:
        if not hmac.compare_digest(request.headers.get("x-shop-access-key", "").encode(), self._access_key):
            raise Refusal(401, "BAD_KEY", "x-shop-access-key is missing or wrong")
        match request.method, path.removeprefix(_ROOT):
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
        raise Refusal(404, "NOT_FOUND", "no such resource")

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
        after, limit = int(_first(query, "after") or 0), min(_MOST_LEVELS, int(_first(query, "limit") or 50))
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

    def _control(self, request: HttpRequest, path: str, query: Query, body: dict[str, Any]) -> tuple[int, Any]:
        name = path.removeprefix("/_control/")
        if request.method == "GET":
            return 200, self._look(name, query)
        if name == "buy":
            lines = [(each["sku"], int(each["quantity"])) for each in body["lines"]]
            return 200, {"order": self._books.buy(lines, body.get("buyer"), body.get("prices"))}
        if (change := self._changes.get(name)) is None:
            raise Refusal(404, "NOT_FOUND", "no such control")
        change(body)
        return 200, {}

    def _hold_back(self, body: dict[str, Any]) -> None:
        self._feed_delay = float(body["delay_s"])

    def _limit(self, body: dict[str, Any]) -> None:
        self._bucket.size, self._bucket.rate = int(body["size"]), float(body["rate"])

    def _look(self, name: str, query: Query) -> dict[str, Any]:
        match name:
            case "levels":
                rows = self._books.rows("select sku, quantity, version from level order by sku")
                return {
                    "levels": {row["sku"]: {"quantity": row["quantity"], "version": row["version"]} for row in rows}
                }
            case "history":
                after = int(_first(query, "after") or 0)
                rows = self._books.rows("select * from history where id > ? order by id limit 100000", after)
                return {"changes": [dict(row) for row in rows]}
            case "orders":
                return {"events": self._books.events(0, 1_000_000, before=time.time())}
            case "requests":
                return {"entries": self._received.read(int(_first(query, "after") or 0), 100_000)}
            case "shoppers":
                return {"bought": self.shoppers.bought, "refused": self.shoppers.refused}
        raise Refusal(404, "NOT_FOUND", "no such control")


async def _deliver(rule: Rule | None, answer: HttpAnswer) -> HttpAnswer:
    if rule is None:
        return answer
    if rule.do.startswith("hang"):
        await asyncio.sleep(rule.seconds)
        return HttpAnswer(cut=True) if rule.do == "hang_before" else answer
    if rule.do.startswith("drop"):
        return HttpAnswer(cut=True)
    if rule.do == "garbage":
        return HttpAnswer(200, b'{"results": [[[', _JSON)
    if rule.do == "throttle":
        return HttpAnswer(429, answer.body, (*_JSON, ("retry-after", str(max(1, round(rule.seconds))))))
    return HttpAnswer(rule.status, json.dumps(_problem("INTERNAL", "fault on demand")).encode(), _JSON)


def _encoded(status: int, answer: Any) -> HttpAnswer:
    return HttpAnswer(status, json.dumps(answer, ensure_ascii=False).encode(), _JSON)


def _problem(code: str, message: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "message": message}]}


def _bounded(things: Any, most: int) -> list[Any]:
    if not isinstance(things, list) or len(things) > most:
        raise Refusal(422, "TOO_MANY", f"a list of at most {most} is needed")
    return things


def _first(query: Query, name: str) -> str | None:
    values = query.get(name)
    return values[0] if values else None
