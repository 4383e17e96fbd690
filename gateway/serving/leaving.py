"""How a worker leaves its port to the others: it stops accepting, and knows who is still connected.

granian stops accepting and closes idle connections in one step, at SIGTERM; a connection accepted a moment before would
be closed unanswered. So the listening socket is taken from under it beforehand.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

_OPEN_FILES = Path("/dev/fd")


def stop_accepting(port: int) -> int:
    """Put sockets that nobody can reach in the place of those listening on the TCP `port`; returns how many.

    Whoever waits in the queue is taken by the other processes that share it. The server goes on waiting at a queue
    that stays empty (`dup2` changes what its descriptor means), so it needs no word of this.
    """
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as deaf:
        deaf.setblocking(False)  # of the open file, not the descriptor: the server must never hang in accept(2)
        deaf.bind(f"{folder}/deaf")
        deaf.listen(1)
        ours = [number for number, listens in _sockets(port) if listens]
        for number in ours:
            os.dup2(deaf.fileno(), number, inheritable=False)
    return len(ours)


def connections(port: int) -> int:
    """How many clients are connected to the TCP `port` through this process."""
    return sum(not listens for _, listens in _sockets(port))


def _sockets(port: int) -> Iterator[tuple[int, bool]]:
    """Descriptors of TCP sockets at `port`, and whether each listens."""
    for number in sorted(int(path.name) for path in _OPEN_FILES.iterdir()):
        with suppress(OSError), _borrowed(number) as found:
            if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
                listens = bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                if found.getsockname()[1] == port:
                    yield number, listens


@contextmanager
def _borrowed(number: int) -> Iterator[socket.socket]:
    """The socket that a descriptor stands for, through a copy; raises OSError when it is none."""
    copy = os.dup(number)
    try:
        found = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with found:
        yield found
