"""Calls those whose turn it is at a paced system: their workflows are enqueued in the transaction that calls them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from gateway.durable.enqueue import enqueue
from gateway.pacing.visits import Visits
from gateway.store.postgres import Store
from gateway.store.together import Together

_LOOK_S: Final = 0.1
_IDLE_S: Final = 1.0
_TIDY_EVERY: Final = 50
_AHEAD: Final = 5


class Calling:
    """Runs in every worker; a lock in the record lets one of them at a time look after a system."""

    def __init__(self, store: Store, visits: Visits) -> None:
        self._store = store
        self._visits = visits

    async def run(self, stop: asyncio.Event) -> None:
        """Look every tenth of a second until `stop`, while any system is paced."""
        looks = 0
        while not stop.is_set():
            if looks % _TIDY_EVERY == 0:
                await self.tidy()
            looks += 1
            if self._visits.paces and await self._visits.anybody():
                await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S if self._visits.paces else _IDLE_S):
                    await stop.wait()

    async def look(self) -> int:
        """Call who may come now at each paced system; returns how many."""
        return sum([await self._look(system) for system in self._visits.paces])

    async def tidy(self) -> None:
        """Forget old visits, and let everybody go who waits for a system that is paced no more."""
        for system in await self._visits.left_over():
            if not self._visits.holds(system):
                await self._look(system)
        await self._visits.forget()

    async def _look(self, system: str) -> int:
        async with self._store.transaction() as connection:
            called = await self._visits.call_next(connection, system)
            writes = Together()
            for each in called:
                enqueue(
                    writes,
                    workflow=each.workflow,
                    workflow_id=each.workflow_id,
                    args=each.args,
                    queue=each.queue,
                    priority=_AHEAD,
                    shape=each.shape,
                )
            await writes.run(connection)
        return len(called)
