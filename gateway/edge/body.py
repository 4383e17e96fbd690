"""Reading a request's body, once, for the whole chain: with a deadline, a size limit and no decompression.

A stalled or endless body costs its sender the connection and nobody else anything: 408 and 413 come in mid-stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.kernel.errors import Rejected
from gateway.kernel.exchange import Exchange

_DIGITS: Final = 12
_NO_BODY_BY_ITSELF: Final = frozenset({"GET", "HEAD"})


class BodyReader:
    """The step of the chain that fills `exchange.body`. `seconds` is the time a whole body may take."""

    name = "body"

    def __init__(self, *, seconds: float = 10.0) -> None:
        self._seconds = seconds

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """None when no body was announced, else the reading of it; 400, 408 or 413 as `Rejected`."""
        headers = exchange.headers
        length = headers.get(b"content-length")
        if (length is None or length == b"0") and b"transfer-encoding" not in headers:
            if exchange.method in _NO_BODY_BY_ITSELF or exchange.scope.get("http_version", "1.1")[0] == "1":
                return None
            return self._read(exchange, exchange.route.max_body if exchange.route else 0)
        route = exchange.route
        if route is None or not route.matched:
            return None
        if not route.takes_body:
            raise Rejected("this operation takes no body: send none", code="request.body_unexpected")
        if route.streams_body:
            return None
        if length is not None:
            _refuse_length(length, route.max_body)
        return self._read(exchange, route.max_body)

    async def _read(self, exchange: Exchange, limit: int) -> None:
        chunks: list[bytes] = []
        size = 0
        more = True
        try:
            async with asyncio.timeout(self._seconds):
                while more:
                    message = await exchange.receive()
                    if message["type"] == "http.disconnect":
                        raise _broken_off()
                    chunk: bytes = message.get("body", b"")
                    size += len(chunk)
                    if size > limit:
                        raise _too_large(limit)
                    chunks.append(chunk)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Rejected(
                f"the body did not arrive within {self._seconds:g} seconds: send it again, faster",
                code="request.body_timeout",
            ) from None
        exchange.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)


def replayed(exchange: Exchange) -> Callable[[], Awaitable[Any]]:
    """A `receive` that gives the body once more, and then what the connection itself says (a client that left)."""
    given = False

    async def receive() -> Any:
        nonlocal given
        if given:
            return await exchange.receive()
        given = True
        return {"type": "http.request", "body": exchange.body, "more_body": False}

    return receive


def _broken_off() -> Rejected:
    """The server says no more than this of a client that left and of a broken chunk, whose sender may still listen."""
    return Rejected("the body broke off, or its chunks are malformed: send it whole", code="request.body_incomplete")


def _refuse_length(length: bytes, limit: int) -> None:
    if not length.isdigit():
        raise Rejected("Content-Length must be a number", code="request.content_length")
    if len(length) > _DIGITS or int(length) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> Rejected:
    return Rejected(f"the body is larger than {limit} bytes: split it", code="request.body_too_large")
