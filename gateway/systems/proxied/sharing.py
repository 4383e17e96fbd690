"""Identical reads in flight share one request to the API behind: what a popular page costs it while it is slow.

Only reads with one credential of one caller, the same target and the same fields share. A failure goes to those who
waited and is forgotten with the flight. A change through this process ends joining: a read that
begins after it asks anew. Other processes' changes are not seen, so it is off unless the settings ask for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial

from gateway.outbound.answers import Answer


class _Flight:
    __slots__ = ("passengers", "task")

    def __init__(self, task: asyncio.Task[Answer]) -> None:
        self.task = task
        self.passengers = 0


class SharedReads:
    """The flights of one API in one process."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight] = {}

    async def ask(self, key: Hashable, send: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer to the read that `key` tells from all others; `send` is called unless one is under way."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(_sent(send), name="proxied-read"))
            flight.task.add_done_callback(partial(self._land, key, flight))
        flight.passengers += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.passengers -= 1
            if not flight.passengers and not flight.task.done():
                self._land(key, flight)
                flight.task.cancel()

    def forget(self) -> None:
        """Let nobody join what is under way: something has changed."""
        self._flights.clear()

    def _land(self, key: Hashable, flight: _Flight, _: object = None) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.task.done() and not flight.task.cancelled():
            flight.task.exception()  # told to its passengers; there may be none any more


async def _sent(send: Callable[[], Awaitable[Answer]]) -> Answer:
    return await send()
