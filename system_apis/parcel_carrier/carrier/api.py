"""The vendor's API and, beside it, the control API of the sandbox (loopback only, without a key)."""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from gateway.sandboxes.books import Refusal
from gateway.sandboxes.bucket import Bucket
from gateway.sandboxes.delivering import deliver, json_answer
from gateway.sandboxes.faults import FaultBox, Faults
from gateway.sandboxes.http import HttpAnswer, HttpRequest
from gateway.sandboxes.journal import Journal
from system_apis.parcel_carrier.carrier.books import Books
from system_apis.parcel_carrier.carrier.webhooks import Sender

_MOST_EVENTS: Final = 500
Query = dict[str, list[str]]


class Api:
    """Answers requests; one instance per sandbox."""

    def __init__(
        self, books: Books, received: Journal, faults: FaultBox, bucket: Bucket, sender: Sender, key: str
    ) -> None:
        self._books = books
        self._received = received
        self._faults = faults
        self._bucket = bucket
        self._sender = sender
        self._key = key.encode()

    async def handle(self, request: HttpRequest) -> HttpAnswer:
        """One request, with whatever fault is due."""
        url = urlsplit(request.target)
        query = parse_qs(url.query)
        if url.path.startswith("/_control/"):
            return json_answer(*self._safely(self._control, request, url.path, query))
        rule = self._faults.take(request.method, url.path)
        if self._faults.now.latency_ms:
            await asyncio.sleep(self._faults.now.latency_ms / 1000)
        wait = self._bucket.drop()
        headers: tuple[tuple[str, str], ...] = ()
        if wait is not None:
            status, answer = 429, _fault("TOO_MANY_REQUESTS", "slow down")
            headers = (("retry-after", str(wait)),)
        elif rule is not None and rule.do in ("error_before", "hang_before", "drop_before"):
            status, answer = rule.status, _fault("INTERNAL", "fault on demand")
        else:
            status, answer = self._safely(self._dispatch, request, url.path, query)
        self._received.write(
            method=request.method,
            target=request.target,
            body=request.body.decode("utf-8", "replace"),
            status=status,
            fault=rule.do if rule else None,
        )
        sent = json_answer(status, answer, headers)
        return await deliver(rule, sent, failure=_fault("INTERNAL", "fault on demand"))

    def _safely(self, work: Any, request: HttpRequest, path: str, query: Query) -> tuple[int, Any]:
        try:
            body = json.loads(request.body) if request.body else {}
            if not isinstance(body, dict):
                raise Refusal(400, "BAD_JSON", "an object is needed")  # noqa: TRY301
            status, answer = work(request, path, query, body)
        except Refusal as refusal:
            return refusal.status, _fault(refusal.code, refusal.message)
        except (KeyError, TypeError, ValueError) as error:
            return 400, _fault("BAD_REQUEST", f"{type(error).__name__}: {error}")
        return status, answer

    def _dispatch(self, request: HttpRequest, path: str, query: Query, body: dict[str, Any]) -> tuple[int, Any]:
        if not hmac.compare_digest(request.headers.get("x-api-key", "").encode(), self._key):
            raise Refusal(401, "BAD_KEY", "x-api-key is missing or wrong")
        match request.method, [unquote(part) for part in path.removeprefix("/v3/").split("/")]:
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
        raise Refusal(404, "NOT_FOUND", "no such resource")

    def _events(self, query: Query) -> dict[str, Any]:
        after, limit = query.get("after", ["0"])[0], int(query.get("limit", ["100"])[0])
        rows = self._books.events(int(after), min(limit, _MOST_EVENTS))
        return {"events": [event for _, event in rows], "next": str(rows[-1][0]) if rows else after}

    def _control(self, request: HttpRequest, path: str, query: Query, body: dict[str, Any]) -> tuple[int, Any]:
        name = path.removeprefix("/_control/")
        if request.method == "GET":
            return 200, self._look(name, query)
        match name:
            case "track":
                self._books.track(body["reference"], body["code"], place=body.get("place"), note=body.get("note"))
                self._sender.wake()
            case "faults":
                self._faults.set(msgspec.convert(body, Faults))
                self._sender.wake()
            case "webhook":
                self._sender.url = body["url"]
            case "bucket":
                self._bucket.size, self._bucket.rate = int(body["size"]), float(body["rate"])
            case _:
                raise Refusal(404, "NOT_FOUND", "no such control")
        return 200, {}

    def _look(self, name: str, query: Query) -> dict[str, Any]:
        match name:
            case "shipments":
                return {"shipments": self._books.shipments()}
            case "requests":
                return {"entries": self._received.read(int(query.get("after", ["0"])[0]), 100_000)}
        raise Refusal(404, "NOT_FOUND", "no such control")


def _fault(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}
