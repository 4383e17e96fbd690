"""What leaves the door: responses collected from the router or passed on as a stream, with their headers checked.

A header value with CR, LF or NUL never leaves: it would let whoever chose it write a response of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.edge.pressure import Pressure
from gateway.edge.problems import problem_reply
from gateway.kernel.errors import CrossdockError
from gateway.kernel.exchange import Exchange, Reply
from gateway.kernel.field_values import is_dangerous

_log: Final = logging.getLogger(__name__)
_CACHE_CONTROL: Final = b"cache-control"
_CONTENT_LENGTH: Final = b"content-length"
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_NO_STORE: Final = (_CACHE_CONTROL, b"no-store")
_NO_BODY: Final = frozenset({204, 304})

Send = Callable[[Any], Awaitable[None]]


class Collected:
    """An ASGI `send` that keeps a whole response."""

    __slots__ = ("_chunks", "_start")

    def __init__(self) -> None:
        self._start: dict[str, Any] | None = None
        self._chunks: list[bytes] = []

    async def __call__(self, message: dict[str, Any]) -> None:
        """Keep one message."""
        if message["type"] == "http.response.body":
            self._chunks.append(message.get("body", b""))
        elif message["type"] == "http.response.start":
            self._start = message

    def reply(self) -> Reply:
        """The response; raises when the application sent none."""
        start = self._start
        if start is None:
            raise CrossdockError("the application ended without a response")
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return Reply(start["status"], list(start.get("headers", ())), body)


class Streamed:
    """An ASGI `send` that concludes the chain when the response starts and passes everything on."""

    __slots__ = ("_conclude", "_ended", "_exchange", "_given", "_pressure", "_send", "events", "started")

    def __init__(self, exchange: Exchange, send: Send, conclude: Callable[[], Awaitable[None]]) -> None:
        self._exchange = exchange
        self._send = send
        self._conclude = conclude
        self._ended = asyncio.Event()
        self._pressure = Pressure(exchange.scope)
        self._given = False
        self.started = False
        self.events = False

    async def __call__(self, message: dict[str, Any]) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            exchange = self._exchange
            exchange.reply = Reply(message["status"], list(message.get("headers", ())), b"")
            await self._conclude()
            self.started = True
            reply = _checked(exchange, exchange.reply, streamed=True)
            await self._send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
            self.events = any(
                name == b"content-type" and value.startswith(b"text/event-stream") for name, value in reply.headers
            )
            if exchange.method == "HEAD":
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
                self._ended.set()
        elif not self._ended.is_set():
            await self._send(message)
            if not message.get("more_body", False):
                self._ended.set()
            else:
                await self._pressure.passed(len(message.get("body", b"")))

    @property
    def exchange(self) -> Exchange:
        """What it answers."""
        return self._exchange

    async def receive(self) -> dict[str, Any]:
        """The ASGI `receive` beside it: the body once, then a disconnect when the client leaves or the stream is over.

        The router waits for a disconnect even after its last word, and not every server sends one then.
        """
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self._exchange.body, "more_body": False}
        over = asyncio.ensure_future(self._ended.wait())
        heard = asyncio.ensure_future(self._exchange.receive())
        try:
            await asyncio.wait((over, heard), return_when=asyncio.FIRST_COMPLETED)
            message: dict[str, Any] = heard.result() if heard.done() else {"type": "http.disconnect"}
        finally:
            over.cancel()
            heard.cancel()
        return message

    async def end(self) -> None:
        """End a stream of events as one that is complete; any other has no end, so that its connection is cut off.

        Half of an event at its end is dropped by the client (HTML Living Standard, section 9.2.6).
        """
        if self.started and self.events and not self._ended.is_set():
            self._ended.set()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def finish(self) -> None:
        """Raise when the application sent nothing."""
        if not self.started:
            raise CrossdockError("the application ended without a response")


def messages_of(exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]]:
    """`exchange.reply` with the headers that the policies added, as the two messages that send it."""
    reply = exchange.reply
    if reply is None:
        exchange.reply = reply = problem_reply(CrossdockError("the chain ended without a reply"), exchange)
    reply = _checked(exchange, reply)
    return (
        {"type": "http.response.start", "status": reply.status, "headers": reply.headers},
        {
            "type": "http.response.body",
            "body": b"" if exchange.method == "HEAD" else reply.body,
            "more_body": False,
        },
    )


def _checked(exchange: Exchange, reply: Reply, *, streamed: bool = False) -> Reply:
    """`reply` with all its headers, or a 500 in its place when one of them must not leave."""
    headers = [*reply.headers, *exchange.reply_headers, _NOSNIFF]
    values: list[bytes] = []
    cached = measured = False
    for name, value in headers:
        values.append(value)
        if name == _CACHE_CONTROL:
            cached = True
        elif name == _CONTENT_LENGTH:
            measured = True
    if is_dangerous(b"".join(values)):
        _log.error("request %s: a response header holds CR, LF or NUL and was withheld", exchange.request_id)
        refused = problem_reply(CrossdockError("a response header is broken"), exchange)
        headers = [*refused.headers, _NOSNIFF, _NO_STORE]
        exchange.reply = Reply(refused.status, headers, refused.body)
        return exchange.reply
    if not cached:
        headers.append(_NO_STORE)
    if not measured and reply.status not in _NO_BODY and not streamed:
        headers.append((_CONTENT_LENGTH, b"%d" % len(reply.body)))
    reply.headers = headers
    return reply
