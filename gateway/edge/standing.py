"""Whether who listens to a stream may still do so: a right that is taken away ends what it had opened.

A request is over before a revocation could matter; a stream may be open for an hour.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from gateway.edge.doorway import Doorway
from gateway.kernel.context import Principal
from gateway.kernel.errors import CrossdockError, NotAllowed, Unavailable

_log: Final = logging.getLogger(__name__)
# Workers hear of a revocation within 2 s, and the bound that is published is 5 s.
_EVERY_SECONDS: Final = 0.5
_BLIND: Final = "identity.unavailable"

Recheck = Callable[[Mapping[bytes, bytes], Principal], Awaitable[None]]


class Standing:
    """Looks twice a second. `recheck` raises `NotAllowed` for a credential that does not hold any more."""

    def __init__(self, doorway: Doorway, recheck: Recheck) -> None:
        self._doorway = doorway
        self._recheck = recheck

    async def run(self) -> None:
        """End streams until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - a defect here must not leave streams unwatched for ever
                _log.exception("open streams could not be looked at")

    async def look(self) -> int:
        """Ask about every stream that needed a credential; returns how many were ended."""
        ended = 0
        for stream, exchange in self._doorway.door.listening():
            if exchange.principal is None:
                continue
            try:
                await self._recheck(exchange.headers, exchange.principal)
            except NotAllowed as error:
                why = error.code
            except Unavailable as error:
                if error.code != _BLIND:
                    continue  # not to be told now; beyond the bound it is the code above
                why = error.code
            except CrossdockError as error:
                why = error.code
            else:
                continue
            _log.info("the stream of request %s ends: %s", exchange.request_id, why)
            ended += self._doorway.door.end_stream(stream)
        return ended
