"""The relay: reads the log in delivery order and publishes it to JetStream. One runs at a time, under a lease.

It keeps no position of its own: the last message of a stream tells where it stopped. An empty or wiped stream starts
at the end of the log, and the first message says so in its `Crossdock-Previous` header: consumers read what lies
before it from the record. A stream that is ahead of the record (a restore) is made anew. Each message is stored only as
the next one after the last (`Nats-Expected-Last-Sequence`), so a relay that lost its lease unawares cannot put one
in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import nats
from msgspec import Struct
from nats.js.errors import NotFoundError

from gateway.backbone.carrier import Carrier, Line
from gateway.backbone.streams import Namespace, ensure_stream
from gateway.backbone.wire import POSITION, headers_of, kind_of, payload_of, position_in
from gateway.canonical.events import Position, Recorded
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Unavailable
from gateway.store.log_reader import LogReader
from gateway.store.postgres import Store
from gateway.store.rows import Shared

_logger = logging.getLogger(__name__)

_POLL_S: Final = 0.015
_SPACING_S: Final = 0.003
_LOOK_FOR_STREAMS_S: Final = 1.0
_AFTER_FAILURE_S: Final = 0.2
_BATCH: Final = 256
_ACK_S: Final = 3.0
_HEADERS_TAKE: Final = 1024


class _Outlet(Struct):
    """How far one stream was published: the last event, and its sequence in JetStream."""

    position: Position
    sequence: int


class Relay:
    """`hint` shortens the wait for the next look at the log; without it the log is looked at every 15 ms.

    `streams` are carried from the start; others are noticed within a second of their first event. `published` tells, by
    stream, the last event that JetStream has acknowledged.
    """

    def __init__(
        self,
        store: Store,
        reader: LogReader,
        carrier: Carrier,
        namespace: Namespace,
        clock: Clock,
        *,
        streams: frozenset[str],
    ) -> None:
        self._store = store
        self._reader = reader
        self._carrier = carrier
        self._namespace = namespace
        self._clock = clock
        self._streams = streams
        self._hinted = asyncio.Event()
        self.published: dict[str, Position] = {}

    def hint(self) -> None:
        """Something was committed in this process."""
        self._hinted.set()

    async def run(self) -> None:
        """Publish until cancelled, over one line to NATS after the other."""
        while True:
            line = await self._carrier.line()
            try:
                await self._publish_over(line)
            except (OSError, TimeoutError, nats.errors.Error, Unavailable, ValueError) as error:
                _logger.warning("the relay starts over: %s", type(error).__name__)
            await asyncio.sleep(_AFTER_FAILURE_S)

    async def _publish_over(self, line: Line) -> None:
        outlets: dict[str, _Outlet] = {}
        looked = float("-inf")
        while not line.over.is_set():
            if self._clock.monotonic() - looked > _LOOK_FOR_STREAMS_S:
                looked = self._clock.monotonic()
                async with self._store.connection() as connection:
                    streams = await self._reader.streams(connection)
                for stream in (self._streams | streams) - outlets.keys():
                    outlets[stream] = await self._resume(line, stream)
                    self.published[stream] = outlets[stream].position
            self._hinted.clear()
            published = [await self._publish(line, stream, outlet) for stream, outlet in outlets.items()]
            if not any(published):
                await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(_SPACING_S)
        try:
            async with asyncio.timeout(_POLL_S - _SPACING_S):
                await self._hinted.wait()
        except TimeoutError:
            return

    async def _resume(self, line: Line, stream: str) -> _Outlet:
        info = await ensure_stream(line.jetstream, self._namespace, stream)
        last = await self._last_published(line, stream, info.state.last_seq) if info.state.messages else None
        async with self._store.connection() as connection:
            if last is not None and await self._reader.is_recorded(connection, last, stream=stream):
                return _Outlet(last, info.state.last_seq)
            end = await self._reader.end(connection, stream=stream)
        if last is not None:
            _logger.warning("stream %s is ahead of the record and is made anew", stream)
            await line.jetstream.delete_stream(self._namespace.stream(stream))  # a purge would remember message ids
            info = await ensure_stream(line.jetstream, self._namespace, stream)
        return _Outlet(end, info.state.last_seq)

    async def _last_published(self, line: Line, stream: str, sequence: int) -> Position | None:
        try:
            message = await line.jetstream.get_msg(self._namespace.stream(stream), sequence)
            return position_in(message.headers, POSITION)
        except (NotFoundError, ValueError):
            return None

    async def _publish(self, line: Line, stream: str, outlet: _Outlet) -> bool:
        async with self._store.connection() as connection:
            rows = await self._reader.rows_after(connection, outlet.position, stream=stream, limit=_BATCH)
        if not rows:
            return False
        await self._send(line, stream, outlet, rows)
        return True

    async def _send(self, line: Line, stream: str, outlet: _Outlet, rows: Sequence[Recorded | Shared]) -> None:
        jetstream = line.jetstream
        acks = []
        previous, sequence = outlet.position, outlet.sequence
        for row in rows:
            subject = self._namespace.subject(stream, kind_of(row))
            headers = headers_of(row, previous, sequence)
            payload = payload_of(row)
            if len(payload) > line.client.max_payload - _HEADERS_TAKE:
                payload = b""  # too large to carry: its place is told, and readers take it from the record
            acks.append(await jetstream.publish_async(subject, payload, headers=headers))
            previous, sequence = row.position, sequence + 1
        async with asyncio.timeout(_ACK_S):
            results = await asyncio.gather(*acks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        outlet.position, outlet.sequence = previous, sequence
        self.published[stream] = previous
