"""A bulkhead per system: so many requests at once, so many waiting, and no more.

A slow system then holds its own slots and nobody else's.
"""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.kernel.errors import Unavailable


class Bulkhead:
    """`concurrency` requests in flight and `queue` waiting, first come first served. One event loop owns it."""

    def __init__(self, name: str, *, concurrency: int, queue: int) -> None:
        self._name = name
        self._free = concurrency
        self._queue = queue
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """A slot at once; False when all are taken. `give` it back."""
        if self._free and not self._waiting:
            self._free -= 1
            return True
        return False

    async def wait(self, seconds: float) -> None:
        """A slot within so many seconds; raises `Unavailable` (code ``outbound.bulkhead_full``)."""
        if len(self._waiting) >= self._queue:
            raise self._full(f"{len(self._waiting)} requests already wait")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as error:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif turn.done() and not turn.cancelled():
                self.give()  # the slot came when nobody waited for it any more
            if isinstance(error, TimeoutError):
                raise self._full(f"no slot was free within {seconds:.1f} s") from None
            raise

    def give(self) -> None:
        """Free a slot: the first who waits has it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _full(self, why: str) -> Unavailable:
        return Unavailable(
            f"{self._name} has all its slots taken and {why}: nothing was sent, try again shortly",
            code="outbound.bulkhead_full",
        )
