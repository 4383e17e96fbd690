"""Pace: a vendor's rate, spread evenly, and a pause where the vendor asked for one.

The generic cell rate algorithm (ITU-T I.371) with waiting: each request reserves its moment, so that a burst goes out
at the vendor's rate and in its order of arrival. A vendor's whole budget is shared in `budget.py`. A bucket
starts empty (`semantics.md` 7).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.kernel.errors import Throttled

if TYPE_CHECKING:
    from gateway.kernel.clock import Clock


class Pace:
    """`rate` requests a second with `burst` at once; no rate means no pacing, only pauses."""

    def __init__(self, name: str, clock: Clock, *, rate: float | None, burst: int) -> None:
        self._name = name
        self._clock = clock
        self._interval = 1.0 / rate if rate else 0.0
        self._slack = self._interval * (burst - 1)
        # Empty, not full: a process that starts again and again must not spend its burst each time.
        self._next = clock.monotonic() + self._slack
        self._paused_until = 0.0

    def pause(self, seconds: float) -> None:
        """Send nothing for so long: the vendor said so (429, Retry-After)."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    async def turn(self, wait: float) -> None:
        """Wait for this request's moment; raises `Throttled` (code ``outbound.paced``) when that is beyond `wait`."""
        now = self._clock.monotonic()
        moment = max(now, self._next - self._slack, self._paused_until)
        if moment - now > wait:
            raise Throttled(
                f"{self._name} takes no more requests within {wait:.1f} s at its agreed rate: nothing was sent",
                code="outbound.paced",
                retry_after=moment - now,
            )
        self._next = max(self._next, moment) + self._interval
        if moment > now:
            await asyncio.sleep(moment - now)
