"""The log as partners follow it: one tail of it in a process feeds every open stream through a queue of its own.

Whoever comes again names the last place it saw. It joins the tail first and then reads the record from that place to
the one where it joined, so nothing lies between the two and nothing is told twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterator
from typing import Final, Protocol

from msgspec import Struct

from gateway.canonical.events import Position, Recorded
from gateway.kernel.errors import CrossdockError, Unavailable
from gateway.store.log_reader import LogReader, Stretch
from gateway.store.postgres import Store
from process_apis.partner_notifications.rules import AVAILABILITY_CHANGED, MESSAGE_OF_EVENT, addressee_of, topic_of

Missed = AsyncGenerator[tuple["Waiting", Position], None]
_log: Final = logging.getLogger(__name__)
TYPES: Final = frozenset(MESSAGE_OF_EVENT)
_PAUSE_SECONDS: Final = 0.5
_READY_SECONDS: Final = 5.0
_PAGE: Final = 500


class FollowsLog(Protocol):
    """Tells the log as it happens: `gateway.backbone.backbone.Backbone` of this process."""

    def stretches(self, types: frozenset[str], *, after: Position | None = None) -> AsyncGenerator[Stretch, None]:
        """Stretches of events of `types` after a place, or from now on."""
        ...


class Wanted(Struct, frozen=True, kw_only=True):
    """What one listener hears: its partner's orders and returns, and availability; all articles if `items` is None."""

    tenant: str
    partner: str
    messages: frozenset[str]
    items: frozenset[str] | None = None

    def includes(self, recorded: Recorded) -> bool:
        """Whether this event is for the listener."""
        message = MESSAGE_OF_EVENT.get(recorded.event.type)
        if message not in self.messages or recorded.event.tenant != self.tenant:
            return False
        if message == AVAILABILITY_CHANGED:
            return self.items is None or recorded.event.data["item"] in self.items
        return bool(self.partner) and addressee_of(recorded) == self.partner


class Waiting:
    """Events that a listener has not been told yet, oldest first.

    Of availability of one item the newest stands for those before it, as with webhooks.
    """

    def __init__(self) -> None:
        self._events: dict[object, Recorded] = {}

    def __len__(self) -> int:
        return len(self._events)

    def add(self, recorded: Recorded) -> None:
        """Put one at the end."""
        about: object = recorded.position
        if MESSAGE_OF_EVENT[recorded.event.type] == AVAILABILITY_CHANGED:
            about = recorded.event.data["item"]
            self._events.pop(about, None)
        self._events[about] = recorded

    def take(self) -> Recorded | None:
        """The oldest, None where there is none."""
        return self._events.pop(next(iter(self._events))) if self._events else None

    def take_some(self, limit: int) -> list[Recorded]:
        """The oldest, up to `limit` and before the first that is about the same order or item as one of them."""
        some: dict[str, Recorded] = {}
        while self._events and len(some) < limit:
            upcoming = next(iter(self._events.values()))
            about = topic_of(upcoming)
            if about in some:
                break
            some[about] = upcoming
            self.take()
        return list(some.values())

    def clear(self) -> None:
        """Forget all."""
        self._events.clear()


class Listener:
    """One stream's queue of at most `room` events. `joined` is the place behind which the tail tells it everything."""

    def __init__(self, wanted: Wanted, joined: Position, *, room: int) -> None:
        self.wanted = wanted
        self.joined = joined
        self.waiting = Waiting()
        self.too_slow = False
        self.news = asyncio.Event()
        self._room = room

    def offer(self, recorded: Recorded) -> None:
        """Take what is wanted. One who has no room is told nothing more: it comes again and reads the record."""
        if self.too_slow or not self.wanted.includes(recorded):
            return
        self.waiting.add(recorded)
        if len(self.waiting) > self._room:
            self.too_slow = True
            self.waiting.clear()
        self.news.set()


class Following:
    """The tail and its listeners. It begins with the first of them; `run` it as long as the process serves."""

    def __init__(self, store: Store, reader: LogReader) -> None:
        self._store = store
        self._reader = reader
        self._listeners: dict[str, set[Listener]] = {}
        self._begun = asyncio.Event()
        self._known = asyncio.Event()
        self._reached: Position | None = None

    async def begun(self) -> None:
        """Wait until somebody wants to listen."""
        await self._begun.wait()

    async def run(self, log: FollowsLog) -> None:
        """Tell listeners until cancelled; while the record or the backbone is away nothing happens."""
        await self.begun()
        while True:
            try:
                await self._follow(log)
            except Unavailable:
                pass  # told by who misses it: the store, the backbone
            except Exception:  # noqa: BLE001 - a defect must not end all streams of this process for ever
                _log.exception("following the log failed and begins again")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, log: FollowsLog) -> None:
        if self._reached is None:
            async with self._store.connection() as connection:
                self._reached = await self._reader.end(connection)
            self._known.set()
        async with contextlib.aclosing(log.stretches(TYPES, after=self._reached)) as stretches:
            async for stretch in stretches:
                for recorded in stretch.events:
                    for listener in self._listeners.get(recorded.event.tenant, ()):
                        listener.offer(recorded)
                self._reached = stretch.reached

    @property
    def reached(self) -> Position:
        """The place up to which listeners were told everything; raises `Unavailable` before anybody joined."""
        if self._reached is None:
            raise _not_yet()
        return self._reached

    async def ready(self) -> None:
        """Wait until it is known where the log ends; raises `Unavailable` when that takes too long."""
        self._begun.set()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._known.wait()
        except TimeoutError:
            raise _not_yet() from None

    @contextlib.contextmanager
    def joined(self, wanted: Wanted, *, room: int) -> Iterator[Listener]:
        """Listen inside the block, from `reached` on."""
        listener = Listener(wanted, self.reached, room=room)
        listeners = self._listeners.setdefault(wanted.tenant, set())
        listeners.add(listener)
        try:
            yield listener
        finally:
            listeners.discard(listener)

    async def before(self, listener: Listener, after: Position) -> Missed:
        """What the listener missed between `after` and the place where it joined: pages, and how far each reaches."""
        while after < listener.joined:
            async with self._store.connection() as connection:
                stretch = await self._reader.read_after(connection, after, types=TYPES, limit=_PAGE)
            if stretch.reached <= after:
                return
            after = min(stretch.reached, listener.joined)
            page = Waiting()
            for recorded in stretch.events:
                if recorded.position <= listener.joined and listener.wanted.includes(recorded):
                    page.add(recorded)
            yield page, after

    async def has(self, position: Position) -> bool:
        """Whether the log still holds the event at this place."""
        async with self._store.connection() as connection:
            return await self._reader.is_recorded(connection, position)


def _not_yet() -> CrossdockError:
    return Unavailable("events cannot be followed at the moment: connect again", code="events.unavailable")
