"""Reading on from a place: out of the window where it reaches back so far, else straight from the record."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.backbone.feed import Feed
from gateway.canonical.events import Position
from gateway.store.log_reader import LogReader, Stretch
from gateway.store.postgres import Store

_LOOK_WHEN_LIVE_S: Final = 0.5
_LOOK_WHEN_BEHIND_S: Final = 0.25
_LOOK_WITHOUT_FEED_S: Final = 0.05


class Tail:
    """The log of one stream from any place on, restricted to some types."""

    def __init__(self, store: Store, reader: LogReader, feed: Feed, types: frozenset[str]) -> None:
        self._store = store
        self._reader = reader
        self._feed = feed
        self._types = types
        self._more = False

    async def after(self, position: Position, limit: int) -> Stretch:
        """What follows `position`, waiting a little for news.

        With nothing new it returns an empty stretch after half a second. `reached` never lies before `position`.
        The record is looked at whenever the window cannot answer, every half second beside a live feed, and every 50 ms
        without one. Where the feed has yet to come to `position`, it is looked at four times a second, and at once
        again while it has more than was asked for.
        """
        changed = self._feed.changed
        stretch = self._from_window(position, limit)
        if stretch is None and (self._more or not self._feed.window.is_behind(position)):
            stretch = await self._from_record(position, limit)
        if stretch is not None and stretch.reached > position:
            return stretch
        if await self._news(changed, position):
            stretch = self._from_window(position, limit)
            if stretch is not None:
                return stretch
        return await self._from_record(position, limit)

    async def _news(self, changed: asyncio.Event, position: Position) -> bool:
        """Wait for a message that may tell what follows `position`; False when none came in time."""
        behind = self._feed.window.is_behind(position)
        live = _LOOK_WHEN_BEHIND_S if behind else _LOOK_WHEN_LIVE_S
        try:
            async with asyncio.timeout(live if self._feed.live else _LOOK_WITHOUT_FEED_S):
                await changed.wait()
                while behind and self._feed.window.is_behind(position):
                    await self._feed.changed.wait()
        except TimeoutError:
            return False
        return True

    def _from_window(self, position: Position, limit: int) -> Stretch | None:
        stretch = self._feed.window.after(position, self._types, limit)
        if stretch is None:
            return None
        return Stretch(tuple(map(self._reader.current, stretch.events)), stretch.reached)

    async def _from_record(self, position: Position, limit: int) -> Stretch:
        async with self._store.connection() as connection:
            stretch = await self._reader.read_after(
                connection, position, stream=self._feed.stream, types=self._types, limit=limit
            )
        self._more = len(stretch.events) == limit
        return stretch
