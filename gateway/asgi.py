"""Serving the gateway and the console with granian: one worker process per core, `uvloop`, no access log.

A dead worker process is started again; SIGTERM lets requests in flight finish before the kill timeout.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from gateway.app import build_gateway
from gateway.settings import SETTINGS_VARIABLE, Settings, load_settings

_KILL_AFTER_SECONDS: Final = 10
# A header section above this is refused by the server itself; below it, by the door (431).
_HEADER_BYTES: Final = 131_072
_STALLED_HEADER_MS: Final = 15_000


def make_gateway() -> Any:
    """The gateway's ASGI application, from the settings that CROSSDOCK_SETTINGS names. Called once per process."""
    return build_gateway(load_settings())


def serve(settings: Settings, path: Path | None) -> None:
    """Serve the gateway until a signal."""
    _serve("gateway.asgi:make_gateway", settings.http.host, settings.http.port, settings.http.workers, path)


def _serve(target: str, host: str, port: int, workers: int, path: Path | None) -> None:
    if path is not None:
        os.environ[SETTINGS_VARIABLE] = str(path.absolute())
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
