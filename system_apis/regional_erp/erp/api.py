"""The vendor's API and, beside it, the control API of the sandbox (loopback only, without a token)."""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import time
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from gateway.sandboxes.answering import delivered
from gateway.sandboxes.books import Refusal
from gateway.sandboxes.faults import FaultBox, Faults
from gateway.sandboxes.http import HttpAnswer, HttpRequest
from gateway.sandboxes.journal import Journal
from system_apis.regional_erp.erp.ledger import Ledger
from system_apis.regional_erp.erp.window import Window

_JSON: Final = (("content-type", "application/json"),)
_ROOT: Final = "/api/v1"
_MOST: Final = 1000
Query = dict[str, list[str]]


class Api:
    """Answers requests; one instance per sandbox."""

    def __init__(self, ledger: Ledger, received: Journal, faults: FaultBox, window: Window, token: str) -> None:
        self._ledger = ledger
        self._received = received
        self._faults = faults
        self._window = window
        self._token = f"Bearer {token}".encode()

    async def handle(self, request: HttpRequest) -> HttpAnswer:
        """One request, with whatever fault is due."""
        url = urlsplit(request.target)
        query = parse_qs(url.query, keep_blank_values=True)
        if url.path.startswith("/_control/"):
            return _encoded(*self._safely(self._control, request, url.path.removeprefix("/_control/"), query))
        at, wait = time.time(), self._window.take()
        rule = self._faults.take(request.method, url.path) if wait is None else None
        if self._faults.now.latency_ms:
            await asyncio.sleep(self._faults.now.latency_ms / 1000)
        if wait is not None:
            status, answer = 429, _fault("TOO_MANY_CALLS", f"{self._window.calls} calls a second are taken")
        elif rule is not None and rule.do.endswith("_before"):
            status, answer = rule.status, _fault("INTERNAL", "fault on demand")
        else:
            status, answer = self._safely(self._dispatch, request, unquote(url.path.removeprefix(_ROOT)), query)
        self._received.write(
            began=at,
            method=request.method,
            target=request.target,
            body=request.body.decode("utf-8", "replace"),
            status=status,
            fault=rule.do if rule else None,
            correlation_id=request.headers.get("x-correlation-id"),
        )
        told = _encoded(status, answer)
        if wait is not None:
            return HttpAnswer(status, told.body, (*_JSON, ("retry-after", str(max(1, math.ceil(wait))))))
        return await delivered(rule, told, _fault("INTERNAL", "fault on demand"))

    def _safely(self, work: Any, request: HttpRequest, path: str, query: Query) -> tuple[int, Any]:
        try:
            body = json.loads(request.body) if request.body else {}
            if not isinstance(body, dict):
                raise Refusal(400, "BAD_JSON", "an object is needed")  # noqa: TRY301
            answer: tuple[int, Any] = work(request, path, query, body)
        except Refusal as refusal:
            return refusal.status, _fault(refusal.code, refusal.message)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            return 400, _fault("BAD_REQUEST", f"{type(error).__name__}: {error}")
        return answer

    def _dispatch(self, request: HttpRequest, path: str, query: Query, body: dict[str, Any]) -> tuple[int, Any]:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), self._token):
            raise Refusal(401, "BAD_TOKEN", "authorization is missing or wrong")
        parts = path.strip("/").split("/")
        return self._read(parts, query) if request.method == "GET" else self._change(request.method, parts, body)

    def _read(self, parts: list[str], query: Query) -> tuple[int, Any]:
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
                return 200, {"orders": self._ledger.orders(reference=_first(query, "external_reference") or "")}
        raise Refusal(404, "NOT_FOUND", "no such resource")

    def _change(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        match method, parts:
            case "POST", ["sales-orders"]:
                return 201, self._ledger.create(body)
            case "POST", ["sales-orders", number, "cancel"]:
                return 200, self._ledger.cancel(number)
            case "POST", ["sales-orders", number, "deliveries"]:
                return 201, self._ledger.deliver(number, body)
        raise Refusal(404, "NOT_FOUND", "no such resource")

    def _articles(self, query: Query) -> dict[str, Any]:
        limit = min(_MOST, int(_first(query, "limit") or 200))
        found = self._ledger.articles(_first(query, "after") or "", limit + 1)
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

    def _control(self, request: HttpRequest, name: str, query: Query, body: dict[str, Any]) -> tuple[int, Any]:
        match request.method, name:
            case "GET", "requests":
                after, limit = int(_first(query, "after") or 0), int(_first(query, "limit") or 10_000)
                return 200, {"entries": self._received.read(after, limit)}
            case "GET", "orders":
                return 200, {"orders": self._ledger.orders()}
            case "GET", "stock":
                return 200, self._stock(query)
            case "POST", "begin":
                return 200, self._ledger.begin(body["external_reference"])
            case "POST", "limit":
                self._window.calls = int(body["calls_per_second"])
                return 200, {}
            case "POST", "faults":
                self._faults.set(msgspec.convert(body, Faults))
                return 200, {}
        raise Refusal(404, "NOT_FOUND", "no such control")


def _encoded(status: int, answer: Any) -> HttpAnswer:
    return HttpAnswer(status, json.dumps(answer, ensure_ascii=False).encode(), _JSON)


def _fault(code: str, text: str) -> dict[str, str]:
    return {"code": code, "text": text}


def _first(query: Query, name: str) -> str | None:
    values = query.get(name)
    return values[0] if values else None
