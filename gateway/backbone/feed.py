"""What a process has heard lately on one stream: a window of consecutive events, proven to have no gap.

Each message names the event before it. Where that is not the last one heard, something was missed, and the window
begins anew: whoever stands before its beginning reads the record until it has caught up. So a message that is lost,
doubled or late, a wiped stream and a dead NATS all cost time and never an event.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from gateway.backbone.carrier import Carrier, Line
from gateway.backbone.streams import Namespace, ensure_stream
from gateway.backbone.wire import POSITION, PREVIOUS, events_in, position_in
from gateway.canonical.events import Position, Recorded
from gateway.kernel.clock import Clock
from gateway.store.log_reader import Stretch

_logger = logging.getLogger(__name__)

_CAPACITY: Final = 8_192
_HEARTBEAT_S: Final = 0.5
_SILENT_S: Final = 2.0
_FORGOTTEN_S: Final = 30.0
_AFTER_FAILURE_S: Final = 0.2


class Window:
    """Consecutive events after `start`, in delivery order. Empty, with no start, until the first one is offered."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._start: Position | None = None
        self._places: list[Position] = []
        self._events: list[Recorded] = []

    def offer(self, previous: Position, position: Position, events: Sequence[Recorded] | None) -> bool:
        """Take the events of the next row; False when it is an old one. None stands for what was not carried."""
        last = self._places[-1] if self._places else self._start
        if last is not None and position <= last:
            return False
        if events is None:
            self._begin(position)
            return True
        if last is None or previous != last:
            self._begin(previous)
        self._places.extend(each.position for each in events)
        self._events.extend(events)
        if len(self._places) > self._capacity * 2:
            self._start = self._places[-self._capacity - 1]
            del self._places[: -self._capacity], self._events[: -self._capacity]
        return True

    def after(self, position: Position, types: frozenset[str], limit: int) -> Stretch | None:
        """Up to `limit` events of `types` after `position`; None when that lies before the window, or beyond it."""
        if self._start is None or position < self._start or self.is_behind(position):
            return None
        found: list[Recorded] = []
        reached = position
        for index in range(bisect_right(self._places, position), len(self._places)):
            if len(found) == limit:
                break
            reached = self._places[index]
            if self._events[index].event.type in types:
                found.append(self._events[index])
        return Stretch(tuple(found), reached)

    def is_behind(self, position: Position) -> bool:
        """Whether what was heard ends before `position`, so that nothing can be told of what follows it.

        Who read the record is ahead of the relay, by moments as a rule, by far after a burst that nobody relayed.
        """
        last = self._places[-1] if self._places else self._start
        return last is not None and last < position

    def _begin(self, start: Position) -> None:
        self._start = start
        self._places.clear()
        self._events.clear()


class Feed:
    """Fills a window from JetStream while `run` runs. `live` tells whether news can be expected to come by itself."""

    def __init__(self, stream: str, carrier: Carrier, namespace: Namespace, clock: Clock) -> None:
        self.stream = stream
        self.window = Window()
        self.live = False
        self._carrier = carrier
        self._namespace = namespace
        self._clock = clock
        self._heard = 0.0
        self._changed = asyncio.Event()

    @property
    def changed(self) -> asyncio.Event:
        """An event that is set at the next news. Take it before looking at the window."""
        return self._changed

    async def run(self) -> None:
        """Listen until cancelled, over one line after the other."""
        while True:
            line = await self._carrier.line()
            try:
                await self._listen(line)
            except Exception as error:  # noqa: BLE001 - as in the carrier; the record is read meanwhile
                _logger.debug("the feed of %s starts over: %s", self.stream, type(error).__name__)
            finally:
                self.live = False
                self._tell()
            await asyncio.sleep(_AFTER_FAILURE_S)

    async def _listen(self, line: Line) -> None:
        await ensure_stream(line.jetstream, self._namespace, self.stream)
        inbox = line.client.new_inbox()
        subscription = await line.client.subscribe(inbox, cb=self._on_message)
        try:
            await line.jetstream.add_consumer(
                self._namespace.stream(self.stream),
                ConsumerConfig(
                    deliver_subject=inbox,
                    deliver_policy=DeliverPolicy.NEW,
                    ack_policy=AckPolicy.NONE,
                    idle_heartbeat=_HEARTBEAT_S,
                    inactive_threshold=_FORGOTTEN_S,
                    mem_storage=True,
                ),
            )
            await self._stay(line)
        finally:
            if not line.over.is_set():
                await subscription.unsubscribe()

    async def _stay(self, line: Line) -> None:
        self._heard = self._clock.monotonic()
        self.live = True
        self._tell()
        while not line.over.is_set() and self._clock.monotonic() - self._heard < _SILENT_S:
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await line.over.wait()
            except TimeoutError:
                continue

    async def _on_message(self, message: Msg) -> None:
        self._heard = self._clock.monotonic()
        try:
            position = position_in(message.headers, POSITION)
            previous = position_in(message.headers, PREVIOUS)
        except ValueError:
            return  # a heartbeat
        try:
            events = events_in(message.data, message.headers)
        except (msgspec.MsgspecError, ValueError):
            events = None
        if self.window.offer(previous, position, events):
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
