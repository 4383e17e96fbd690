"""A proxy before Tryton that a test can have interfere: hold a request, lose an answer, deliver twice.

It relays HTTP/1.1 requests with a Content-Length, each on a connection of its own, and goes on with what it began when
its client has long hung up, as a real one does.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Self

Deliver = Callable[[], Awaitable[bytes]]
Interference = Callable[[Deliver], Awaitable[bytes | None]]
"""Gets what delivers the request to Tryton and returns its whole answer; returns what the client is answered, or None
to cut its connection."""

_MOST_HEADERS: Final = 1 << 16
_LENGTH: Final = re.compile(rb"^content-length: *(\d+)\r$", re.IGNORECASE | re.MULTILINE)
_CONNECTION: Final = re.compile(rb"^connection:.*\r\n", re.IGNORECASE | re.MULTILINE)


class _Rule(NamedTuple):
    method: bytes
    mentioning: bytes
    interfere: Interference


class HoldingProxy:
    """Listens on a free port of loopback while entered."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._rules: list[_Rule] = []
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=_MOST_HEADERS)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def interfere(self, method: str, mentioning: str, interference: Interference) -> None:
        """From now on, have `interference` treat each call of `method` whose body mentions that text."""
        self._rules.append(_Rule(f'"{method}"'.encode(), mentioning.encode(), interference))

    def behave(self) -> None:
        """From now on, only relay."""
        self._rules.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._relay(reader, writer)
        finally:
            self._serving.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        request = _CONNECTION.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n" + body

        async def deliver() -> bytes:
            return await self._deliver(request)

        interfere = next((r.interfere for r in self._rules if r.method in body and r.mentioning in body), None)
        answer = await deliver() if interfere is None else await interfere(deliver)
        if answer is not None:
            writer.write(answer)
            await writer.drain()

    async def _deliver(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            writer.write(request)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()
