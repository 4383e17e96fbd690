"""The figures of a process that has no server over it: the worker's, on a port of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from gateway.kernel.errors import Misconfigured
from gateway.serving.listener import MetricsListener, bound
from gateway.telemetry.counters import Family
from gateway.telemetry.gathered import Gathered

_log: Final = logging.getLogger("crossdock.figures")
_ANSWER_SECONDS: Final = 5.0
_TRY_AGAIN_SECONDS: Final = 5.0
_BACKLOG: Final = 16
_SELF: Final = "1"


async def show_figures(
    address: tuple[str, int],
    families: Callable[[], Awaitable[Sequence[Family]]],
    duties: Callable[[], Sequence[str]],
    stop: asyncio.Event,
) -> None:
    """Answer at `address` until `stop`. `duties` are told at ``/workers``.

    Where another process of ours has the port, as during a deploy, it is waited for.
    """
    listening = await _free(address, stop)
    if listening is None:
        return
    loop, gathered = asyncio.get_running_loop(), Gathered()

    def refresh() -> None:
        # In a thread of the listener: the process may be busy, and then it is told with its last figures.
        asked = asyncio.run_coroutine_threadsafe(_told(families), loop)
        try:
            gathered.tell(_SELF, asked.result(_ANSWER_SECONDS))
        except TimeoutError:
            asked.cancel()
            _log.warning("the figures of this process were not read within %g s: its last ones stand", _ANSWER_SECONDS)
        except Exception:  # noqa: BLE001 - a scrape is answered; the traceback is in the log
            _log.exception("the figures of this process could not be read: its last ones stand")

    def workers() -> bytes:
        return msgspec.json.encode({"host": socket.gethostname(), "pid": os.getpid(), "duties": sorted(duties())})

    listener = MetricsListener(listening, gathered.registry, refresh=refresh, workers=workers)
    listener.start()
    try:
        await stop.wait()
    finally:
        await asyncio.to_thread(listener.close)


async def _told(families: Callable[[], Awaitable[Sequence[Family]]]) -> Sequence[Family]:
    return await families()


async def _free(address: tuple[str, int], stop: asyncio.Event) -> socket.socket | None:
    told = False
    while not stop.is_set():
        try:
            return bound(*address, _BACKLOG)
        except Misconfigured as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno != errno.EADDRINUSE:
                raise
            if not told:
                _log.warning("no figures yet: %s", error.detail)
                told = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_TRY_AGAIN_SECONDS):
                await stop.wait()
    return None
