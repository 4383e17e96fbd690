"""The log as it happens, for server-sent events: nothing is kept for who listens, and who comes back names a place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from gateway.backbone.tail import Tail
from gateway.canonical.events import Position, Recorded

_AT_ONCE: Final = 200


async def follow(tail: Tail, after: Position, stop: asyncio.Event) -> AsyncGenerator[Recorded, None]:
    """Events after `after`, in delivery order, until `stop`. A slow listener holds up nobody but itself."""
    position = after
    while not stop.is_set():
        stretch = await tail.after(position, _AT_ONCE)
        position = stretch.reached
        for recorded in stretch.events:
            yield recorded
