"""Serving the gateway and the console with granian: one worker process per core, `uvloop`, no access log.

A dead worker process is started again; SIGTERM lets requests in flight finish before the kill timeout. When the server
itself is killed, the kernel tells its workers to end (Linux): they would hold the port and serve on, watched by nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from gateway.app import build_console, build_gateway
from gateway.edge.doorway import Doorway
from gateway.kernel.errors import Misconfigured
from gateway.settings import SETTINGS_VARIABLE, load_settings

_KILL_AFTER_SECONDS: Final = 10
# A header section above this is refused by the server itself; below it, by the door (431).
_HEADER_BYTES: Final = 131_072
_PR_SET_PDEATHSIG: Final = 1
_DRAIN: Final = signal.SIGUSR1
_END_STREAMS: Final = signal.SIGUSR2


def make_gateway() -> Any:
    """The gateway's ASGI application, from the settings that CROSSDOCK_SETTINGS names. Called once per process."""
    end_with_the_server()
    door = build_gateway(load_settings())
    drain_on_signal(door)
    calm_collector()
    return door


def make_console() -> Any:
    """The console's ASGI application; one process, its own listener."""
    end_with_the_server()
    return build_console(load_settings())


class DrainingServer(MPServer):
    """Drains before it stops: it would wait for an open stream until it kills.

    Workers are unready for `pause` seconds, so that balancers see it and clients go elsewhere; then streams end.
    """

    pause = 0.0

    def _stop_workers(self) -> None:
        self._tell_workers(_DRAIN)
        time.sleep(self.pause)
        self._tell_workers(_END_STREAMS)
        super()._stop_workers()  # type: ignore[no-untyped-call]

    def _tell_workers(self, number: int) -> None:
        for worker in self.wrks:
            if worker.inner.exitcode is None and worker.inner.pid is not None:
                os.kill(worker.inner.pid, number)


def drain_on_signal(door: Doorway) -> None:
    """What a worker does about `DrainingServer`'s signals."""

    def heard(number: int, _: object) -> None:
        with contextlib.suppress(RuntimeError):  # no loop runs yet or any more: nothing is being served
            what = door.drain if number == _DRAIN else door.end_streams
            asyncio.get_running_loop().call_soon_threadsafe(what)

    signal.signal(_DRAIN, heard)
    signal.signal(_END_STREAMS, heard)


def calm_collector() -> None:
    """Spare the garbage collector what lives as long as the process, and let it look less often.

    A request leaves no cycle behind, so young collections find nothing, and by default one comes every few dozen.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def end_with_the_server() -> None:
    """Ask the kernel for SIGTERM when the process that started this one ends, however it ends (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def main() -> None:
    """``python -m gateway.asgi gateway|console --settings FILE``: serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m gateway.asgi")
    parser.add_argument("role", choices=["gateway", "console"])
    parser.add_argument("--settings", type=Path)
    given = parser.parse_args()
    try:
        settings = load_settings(given.settings)
    except Misconfigured as error:
        sys.exit(f"crossdock: {error.detail}")
    if given.settings is not None:
        os.environ[SETTINGS_VARIABLE] = str(given.settings.absolute())
    if given.role == "console":
        _serve("gateway.asgi:make_console", settings.console.host, settings.console.port, 1)
    else:
        http = settings.http
        _serve("gateway.asgi:make_gateway", http.host, http.port, http.workers, DrainingServer, http.header_seconds)


def _serve(
    target: str, host: str, port: int, workers: int, server: type[MPServer] = MPServer, header_seconds: float = 15.0
) -> None:
    server(
        target,
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        loop=Loops.uvloop,
        runtime_mode=RuntimeModes.st,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            max_buffer_size=_HEADER_BYTES, header_read_timeout=int(header_seconds * 1000), pipeline_flush=False
        ),
        websockets=True,
        log_access=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=_KILL_AFTER_SECONDS,
    ).serve()


if __name__ == "__main__":
    main()
