"""A vendor's budget, shared by all processes: each request takes its moment from one bucket in the cache.

The generic cell rate algorithm again (`pace.py`), with its one figure in Valkey and Valkey's clock: whoever asks is
told how long to wait, and the moment is taken. A bucket that is not there (a wiped cache, a new vendor) is empty, not
full (`semantics.md` 7), and a pause that a vendor asked of one process holds back all.

While the cache is down, by choice: `local_share`, each process its part of the rate, or `closed`, nothing is sent.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Final, Protocol

from gateway.cache.valkey import Cache
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Throttled, Unavailable
from gateway.outbound.pace import Pace

_MICRO: Final = 1_000_000
_KEPT_S: Final = 86_400
_LEAVE_ALONE: Final = 0.5
# KEYS: bucket, pause. ARGV, in µs: interval, slack (interval * (burst - 1)), longest wait.
# Answers {1, wait} when a moment was taken, {0, wait} when it would have been too late.
_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, slack, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = tonumber(redis.call('GET', KEYS[1]) or now + slack + interval)
local paused = tonumber(redis.call('GET', KEYS[2]) or 0)
local moment = math.max(now, full_at - slack, paused)
if moment - now > longest then
  redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'EX', ARGV[4])
  return {0, string.format('%.0f', moment - now)}
end
redis.call('SET', KEYS[1], string.format('%.0f', math.max(full_at, moment) + interval), 'EX', ARGV[4])
return {1, string.format('%.0f', moment - now)}
"""
# KEYS: pause. ARGV: µs. Of two pauses the longer one holds.
_PAUSE: Final = """
local time = redis.call('TIME')
local till = time[1] * 1000000 + time[2] + ARGV[1]
if till > tonumber(redis.call('GET', KEYS[1]) or 0) then
  redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', math.ceil(ARGV[1] / 1000))
end
"""


class WhenCacheDown(StrEnum):
    """LOCAL_SHARE gives each process its part of the rate; CLOSED sends nothing."""

    LOCAL_SHARE = "local_share"
    CLOSED = "closed"


class Paces(Protocol):
    """When a request may leave; see `Pace`."""

    def pause(self, seconds: float) -> None:
        """Send nothing for so long."""
        ...

    async def turn(self, wait: float) -> None:
        """Wait for this request's moment, at most so long."""
        ...


class Budgets:
    """Makes the paces of one process; `processes` is how many there are in all, which share what is local."""

    def __init__(self, cache: Cache, clock: Clock, *, processes: int) -> None:
        self._cache = cache
        self._clock = clock
        self._processes = processes

    def pace(self, name: str, *, rate: float, burst: int, down: WhenCacheDown) -> Paces:
        """The budget of the vendor behind `name`: `rate` requests a second over all processes, `burst` at once."""
        return SharedPace(name, self._cache, self._clock, rate=rate, burst=burst, processes=self._processes, down=down)


class SharedPace:
    """One vendor's budget as one process sees it."""

    def __init__(
        self,
        name: str,
        cache: Cache,
        clock: Clock,
        *,
        rate: float,
        burst: int,
        processes: int,
        down: WhenCacheDown,
    ) -> None:
        self._name = name
        self._cache = cache
        self._clock = clock
        self._down = down
        self._keys = cache.key("budget", name), cache.key("budget-pause", name)
        self._interval = _MICRO / rate
        self._slack = self._interval * (burst - 1)
        self._take, self._pause = cache.script(_TAKE), cache.script(_PAUSE)
        self._local = Pace(name, clock, rate=rate / processes, burst=max(1, burst // processes))
        self._silent_until = float("-inf")
        self._telling: set[asyncio.Task[None]] = set()

    def pause(self, seconds: float) -> None:
        """Send nothing for so long, in no process: the vendor said so (429, Retry-After)."""
        self._local.pause(seconds)
        task = asyncio.get_running_loop().create_task(self._tell(seconds), name=f"pause-{self._name}")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def turn(self, wait: float) -> None:
        """Wait for this request's moment; raises `Throttled` (code ``outbound.paced``) when that is beyond `wait`.

        `Unavailable` (``outbound.budget_down``): the cache is down, and this budget is then closed.
        """
        if self._clock.monotonic() < self._silent_until:
            await self._without(wait)
            return
        try:
            taken, micro = await self._take(
                self._keys, (round(self._interval), round(self._slack), round(wait * _MICRO), _KEPT_S)
            )
        except Unavailable:
            self._silent_until = self._clock.monotonic() + _LEAVE_ALONE
            await self._without(wait)
            return
        seconds = int(micro) / _MICRO
        if not int(taken):
            raise Throttled(
                f"{self._name} takes no more requests within {wait:.1f} s at its agreed rate: nothing was sent",
                code="outbound.paced",
                retry_after=seconds,
            )
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def _without(self, wait: float) -> None:
        if self._down is WhenCacheDown.CLOSED:
            raise Unavailable(
                f"the budget of {self._name} cannot be shared while the cache is down: nothing was sent, try again",
                code="outbound.budget_down",
                retry_after=_LEAVE_ALONE,
            )
        await self._local.turn(wait)

    async def _tell(self, seconds: float) -> None:
        try:
            await self._pause(self._keys[1:], (round(seconds * _MICRO),))
        except Unavailable:
            return  # the others ask the vendor themselves
