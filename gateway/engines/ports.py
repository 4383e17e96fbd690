"""Loopback ports: chosen once, then kept."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
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


def kept_port(path: Path) -> int:
    """The port that the file at `path` names; a free one, which it names from then on, when there is no file."""
    if not path.exists():
        path.write_text(str(free_port(set())), encoding="ascii")
    return int(path.read_text(encoding="ascii"))


class Reservation:
    """A loopback port held until `release`, so that nobody else takes it between choosing it and serving there.

    Raises OSError when it is taken.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((LOOPBACK, port))
            self._socket.listen(1)  # a port that is only bound can be bound again with SO_REUSEADDR (socket(7))
        except OSError:
            self._socket.close()
            raise

    def release(self) -> None:
        """Free it now. Safe to call twice."""
        self._socket.close()


def serves(session: int, port: int) -> bool:
    """Whether a process of the session listens on the loopback port; True where this system will not tell."""
    try:
        return any(
            connection.status == psutil.CONN_LISTEN
            and connection.laddr[1:2] == (port,)
            and connection.pid is not None
            and os.getsid(connection.pid) == session
            for connection in psutil.net_connections(kind="tcp4")
        )
    except (psutil.AccessDenied, ProcessLookupError):
        return True


def listener(port: int) -> str:
    """Who listens on a port, in words, as far as this user may see it."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return "another process"
