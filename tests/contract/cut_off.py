"""A line to an engine that a test can cut: what is connected, or connects later, hears nothing more and is not told.

That is how a network fails; a process that is killed is easier to notice.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from running_gateway import RunningGateway

_PIECE = 1 << 16


class Line:
    """Passes bytes between a free port of loopback and the engine at `url`, while entered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    @property
    def url(self) -> str:
        """The engine's URL, by way of this line."""
        assert self._server is not None
        there, port = urlsplit(self._url), self._server.sockets[0].getsockname()[1]
        return there._replace(netloc=f"{there.netloc.rpartition(':')[0]}:{port}").geturl()

    def cut(self) -> None:
        """From now on nothing passes."""
        self._passing.clear()

    def mend(self) -> None:
        """What waited passes again; what hung up meanwhile is gone."""
        self._passing.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        there = urlsplit(self._url)
        far: asyncio.StreamWriter | None = None
        try:
            await self._passing.wait()
            far_reader, far = await asyncio.open_connection(there.hostname, there.port)
            ways = [asyncio.create_task(self._pass(*way)) for way in ((reader, far), (far_reader, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._open.discard(task)
            for end in (writer, far):
                if end is not None:
                    end.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(_PIECE):
                await self._passing.wait()
                sink.write(piece)
                await sink.drain()


@dataclass(frozen=True)
class Pair:
    """Two gateway processes on one record, and their lines to the engines."""

    both: tuple[RunningGateway, RunningGateway]
    postgres: Line
    nats: Line
    valkey: Line
