"""Serving the gateway and the console with granian: one worker process per core, `uvloop`, no access log.

How workers come and go is told in `gateway/serving/server.py`, how they end with a server that is killed in
`gateway/serving/following.py`.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from gateway.app import Core, Gateway, build_console
from gateway.kernel.errors import Misconfigured
from gateway.serving.following import end_with_the_server
from gateway.serving.server import GatewayServer
from gateway.serving.settling import settle
from gateway.serving.worker import on_line
from gateway.settings import SETTINGS_VARIABLE, Settings, load_settings

_KILL_AFTER_SECONDS: Final = 4
# A header section above this is refused by the server itself; below it, by the door (431).
_HEADER_BYTES: Final = 131_072


def make_gateway(line: socket.socket | None = None) -> Any:
    """The gateway's ASGI application, from the settings that CROSSDOCK_SETTINGS names. Called once per process.

    `line` leads to the server, which asks how things are and tells when to leave.
    """
    end_with_the_server()
    try:
        settings = load_settings()
        gateway = Gateway(Core(settings))
    except Misconfigured as error:
        sys.exit(f"crossdock: {error.detail}")
    if line is not None:
        figures, ready = gateway.counters.families, gateway.require_ready
        gateway.beside.append(on_line(line, gateway.doorway, port=settings.http.port, metrics=figures, ready=ready))
    settle()
    return gateway.doorway


def make_console() -> Any:
    """The console's ASGI application; one process, its own listener."""
    end_with_the_server()
    return build_console(load_settings())


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
    try:
        _server(given.role, settings).serve()
    except Misconfigured as error:
        sys.exit(f"crossdock: {error.detail}")


def _server(role: str, settings: Settings) -> MPServer:
    if role == "console":
        options = granian_options(settings.console.host, settings.console.port)
        return MPServer("gateway.asgi:make_console", factory=True, respawn_failed_workers=True, **options)
    http, metrics = settings.http, settings.metrics
    return GatewayServer(
        "gateway.asgi:make_gateway",
        pause=http.pause_seconds,
        drain=http.drain_seconds,
        metrics=None if metrics.port is None else (metrics.host, metrics.port),
        **granian_options(http.host, http.port, workers=http.workers, header_seconds=http.header_seconds),
    )


def granian_options(host: str, port: int, *, workers: int = 1, header_seconds: float = 15.0) -> dict[str, Any]:
    """How every server of ours runs."""
    return {
        "address": host,
        "port": port,
        "interface": Interfaces.ASGI,
        "workers": workers,
        "loop": Loops.uvloop,
        "runtime_mode": RuntimeModes.st,
        "http": HTTPModes.http1,
        "http1_settings": HTTP1Settings(
            max_buffer_size=_HEADER_BYTES, header_read_timeout=int(header_seconds * 1000), pipeline_flush=False
        ),
        "websockets": True,
        "log_access": False,
        "log_level": LogLevels.warning,
        "respawn_interval": 0.5,
        "workers_kill_timeout": _KILL_AFTER_SECONDS,
    }


if __name__ == "__main__":
    main()
