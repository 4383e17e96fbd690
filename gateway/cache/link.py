"""One connection to Valkey, pipelined by itself: what is asked within one turn of the event loop leaves in one write.

Replies come in the order of the commands (RESP2), so a queue of futures is all the bookkeeping there is. One timer
watches the oldest of them: when it is late the link counts as stalled and refuses new calls at once, and when it
stays silent the connection is given up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

import hiredis

from gateway.kernel.errors import BrokenUpstream, CrossdockError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

UNAVAILABLE: Final = "cache.unavailable"
_SILENT_AFTER: Final = 4  # timeouts without a byte before the connection is given up
_GRACE_S: Final = 0.02  # a loop that was held up reads what has arrived before anything counts as late
_LATER: Final = (
    "LOADING",
    "BUSY",
    "MASTERDOWN",
    "OOM",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "NOREPLICAS",
    "MISCONF",
)


class ScriptMissing(CrossdockError):
    """EVALSHA named a script this server has not seen: it was not run."""

    default_code = "cache.script_missing"


class Link(asyncio.Protocol):
    """The protocol of one connection. `lost` is called once, when it is gone."""

    def __init__(self, *, timeout: float, limit: int, lost: Callable[[Link], None]) -> None:
        self._timeout = timeout
        self._limit = limit
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stalled = False
        self._open = False

    @property
    def usable(self) -> bool:
        """Connected and answering in time."""
        return self._open and not self._stalled

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop hands over the connected transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._open = True

    def call(self, parts: tuple[bytes | str | float, ...]) -> asyncio.Future[Any]:
        """Queue one command; the future holds its reply. Raises `Unavailable` when nothing can be queued."""
        if not self._open or self._stalled:
            raise Unavailable("the cache does not answer; go on without it", code=UNAVAILABLE)
        if len(self._waiting) >= self._limit:
            raise Unavailable("too many commands wait for the cache; go on without it", code=UNAVAILABLE)
        packed = hiredis.pack_command(parts)  # type: ignore[arg-type]  # its stub takes a tuple of one
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((future, self._loop.time()))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._check, False)
        return future

    def abort(self) -> None:
        """Drop the connection at once; whoever waits gets `Unavailable`."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        data = b"".join(self._unsent)
        self._unsent.clear()
        if self._open and self._transport is not None:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Give each whole reply to the oldest call that waits."""
        self._reader.feed(data)
        self._stalled = False
        try:
            while (reply := self._reader.gets()) is not False:
                future, _ = self._waiting.popleft()
                if isinstance(reply, hiredis.ReplyError):
                    self._refuse(future, str(reply))
                elif not future.done():
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError):
            self.abort()

    def _refuse(self, future: asyncio.Future[Any], message: str) -> None:
        if message.startswith("READONLY"):  # we talk to a replica since a fail-over: connect anew
            self.abort()
        if not future.done():
            future.set_exception(error_of(message))

    def _check(self, late: bool) -> None:
        self._timer = None
        if not self._waiting:
            return
        now = self._loop.time()
        due = self._waiting[0][1] + self._timeout
        if now < due:
            self._timer = self._loop.call_later(due - now, self._check, False)
        elif not late:
            self._timer = self._loop.call_later(_GRACE_S, self._check, True)
        elif now - due > self._timeout * (_SILENT_AFTER - 1):
            self.abort()
        else:
            self._stall(now)

    def _stall(self, now: float) -> None:
        self._stalled = True
        for future, asked in self._waiting:
            if now - asked >= self._timeout and not future.done():
                future.set_exception(Unavailable("the cache did not answer in time", code=UNAVAILABLE))
        self._timer = self._loop.call_later(self._timeout / 4, self._check, True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own signature
        """Fail whoever waits, and tell the owner."""
        self._open = False
        if self._timer is not None:
            self._timer.cancel()
        for future, _ in self._waiting:
            if not future.done():
                future.set_exception(Unavailable("the connection to the cache was lost", code=UNAVAILABLE))
        self._waiting.clear()
        self._lost(self)


def error_of(message: str) -> CrossdockError:
    """An error reply of Valkey, as one of our errors."""
    word = message.partition(" ")[0]
    if word == "NOSCRIPT":
        return ScriptMissing(message)
    if word in _LATER or word == "READONLY":
        return Unavailable(f"the cache refuses for now ({word}); go on without it", code=UNAVAILABLE)
    if word in ("MOVED", "ASK", "CROSSSLOT"):
        return BrokenUpstream("the cache is a cluster: give the URL of one primary instead", code="cache.cluster")
    return BrokenUpstream(f"the cache refuses a command of ours: {message}", code="cache.error_reply")
