"""At most so many calls in any span of time, over all processes and whatever happens to them.

A call counts from before it leaves until it was answered, and for one span longer. Whenever the system sees it between
the two, no span holds more calls than allowed: of any that arrive within one, the last to leave had all others counted.
So neither a slow network nor a late wake-up makes two bursts of one. It is kept in the record and not in the cache: a
wiped cache, a restart or a killed worker forgets nothing, and without the record nobody sends anything anyway.

Statements for each call: one before it, one after. Calls to systems that are not paced cost none.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from gateway.kernel.clock import Clock
from gateway.kernel.errors import Throttled, Unavailable
from gateway.kernel.ids import new_id
from gateway.pacing.options import SystemPace
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)
# Those who wait ask again this often: a call that is answered early makes room that nobody could foresee.
_LOOK_S: Final = 0.1
_ASKED_TO_PAUSE: Final = "outbound.throttled"
PACED: Final = "outbound.paced"
_log: Final = logging.getLogger(__name__)


class CallWindows:
    """The windows of all systems, as one process asks for them. `paces` may change at any time."""

    def __init__(self, store: Store, clock: Clock, paces: Mapping[str, SystemPace] | None = None) -> None:
        self._store = store
        self._clock = clock
        self.paces: Mapping[str, SystemPace] = dict(paces or {})

    def holds(self, system: str) -> bool:
        """Whether calls to `system` are counted."""
        return system in self.paces

    @asynccontextmanager
    async def call(self, system: str, seconds: float) -> AsyncIterator[None]:
        """One call, which its caller ends within `seconds`: waits for its moment, and counts it until the block ends.

        Raises `Throttled` (``outbound.paced``) when there is no room in time, `Unavailable` without the record; nothing
        was sent then. A system that answers in the block that it wants a pause holds back the calls of all processes.
        """
        end = self._clock.monotonic() + seconds
        name = new_id("call")
        await self._moment(system, name, end)
        try:
            yield
        except Throttled as error:
            if error.code == _ASKED_TO_PAUSE:
                await self._tell(_sql.pause, system, error.retry_after)
            raise
        finally:
            await asyncio.shield(asyncio.ensure_future(self._tell(_sql.ended, system, name)))

    async def _moment(self, system: str, name: str, end: float) -> None:
        while (pace := self.paces.get(system)) is not None:
            left = end - self._clock.monotonic()
            wait: float = await self._store.fetchval(
                _sql.take, system, name, pace.calls, pace.window_seconds, max(left, 0.0)
            )
            if wait == 0:
                return
            if wait >= left:
                raise Throttled(
                    f"{system} takes no more calls within {max(left, 0.0):.1f} s at its agreed pace: nothing was sent",
                    code=PACED,
                    retry_after=wait,
                )
            await asyncio.sleep(min(wait, _LOOK_S) * random.uniform(0.8, 1.0))  # noqa: S311 - jitter

    async def _tell(self, statement: str, system: str, value: str | float) -> None:
        try:
            await self._store.execute(statement, system, value)
        except Unavailable:
            # A call that was not told to have ended counts until its time is up: too long, never too short.
            _log.warning("the record did not hear of a call to %s", system)
