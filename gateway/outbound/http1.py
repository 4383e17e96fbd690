"""One HTTP/1.1 connection to a server, for requests that are passed on: few allocations, strict reading (RFC 9112).

The parser (llhttp in strict mode) refuses what two readers could frame differently: Content-Length beside
Transfer-Encoding or given twice, folded lines, a bare LF or CR. Here stand the limits, what llhttp lets through
(another transfer coding than ``chunked``, HTTP/2.0 in a status line, early answers), and who may use the connection
again. An answer in one piece whose head it has read before is taken without it (`KnownHeads`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

import httptools

from gateway.outbound.answers import Answer, Broken, KnownHeads, MessageLimits
from gateway.outbound.breakage import Breakage

_NO_BODY: Final = frozenset({204, 304})
_OK: Final = 200
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_READ_AHEAD: Final = 256 * 1024
_WRITE_AHEAD: Final = 256 * 1024
_LONGEST_REASON: Final = 80
_MOST_LOWERED: Final = 2048
_NEVER: Final = float("inf")


class Connection:
    """Give it one request at a time with `ask`; afterwards `reusable` says whether it takes another.

    An `asyncio.Protocol` by its methods alone: a class that is compiled has no interpreted base.

    `until` is when whoever watches it gives up waiting, `idle_since` when it was last given back: readings of a clock.
    """

    __slots__ = (
        "_body",
        "_bodyless",
        "_chunks",
        "_drained",
        "_ended",
        "_failure",
        "_fields",
        "_framed",
        "_fresh",
        "_header_bytes",
        "_heads",
        "_keep",
        "_limits",
        "_loop",
        "_more",
        "_parsed",
        "_parser",
        "_paused",
        "_size",
        "_sized",
        "_status",
        "_streaming",
        "_transport",
        "_waiting",
        "idle_since",
        "reusable",
        "until",
    )

    _lowered: Final[dict[bytes, bytes]] = {}

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: MessageLimits, heads: KnownHeads) -> None:
        self._loop = loop
        self._limits = limits
        self._heads = heads  # shared by connections with the same limits
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._more: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._failure: Broken | None = None
        self._chunks: deque[bytes] = deque()
        self._keep = self._streaming = self._bodyless = self._paused = self._fresh = False
        self._ended = True
        self.reusable = False
        self.until = _NEVER
        self.idle_since = 0.0
        self._begin_parsing()

    # --- asked by the pool --------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it is gone."""
        return self._transport is None

    def ask(self, request: bytes, *, bodyless: bool = False, streaming: bool = False) -> asyncio.Future[Answer]:
        """Send a request; the answer comes whole, or with its head when `streaming` (then read `chunk`).

        `bodyless`: the answer to HEAD. Fails with `Broken`.
        """
        waiting = self._waiting = self._loop.create_future()
        self._bodyless, self._streaming = bodyless, streaming
        self._fresh = not (bodyless or streaming)
        self._ended = self.reusable = False
        self._keep = True
        if self._parsed:
            self._begin_parsing()
        if self._transport is None:
            self._fail(Breakage.CUT, "it had closed the connection")
        else:
            self._transport.write(request)
        return waiting

    async def write(self, data: bytes) -> None:
        """Send more of the request's body, not faster than it is taken."""
        if self._transport is None:
            raise self._failure or Broken(Breakage.CUT, "it closed the connection")
        self._transport.write(data)
        if self._drained is not None:
            await self._drained

    async def chunk(self) -> bytes:
        """The next part of a streamed body; empty at its end."""
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return b""
            self._more = self._loop.create_future()
            await self._more
        data = self._chunks.popleft()
        self._size -= len(data)
        if self._paused and self._size < _READ_AHEAD and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def fail(self, kind: Breakage, why: str) -> None:
        """Give the answer up and close."""
        self._fail(kind, why)

    def close(self) -> None:
        """Close at once; who waits for an answer gets `Broken`."""
        self._keep = self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = transport
        self._transport.set_write_buffer_limits(high=_WRITE_AHEAD)

    def data_received(self, data: bytes) -> None:
        """Read what the server sent."""
        if self._ended:  # nobody asked: a server that speaks first could answer somebody else's question
            self.close()
        elif self._fresh:
            self._fresh = False
            answer = self._heads.answer(data)
            if answer is not None:
                self._ended = True
                self.reusable = self._keep
                self._settle(answer)
                return
            waiting = self._waiting
            self._parse(data)
            if self.reusable and self._sized and waiting is not None and not waiting.cancelled():
                self._heads.learn(data, waiting.result())
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        self._parsed = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            inner = error.__context__
            self._fail(Breakage.UNREADABLE, str(inner if isinstance(inner, Broken) else error)[:_LONGEST_REASON])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self._ended:  # what follows a whole answer taints only the connection
                self.close()
            else:
                self._fail(Breakage.UNREADABLE, str(error)[:_LONGEST_REASON])

    def eof_received(self) -> bool:
        """A body without a length ends here (RFC 9112, 6.3); anything else is cut off."""
        self._keep = self.reusable = False
        if not self._ended:
            if self._status and not self._framed:
                self._complete()
            else:
                self._fail(Breakage.CUT, "it closed the connection before its answer was whole")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._transport = None
        self._keep = self.reusable = False
        if not self._ended:
            self._fail(Breakage.CUT, str(error or "it closed the connection")[:_LONGEST_REASON])
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def pause_writing(self) -> None:
        """The server takes the request slower than it comes."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """It caught up."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # --- the parser's callbacks ---------------------------------------------------------------------------------------

    def _begin_parsing(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._status = self._size = self._header_bytes = 0
        self._framed = self._sized = self._parsed = False

    def on_message_begin(self) -> None:
        """A status line begins; an answer that nobody asked for is refused."""
        if self._ended:
            raise Broken(Breakage.UNREADABLE, "it sent a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field, in the head or behind a chunked body (where it is ignored)."""
        fields, limits = self._fields, self._limits
        size = self._header_bytes = self._header_bytes + len(name) + len(value)
        if size > limits.header_bytes or len(fields) >= limits.fields:
            raise Broken(Breakage.UNREADABLE, "its header section is too large")
        if self._status:
            return
        lower = self._lowered.get(name) or self._lower(name, value)
        if lower is not None:
            fields.append((lower, value))

    def _lower(self, name: bytes, value: bytes) -> bytes | None:
        """The name as it goes on, None for what does not; those that say nothing of the framing are remembered."""
        lower = name.lower()
        if lower in _FRAMING:
            self._framing(lower, value)
            return lower if lower == b"content-length" else None
        if len(self._lowered) < _MOST_LOWERED:
            self._lowered[name] = lower
        return lower

    def _framing(self, name: bytes, value: bytes) -> None:
        if name == b"connection":
            named = {token.strip().lower() for token in value.split(b",")}
            if b"close" in named:
                self._keep = False
            elif named != {b"keep-alive"}:
                self._fields.append((name, value))  # whoever passes the answer on takes these fields out
            return
        if name == b"transfer-encoding" and (value.lower() != b"chunked" or self._framed):
            raise Broken(Breakage.UNREADABLE, "its transfer coding is not chunked, once")
        self._framed = True
        self._sized = name == b"content-length"

    def on_headers_complete(self) -> None:
        """The head is whole."""
        parser = self._parser
        version, status = parser.get_http_version(), parser.get_status_code()
        if version not in ("1.1", "1.0") or status < 100:  # noqa: PLR2004 - RFC 9110, 15
            raise Broken(Breakage.UNREADABLE, "its status line is not HTTP/1.1")
        if status < _OK:
            return
        self._status = status
        if version == "1.0":
            self._keep = False
        if status in _NO_BODY:
            self._framed = True
        if self._bodyless:
            self._complete()
            # llhttp would wait for the body that the fields announce.
            self._parser = httptools.HttpResponseParser(self)
        elif self._streaming:
            self._settle(Answer(status, self._fields))

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._ended:
            self.close()
            return
        self._size += len(data)
        if self._streaming:
            self._chunks.append(data)
            if self._size > _READ_AHEAD and not self._paused:
                self._paused = True
                self._transport.pause_reading()
            self._wake()
            return
        if self._size > self._limits.body_bytes:
            raise Broken(Breakage.UNREADABLE, f"its answer is larger than {self._limits.body_bytes} bytes")
        if self._body:
            self._chunks.append(data)
        else:
            self._body = data

    def on_message_complete(self) -> None:
        """The answer is whole, or an interim one (1xx) is over."""
        if self._status:
            if not self._ended:
                self._complete()
        else:
            self._fields = []

    def _complete(self) -> None:
        self._ended = True
        if not self._framed and not self._bodyless:
            self._keep = False
        self.reusable = self._keep
        if not self._streaming and self._chunks:
            self._body = b"".join([self._body, *self._chunks])
            self._chunks.clear()
        self._settle(Answer(self._status, self._fields, self._body))
        self._wake()

    def _settle(self, answer: Answer) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _fail(self, kind: Breakage, why: str) -> None:
        failure = self._failure = Broken(kind, why)
        self._ended = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(failure)
        self._wake()
        self.close()

    def _wake(self) -> None:
        more = self._more
        if more is not None and not more.done():
            more.set_result(None)
