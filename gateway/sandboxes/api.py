"""How a sandbox answers: the vendor's API with whatever fault is due, and beside it the control API (loopback only)."""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import time
from abc import ABC, abstractmethod
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from gateway.sandboxes.books import Refusal
from gateway.sandboxes.faults import FaultBox, Faults, Rule
from gateway.sandboxes.http import HttpAnswer, HttpRequest
from gateway.sandboxes.journal import Journal
from gateway.sandboxes.webhooks import WebhookSender

Query = dict[str, list[str]]
Answer = tuple[int, Any]

_JSON: Final = (("content-type", "application/json"),)
_CONTROL: Final = "/_control/"
_GARBAGE: Final = b'{"number": 7, "lines": [[['
_MOST_ENTRIES: Final = 100_000


class VendorApi(ABC):
    """Answers requests; one instance per sandbox. `credential` is the header that every vendor's request bears."""

    def __init__(
        self, received: Journal, faults: FaultBox, credential: tuple[str, str], sender: WebhookSender | None = None
    ) -> None:
        self._received = received
        self._faults = faults
        self._credential = credential
        self._sender = sender

    @abstractmethod
    def dispatch(self, method: str, path: str, query: Query, body: dict[str, Any]) -> Answer:
        """Status and body of a vendor's request; `path` as sent, percent-encoded. Raises `Refusal`."""

    @abstractmethod
    def control(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Have something happen. Raises `Refusal`."""

    @abstractmethod
    def look(self, name: str, query: Query) -> dict[str, Any]:
        """Show something of the books. Raises `Refusal`."""

    @abstractmethod
    def problem(self, code: str, message: str) -> Any:
        """The vendor's body of an error."""

    def limited(self) -> float | None:
        """Take a call in: None, or the seconds after which the vendor takes one again."""
        return None

    def standing(self) -> tuple[tuple[str, str], ...]:
        """Headers of every answer, besides its type."""
        return ()

    def happened(self) -> None:
        """There may be something to tell by webhook."""
        if self._sender is not None:
            self._sender.wake()

    async def handle(self, request: HttpRequest) -> HttpAnswer:
        """One request."""
        began, url = time.time(), urlsplit(request.target)
        query = parse_qs(url.query, keep_blank_values=True)
        if url.path.startswith(_CONTROL):
            name = url.path.removeprefix(_CONTROL)
            return _told(self._safely(lambda body: (200, self._controlled(request.method, name, query, body)), request))
        wait = self.limited()
        rule = self._faults.take(request.method, url.path) if wait is None else None
        if self._faults.now.latency_ms:
            await asyncio.sleep(self._faults.now.latency_ms / 1000)
        if wait is not None:
            answer = self._throttled()
        elif rule is not None and (rule.do.endswith("_before") or rule.do == "throttle"):
            answer = self._failed(rule)
        else:
            answer = self._safely(lambda body: self._admitted(request, url.path, query, body), request)
        self._received.write(
            began=began,
            method=request.method,
            target=request.target,
            body=request.body.decode("utf-8", "replace"),
            status=answer[0],
            fault=rule.do if rule else None,
            correlation_id=request.headers.get("x-correlation-id"),
            standing=dict(self.standing()),
        )
        if wait is not None:
            return _told(answer, (*self.standing(), _retry_after(wait)))
        told = _told(answer, self.standing())
        return told if rule is None else await self._spoilt(rule, told)

    def _admitted(self, request: HttpRequest, path: str, query: Query, body: dict[str, Any]) -> Answer:
        header, value = self._credential
        if not hmac.compare_digest(request.headers.get(header, "").encode(), value.encode()):
            raise Refusal(401, "BAD_KEY", f"{header} is missing or wrong")
        return self.dispatch(request.method, path, query, body)

    def _controlled(self, method: str, name: str, query: Query, body: dict[str, Any]) -> dict[str, Any]:
        match method, name:
            case "POST", "webhook" if self._sender is not None:
                self._sender.url = str(body["url"])
                return {}
            case "GET", "requests":
                after, most = int(first(query, "after") or 0), int(first(query, "limit") or _MOST_ENTRIES)
                return {"entries": self._received.read(after, most)}
            case "GET", "faults":
                return {"faults": msgspec.to_builtins(self._faults.now)}
            case "POST", "faults":
                self._faults.set(msgspec.convert(body, Faults))
                self.happened()
                return {}
        return self.look(name, query) if method == "GET" else self.control(name, body)

    def _safely(self, work: Any, request: HttpRequest) -> Answer:
        try:
            body = json.loads(request.body) if request.body else {}
            if not isinstance(body, dict):
                raise Refusal(400, "BAD_JSON", "an object is needed")  # noqa: TRY301
            answer: Answer = work(body)
        except Refusal as refusal:
            return refusal.status, self.problem(refusal.code, refusal.message)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            return 400, self.problem("BAD_REQUEST", f"{type(error).__name__}: {error}")
        return answer

    def _throttled(self) -> Answer:
        return 429, self.problem("TOO_MANY_CALLS", "more calls than this account may make: wait as Retry-After says")

    def _failed(self, rule: Rule) -> Answer:
        return (
            self._throttled() if rule.do == "throttle" else (rule.status, self.problem("INTERNAL", "fault on demand"))
        )

    async def _spoilt(self, rule: Rule, told: HttpAnswer) -> HttpAnswer:
        if rule.do.startswith("hang"):
            await asyncio.sleep(rule.seconds)
            return HttpAnswer(cut=True) if rule.do == "hang_before" else told
        if rule.do.startswith("drop"):
            return HttpAnswer(cut=True)
        if rule.do == "garbage":
            return HttpAnswer(200, _GARBAGE, told.headers)
        if rule.do == "throttle":
            return HttpAnswer(429, told.body, (*told.headers, _retry_after(rule.seconds)))
        return _told(self._failed(rule), self.standing())


def first(query: Query, name: str) -> str | None:
    """The first value of a query parameter."""
    values = query.get(name)
    return values[0] if values else None


def no_such(what: str) -> Refusal:
    """There is no such `what` ("resource", "control")."""
    return Refusal(404, "NOT_FOUND", f"no such {what}")


def _told(answer: Answer, headers: tuple[tuple[str, str], ...] = ()) -> HttpAnswer:
    status, body = answer
    return HttpAnswer(status, json.dumps(body, ensure_ascii=False).encode(), (*_JSON, *headers))


def _retry_after(seconds: float) -> tuple[str, str]:
    return "retry-after", str(max(1, math.ceil(seconds)))
