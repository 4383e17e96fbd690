"""The log as it happens, for server-sent events: nothing is kept for who listens, and who comes back names a place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from gateway.backbone.tail import Tail
from gateway.canonical.events import Position
from gateway.store.log_reader import Stretch

_AT_ONCE: Final = 200


async def follow(tail: Tail, after: Position, stop: asyncio.Event) -> AsyncGenerator[Stretch, None]:
    """Stretches after `after`, in delivery order, until `stop`; an empty one twice a second where nothing happens."""
    position = after
    while not stop.is_set():
        stretch = await tail.after(position, _AT_ONCE)
        position = stretch.reached
        yield stretch
