"""What the server's main thread sleeps on: a pipe, which signals write to as well.

A `threading.Event` is not enough: the kernel may hand a signal to any thread, and Python's handler then waits for the
main thread, which nothing has woken from its lock; and a handler that sets an event may do so while its own thread
holds the event's lock.
"""

from __future__ import annotations

import select
import signal
import socket
from contextlib import suppress


class Wake:
    """As `threading.Event`, for one waiting thread: the main one."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._set = False

    def heed_signals(self) -> None:
        """Let signals wake from now on; to be called in the main thread."""
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)

    def set(self) -> None:
        """Wake the waiting thread, or spare it its next sleep."""
        self._set = True
        with suppress(BlockingIOError):  # it is full of earlier wake-ups
            self._write.send(b"\0")

    def is_set(self) -> bool:
        """Whether `set` was called since the last `clear`."""
        return self._set

    def clear(self) -> None:
        """Sleep again at the next `wait`."""
        self._set = False
        with suppress(BlockingIOError):
            while self._read.recv(4096):
                pass

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until a wake-up, a signal or the timeout (seconds)."""
        select.select([self._read], [], [], timeout)
        return self._set
