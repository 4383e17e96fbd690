"""One line per request, written behind it, and the counters of the door.

Lines are gathered and written together a few times a second: a line costs the request a tuple in a list. What is
logged holds no header, query or body, so it holds no secret.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from itertools import accumulate
from typing import Final

import msgspec

from gateway.kernel.background import background
from gateway.kernel.clock import Clock
from gateway.kernel.exchange import Exchange
from gateway.telemetry.access_line import AccessLine
from gateway.telemetry.counters import CountedElsewhere, Counters

_EVERY: Final = 0.25
# Few enough that they are still in the processor's cache, and that nobody waits for their encoding.
_PACKED_AT_ONCE: Final = 64
_MOST_PACKED: Final = 800  # batches of lines
_LAST_SUCCESS: Final = 299
_BOUNDS: Final[tuple[float, ...]] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_LABELS: Final = (*map(str, _BOUNDS), "+Inf")


class _Cell:
    """The requests of one operation that were answered with one status. `within` counts them by the bound they kept."""

    __slots__ = ("requests", "seconds", "within")

    def __init__(self) -> None:
        self.requests = 0
        self.seconds = 0.0
        self.within: Final = [0] * len(_LABELS)


class AccessLog:
    """What the front door's `observe` is given. `write` takes lines of JSON; None counts without logging.

    `keep` is told of every exchange that somebody may ask about: all but reads that went well and were not sampled.
    """

    def __init__(
        self,
        counters: Counters,
        clock: Clock,
        write: Callable[[str], object] | None = None,
        keep: Callable[[Exchange, float], object] | None = None,
    ) -> None:
        self._clock = clock
        self._keep = keep
        self._write = write
        self._lines: list[tuple[float, str, str, int, float, str, str, str]] = []
        self._packed: list[bytes] = []
        self._encode = msgspec.json.Encoder().encode_lines
        self._cells: dict[tuple[str, int], _Cell] = {}
        self._lost = counters.counter("crossdock_access_lines_lost_total", "Access lines that could not be written.")
        for name, help_text, read in (
            ("crossdock_http_requests_total", "Requests by operation and status.", self._requests),
            ("crossdock_http_request_seconds_total", "Seconds spent on requests.", self._seconds),
            ("crossdock_http_requests_within_total", "Requests by the bound in seconds they kept.", self._within),
        ):
            counters.show(CountedElsewhere(name, help_text, read))

    def __call__(self, exchange: Exchange, seconds: float) -> None:
        """Count one finished exchange and keep its line."""
        asked, reply, principal = exchange.route, exchange.reply, exchange.principal
        route = asked.id if asked is not None else "refused early"
        status = reply.status if reply is not None else 499
        if (status > _LAST_SUCCESS or exchange.decisions is not None) and self._keep is not None:
            self._keep(exchange, seconds)
        who = principal.subject if principal is not None else ""
        ended = exchange.arrived + seconds
        lines = self._lines
        lines.append((ended, exchange.method, route, status, seconds, who, exchange.peer, exchange.request_id))
        if len(lines) >= _PACKED_AT_ONCE:
            self._pack()

    def _counted(self) -> list[tuple[tuple[str, int], _Cell]]:
        self._pack()
        return list(self._cells.items())

    def _requests(self) -> Iterator[tuple[dict[str, str], float]]:
        for (route, status), cell in self._counted():
            yield {"route": route, "status": str(status)}, cell.requests

    def _seconds(self) -> Iterator[tuple[dict[str, str], float]]:
        for (route, status), cell in self._counted():
            yield {"route": route, "status": str(status)}, cell.seconds

    def _within(self) -> Iterator[tuple[dict[str, str], float]]:
        for (route, status), cell in self._counted():
            for bound, count in zip(_LABELS, accumulate(cell.within), strict=True):
                yield {"route": route, "status": str(status), "le": bound}, count

    def flush(self) -> None:
        """Write what is waiting."""
        self._pack()
        packed, self._packed = self._packed, []
        if packed and self._write is not None:
            self._write(b"".join(packed).decode())

    def _pack(self) -> None:
        """Count the lines that are waiting and encode them: together, because one by one they cost more."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        logged = self._write is not None and len(self._packed) < _MOST_PACKED
        told: list[AccessLine] = []
        epoch = self._clock.now().timestamp() - self._clock.monotonic()
        last, at = -1, _NEVER
        for ended, method, route, status, seconds, who, peer, request_id in lines:
            cell = self._cells.get((route, status))
            if cell is None:
                cell = self._cells[route, status] = _Cell()
            cell.requests += 1
            cell.seconds += seconds
            cell.within[bisect_left(_BOUNDS, seconds)] += 1
            if logged:
                milliseconds = int(ended * 1000)
                if milliseconds != last:  # one instant is made for all lines of its millisecond
                    last, at = milliseconds, datetime.fromtimestamp(epoch + milliseconds / 1000, UTC)
                told.append(AccessLine(at, method[:16], route, status, seconds, who, peer, request_id))
        if logged:
            self._packed.append(self._encode(told))
        elif self._write is not None:
            self._lost.add(amount=len(lines))

    def writing(self) -> AbstractAsyncContextManager[object]:
        """Write four times a second inside the block, and once at its end."""
        return background(self._run(), name="access-log", afterwards=self.flush)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            self.flush()
