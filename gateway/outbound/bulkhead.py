"""A bulkhead per system: so many requests at once, so many waiting, and no more.

A slow system then holds its own slots and nobody else's.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway.kernel.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Bulkhead:
    """`concurrency` requests in flight and `queue` waiting. One event loop owns it."""

    def __init__(self, name: str, *, concurrency: int, queue: int) -> None:
        self._name = name
        self._slots = asyncio.Semaphore(concurrency)
        self._queue = queue
        self._waiting = 0

    @asynccontextmanager
    async def slot(self, wait: float) -> AsyncIterator[None]:
        """Hold one slot, waiting at most `wait` seconds; raises `Unavailable` (code ``outbound.bulkhead_full``)."""
        if self._slots.locked() and self._waiting >= self._queue:
            raise self._full(f"{self._waiting} requests already wait")
        self._waiting += 1
        try:
            async with asyncio.timeout(wait):
                await self._slots.acquire()
        except TimeoutError:
            raise self._full(f"no slot was free within {wait:.1f} s") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    def _full(self, why: str) -> Unavailable:
        return Unavailable(
            f"{self._name} has all its slots taken and {why}: nothing was sent, try again shortly",
            code="outbound.bulkhead_full",
        )
