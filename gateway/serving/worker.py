"""What a worker answers its server over their line (`gateway/telemetry/line.py`)."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from msgspec import Struct

from gateway.edge.doorway import Doorway
from gateway.serving.leaving import connections, stop_accepting
from gateway.telemetry.counters import Family
from gateway.telemetry.line import answering

READY: Final = "ready"
METRICS: Final = "metrics"
BUSY: Final = "busy"
DRAIN: Final = "drain"
RETIRE: Final = "retire"
END_EVENTS: Final = "end events"
END_STREAMS: Final = "end streams"


class Busy(Struct, frozen=True):
    """What a worker still has to do: open `connections`, and requests `in_flight` (streams among them)."""

    connections: int
    in_flight: int


async def _at_once() -> None:
    return None


def on_line(
    line: socket.socket,
    doorway: Doorway,
    *,
    port: int,
    metrics: Callable[[], Sequence[Family]] = list,
    ready: Callable[[], Awaitable[None]] = _at_once,
) -> AbstractAsyncContextManager[None]:
    """Answer inside the block. `ready` raises while the worker cannot serve; `metrics` tells its figures."""

    async def is_ready() -> bool:
        await ready()
        return True

    async def busy() -> Busy:
        return Busy(connections(port), doorway.in_flight)

    async def tell() -> Sequence[Family]:
        return metrics()

    async def retire() -> int:
        doorway.leave()
        return stop_accepting(port)

    async def drain() -> bool:
        doorway.drain()
        return True

    async def end_events() -> int:
        return doorway.end_streams(events_only=True)

    async def end_streams() -> int:
        return doorway.end_streams()

    answers: dict[str, Callable[[], Awaitable[Any]]] = {
        READY: is_ready,
        METRICS: tell,
        BUSY: busy,
        DRAIN: drain,
        RETIRE: retire,
        END_EVENTS: end_events,
        END_STREAMS: end_streams,
    }
    return answering(line, answers)
