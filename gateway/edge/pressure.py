"""How much a client lets us send. The server takes whatever it is given and keeps it in memory: only the kernel knows.

A stream that is written faster than it is read would fill the worker. So whoever writes one waits here while the kernel
has something that the client leaves no room for (Linux tells: `tcp(7)`, TCP_INFO; elsewhere nothing is waited for).
What is on its way does not count, so a long line is used whole.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.kernel.errors import CrossdockError

# linux/tcp.h: struct tcp_info, tcpi_notsent_bytes (Linux 4.6)
_INFO_BYTES: Final = 192
_UNSENT_AT: Final = 144
_LOOK_EVERY_BYTES: Final = 131_072
_UNSENT_BYTES: Final = 4_096  # below the smallest send buffer there is
_FIRST_PAUSE_SECONDS: Final = 0.002
_LONGEST_PAUSE_SECONDS: Final = 0.05
_STALLED_SECONDS: Final = 60.0
_OPEN_FILES: Final = Path("/proc/self/fd")


class Pressure:
    """Of one response. Call `passed` after each part."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        host, port = scope.get("client") or ("", 0)
        self._client = (host, int(port))  # granian gives the port as text
        self._since_look = 0
        self._number: int | None = None

    async def passed(self, size: int) -> None:
        """Wait while the client has too much to read; raises when it has read nothing for a minute."""
        self._since_look += size
        if self._since_look < _LOOK_EVERY_BYTES:
            return
        self._since_look = 0
        await asyncio.sleep(0)  # the server's own thread writes what it was given
        waited, pause = 0.0, _FIRST_PAUSE_SECONDS
        while self._unsent() > _UNSENT_BYTES:
            if waited > _STALLED_SECONDS:
                raise CrossdockError("the client does not read", code="stream.stalled")
            await asyncio.sleep(pause)
            waited, pause = waited + pause, min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _unsent(self) -> int:
        if sys.platform != "linux":
            return 0
        numbers = iter((self._number,)) if self._number is not None else iter(())
        for number in (*numbers, *_descriptors()):
            unsent = _unsent_on(number, self._client)
            if unsent is not None:
                self._number = number
                return unsent
        return 0


def _descriptors() -> Iterator[int]:
    return (int(path.name) for path in _OPEN_FILES.iterdir())


def _unsent_on(number: int, peer: tuple[Any, ...]) -> int | None:
    """What waits on this descriptor; None where it is no connection with `peer`."""
    try:
        copy = os.dup(number)
    except OSError:
        return None
    try:
        connection = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None
    with connection:
        try:
            if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getpeername()[:2] != peer:
                return None
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        except OSError:
            return None
        return int.from_bytes(info[_UNSENT_AT : _UNSENT_AT + 4], sys.byteorder)
