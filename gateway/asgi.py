"""Serving the gateway and the console with granian: one worker process per core, `uvloop`, no access log.

A dead worker process is started again; SIGTERM lets requests in flight finish before the kill timeout.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from gateway.app import build_gateway
from gateway.kernel.errors import Misconfigured
from gateway.settings import SETTINGS_VARIABLE, load_settings

_KILL_AFTER_SECONDS: Final = 10
# A header section above this is refused by the server itself; below it, by the door (431).
_HEADER_BYTES: Final = 131_072
_STALLED_HEADER_MS: Final = 15_000


def make_gateway() -> Any:
    """The gateway's ASGI application, from the settings that CROSSDOCK_SETTINGS names. Called once per process."""
    return build_gateway(load_settings())


def main() -> None:
    """``python -m gateway.asgi gateway --settings FILE``: serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m gateway.asgi")
    parser.add_argument("role", choices=["gateway"])
    parser.add_argument("--settings", type=Path)
    given = parser.parse_args()
    try:
        settings = load_settings(given.settings)
    except Misconfigured as error:
        sys.exit(f"crossdock: {error.detail}")
    if given.settings is not None:
        os.environ[SETTINGS_VARIABLE] = str(given.settings.absolute())
    _serve("gateway.asgi:make_gateway", settings.http.host, settings.http.port, settings.http.workers)


def _serve(target: str, host: str, port: int, workers: int) -> None:
    Server(
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
            max_buffer_size=_HEADER_BYTES, header_read_timeout=_STALLED_HEADER_MS, pipeline_flush=False
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
