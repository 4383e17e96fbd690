"""The line between the server and one worker: a socket pair, questions one way, answers the other.

Both directions carry one JSON object a line: ``{"id": 7, "ask": "metrics"}`` and ``{"id": 7, "told": …}``. A socket
pair needs no path, no port and no permission, and ends with the process at its other end.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.kernel.background import background
from gateway.kernel.errors import CrossdockError

_log: Final = logging.getLogger("crossdock.line")
# Ten thousand series of a counter are about a megabyte.
_LONGEST: Final = 64 * 1024 * 1024
_AT_ONCE: Final = 65_536
Answer = Callable[[], Awaitable[Any]]


class _Question(Struct, frozen=True):
    id: int
    ask: str


class _Told(Struct, frozen=True):
    id: int
    told: msgspec.Raw = msgspec.Raw(b"null")


@asynccontextmanager
async def answering(line: socket.socket, answers: Mapping[str, Answer]) -> AsyncIterator[None]:
    """The worker's end: answer inside the block. What is not understood, or fails, is answered with null."""
    reader, writer = await asyncio.open_unix_connection(sock=line)

    async def answer() -> None:
        try:
            while question := await reader.readline():
                asked = msgspec.json.decode(question, type=_Question)
                told = await _answer(answers, asked.ask)
                writer.write(msgspec.json.encode({"id": asked.id, "told": told}) + b"\n")
                await writer.drain()
        except (OSError, msgspec.MsgspecError):
            _log.exception("the line to the server broke: it learns nothing of this worker any more")

    try:
        async with background(answer(), name="server-line"):
            yield
    finally:
        writer.close()


async def _answer(answers: Mapping[str, Answer], asked: str) -> Any:
    try:
        return await answers[asked]()
    except CrossdockError:  # an answer as well: not ready
        return None
    except Exception:  # noqa: BLE001 - the server goes on without this answer; it must not lose the line
        _log.exception("the server asked for %s in vain", asked)
        return None


class Line:
    """The server's end. One thread asks at a time; others wait for it."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket = ours
        self._lock = threading.Lock()
        self._number = 0
        self._unread = b""

    def ask(self, question: str, *, seconds: float) -> bytes | None:
        """The answer as JSON; None when none came in time, or when the worker is gone."""
        end = time.monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            return None
        try:
            self._number += 1
            self._socket.settimeout(seconds)
            self._socket.sendall(msgspec.json.encode(_Question(self._number, question)) + b"\n")
            while True:
                told = msgspec.json.decode(self._read_line(end), type=_Told)
                if told.id == self._number:  # else it is the answer to one who did not wait for it
                    answer = bytes(told.told)
                    return None if answer == b"null" else answer
        except (OSError, msgspec.MsgspecError):
            return None
        finally:
            self._lock.release()

    def _read_line(self, end: float) -> bytes:
        while b"\n" not in self._unread:
            left = end - time.monotonic()
            if left <= 0 or len(self._unread) > _LONGEST:
                raise TimeoutError
            self._socket.settimeout(left)
            received = self._socket.recv(_AT_ONCE)
            if not received:
                raise ConnectionResetError
            self._unread += received
        line, self._unread = self._unread.split(b"\n", 1)
        return line

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
