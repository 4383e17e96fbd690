"""Passing a declared stream on: parts as they come, in both directions, with nothing held but what is on its way.

No deadline ends a stream but silence (`stream_idle`), its client's leaving, or the drain. A failure before the head
becomes a problem; afterwards the connection is cut, so that a truncated answer never looks whole.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.kernel.errors import CrossdockError, Rejected
from gateway.kernel.exchange import SCOPE_KEY, Exchange, outbound_calls_of
from gateway.outbound.answers import Answer, Broken
from gateway.outbound.breakage import Breakage
from gateway.outbound.http1 import Connection
from gateway.outbound.telling import Telling
from gateway.systems.proxied.passing import Passing

Message = dict[str, Any]
_BODY_STALL: Final = 30.0


class _ClientLeft(Exception):
    """There is nobody to answer any more."""


class Streaming:
    """The ASGI application of one streamed operation. `largest` bounds what is sent up, in bytes."""

    def __init__(self, passing: Passing, *, largest: int) -> None:
        self._passing = passing
        self._largest = largest

    async def __call__(self, scope: Message, _receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:
        """Serve one request of the door."""
        exchange: Exchange = scope[SCOPE_KEY]
        passing, facts = self._passing, self._passing.facts
        head, framed = await self._head(exchange)
        made = outbound_calls_of(scope)
        with Telling(made, facts.upstream.name, passing.method, facts.clock.monotonic) as told:
            told.attempts = 1
            await self._stream(exchange, head, framed, send, told)

    async def _stream(
        self,
        exchange: Exchange,
        head: bytes,
        framed: bytes | None,
        send: Callable[[Message], Awaitable[None]],
        told: Telling,
    ) -> None:
        passing = self._passing
        upstream = passing.facts.upstream
        async with upstream.streaming(deadline=exchange.deadline, safe=passing.repeatable) as connection:
            answering = connection.ask(head, streaming=True, bodyless=passing.method == "HEAD")
            upstream.guard(connection)
            client = asyncio.create_task(self._client(exchange, connection, framed), name="proxied-client")
            try:
                answer = await answering
                told.outcome = str(answer.status)
                if not passing.check.passes(answer.status):
                    raise passing.undeclared(answer)
                await self._pass_on(exchange, connection, answer, send)
            except Broken:
                if client.done() and (error := client.exception()) is not None:
                    if isinstance(error, _ClientLeft):
                        return
                    raise error from None
                raise
            finally:
                client.cancel()
                with contextlib.suppress(asyncio.CancelledError, CrossdockError, Broken, _ClientLeft):
                    await client

    async def _head(self, exchange: Exchange) -> tuple[bytes, bytes | None]:
        """The head of the request, and how its body is framed: ``length``, ``chunked`` or None without one."""
        headers, parts = exchange.headers, [self._passing.head(exchange)]
        framed: bytes | None = None
        length = headers.get(b"content-length")
        if length is not None and exchange.route is not None and exchange.route.takes_body:
            if not length.isdigit() or len(length) > 12 or int(length) > self._largest:  # noqa: PLR2004
                raise self._too_large()
            parts.append(b"content-length: " + length + b"\r\n")
            framed = b"length"
        elif b"transfer-encoding" in headers:
            parts.append(b"transfer-encoding: chunked\r\n")
            framed = b"chunked"
        credential = self._passing.facts.credential
        if credential is not None:
            value = credential.ready() or await credential.value()
            parts.append(b"%b: %b\r\n" % (credential.name, value))
        return b"".join([*parts, b"\r\n"]), framed

    async def _client(self, exchange: Exchange, connection: Connection, framed: bytes | None) -> None:
        """Send what the client sends, then wait for it to leave; either's end ends the other's waiting."""
        try:
            if framed is not None:
                await self._upload(exchange, connection, chunked=framed == b"chunked")
            await self._until_it_leaves(exchange)
        except (CrossdockError, _ClientLeft) as error:
            connection.fail(Breakage.CUT, type(error).__name__)
            raise

    async def _until_it_leaves(self, exchange: Exchange) -> None:
        while (await exchange.receive())["type"] != "http.disconnect":
            pass
        raise _ClientLeft

    async def _upload(self, exchange: Exchange, connection: Connection, *, chunked: bool) -> None:
        size, more = 0, True
        while more:
            try:
                async with asyncio.timeout(_BODY_STALL):
                    message = await exchange.receive()
            except TimeoutError:
                raise Rejected("the body stalled: send it again, faster", code="request.body_timeout") from None
            if message["type"] == "http.disconnect":
                raise _ClientLeft
            data, more = message.get("body", b""), message.get("more_body", False)
            size += len(data)
            if size > self._largest:
                raise self._too_large()
            if data:
                self._passing.facts.upstream.guard(connection)
                await connection.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
        if chunked:
            await connection.write(b"0\r\n\r\n")

    async def _pass_on(
        self, exchange: Exchange, connection: Connection, answer: Answer, send: Callable[[Message], Awaitable[None]]
    ) -> None:
        upstream = self._passing.facts.upstream
        fields = self._passing.returning(answer)
        await send({"type": "http.response.start", "status": answer.status, "headers": fields})
        if exchange.method == "HEAD":
            return
        while True:
            upstream.guard(connection, upstream.limits.stream_idle)
            part = await connection.chunk()
            upstream.relax(connection)
            await send({"type": "http.response.body", "body": part, "more_body": bool(part)})
            if not part:
                return

    def _too_large(self) -> Rejected:
        return Rejected(f"the body is larger than {self._largest} bytes", code="request.body_too_large")
