"""Loopback ports: chosen once, then kept."""

from __future__ import annotations

import random
import socket
from typing import Final

import psutil

from gateway.kernel.errors import Misconfigured

LOOPBACK: Final = "127.0.0.1"
# Below the ports that kernels hand to outgoing connections: one that is kept must not be taken by a client meanwhile.
_PORTS: Final = range(20_000, 32_000)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(taken: set[int]) -> int:
    """A port on which nothing listens, other than those in `taken`."""
    choices = random.SystemRandom().sample(_PORTS, 200)
    for port in choices:
        if port not in taken and port_is_free(port):
            return port
    raise Misconfigured(
        f"200 ports between {_PORTS.start} and {_PORTS.stop} were tried and none is free on {LOOPBACK}",
        code="engines.no_free_port",
    )


def listener(port: int) -> str:
    """Who listens on a port, in words, as far as this user may see it."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return "another process"
