"""A small HTTP/1.1 server over h11 that can also misbehave: hang, cut the connection, answer garbage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import h11
from msgspec import Struct

_MAX_BODY: Final = 16 * 1024 * 1024
_IDLE_S: Final = 60.0


class HttpRequest(Struct, frozen=True):
    """One request; header names lower case; `target` as sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class HttpAnswer(Struct, frozen=True):
    """One answer; `raw` bytes instead of it, or `cut` to close the connection without one."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False
    raw: bytes | None = None


Handler = Callable[[HttpRequest], Awaitable[HttpAnswer]]


class HttpServer:
    """Serves `handler` on loopback."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> int:
        """Listen; returns the port taken."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=512)
        taken: int = self._server.sockets[0].getsockname()[1]
        return taken

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._one(connection, reader, writer):
                connection.start_next_cycle()
        except (ConnectionError, TimeoutError, h11.ProtocolError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            if task is not None:
                self._connections.discard(task)

    async def _one(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request = await _read(connection, reader)
        if request is None:
            return False
        answer = await self._handler(request)
        if answer.cut:
            writer.transport.abort()
            return False
        if answer.raw is not None:
            writer.write(answer.raw)
            await writer.drain()
            return False
        headers = [("content-length", str(len(answer.body))), *answer.headers]
        head = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
        body = connection.send(h11.Data(data=answer.body)) or b""
        writer.write(head + body + (connection.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> HttpRequest | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            async with asyncio.timeout(_IDLE_S):
                connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MAX_BODY:
                raise ConnectionError
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return HttpRequest(
                head.method.decode(),
                head.target.decode(),
                {name.decode(): value.decode("latin-1") for name, value in head.headers},
                bytes(body),
            )
        else:
            return None
