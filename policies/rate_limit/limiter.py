"""Charging units: mostly in process from units leased ahead, else in the shared store, else without it.

A lease takes units out of the shared GCRA bucket before they are used, so the workers together never admit more than
the bucket does, whatever each of them holds. Units that were not used within two seconds go back.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable
from typing import Final

from gateway.cache.valkey import Cache
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, Unavailable
from gateway.telemetry.counters import Counters
from policies.rate_limit.charge import Charge, Key
from policies.rate_limit.options import WhenStoreDown
from policies.rate_limit.quota import Quota
from policies.rate_limit.scripts import EXACT, FORGET, LEASE

_logger = logging.getLogger(__name__)
_LEASED_FOR: Final = 2.0
_LEAVE_ALONE: Final = 0.5
_BUSY: Final = 0.6
_QUIET: Final = 1.5
_MICRO: Final = 1_000_000


class Share:
    """What one worker holds of one bucket. Times are monotonic readings in seconds."""

    __slots__ = (
        "debt",
        "full_at",
        "lease",
        "leased_at",
        "local_full_at",
        "quota",
        "refilling",
        "refused_cost",
        "refused_until",
        "remote",
        "units",
        "until",
    )  # fmt: skip

    def __init__(self) -> None:
        self.units = 0
        self.until = 0.0
        self.debt = 0
        self.remote = 0
        self.full_at = 0.0
        self.lease = 1
        self.leased_at = 0.0
        self.refilling = False
        self.refused_until = 0.0
        self.refused_cost = 0
        self.quota: Quota | None = None
        self.local_full_at = 0.0


class Limiter:
    """Buckets by key (tenant, who, bucket). Refusals and outages are counted in `counters`."""

    def __init__(
        self, cache: Cache, clock: Clock, *, name: str, buckets: int, counters: Counters | None = None
    ) -> None:
        self._cache = cache
        self._monotonic = clock.monotonic
        self._name = name
        self._buckets = buckets
        self._shares: dict[Key, Share] = {}
        self._lease = cache.script(LEASE)
        self._count = cache.script(EXACT)
        self._forget = cache.script(FORGET)
        self._left_alone_until = 0.0
        self._instance = os.urandom(6).hex()
        self._numbers = itertools.count()
        self._background: set[asyncio.Task[None]] = set()
        self._outcomes = (counters or Counters()).counter(
            "crossdock_rate_limit_decisions_total", "Decisions of rate limits worth telling.", ("limit", "outcome")
        )

    def spend(self, key: Key, now: float) -> Share | None:
        """Take one unit of what is leased in plenty; None where `charge` has to look closer."""
        share = self._shares.get(key)
        if share is None or share.units <= share.lease >> 1 or now >= share.until:
            return None
        share.units -= 1
        return share

    def charge(
        self, key: Key, quota: Quota, cost: int, *, instead_of: Charge | None = None
    ) -> Charge | Awaitable[Charge]:
        """Take `cost` units, at once when they are leased. Raises `Unavailable` only for a quota that fails closed.

        `instead_of` is what an exact limit took for the first unit of the same call; it is given back in any case.
        """
        cost = quota.capped(cost)
        now = self._monotonic()
        if quota.exact:
            if self._is_down(now):
                return self._without_store(self._share(key), key, quota, cost, now)
            return self._charge_exact(key, quota, cost, instead_of)
        share = self._shares.get(key) or self._share(key)
        if share.units >= cost and now < share.until:
            share.units -= cost
            if share.units < share.lease >> 1 and not share.refilling:
                self._refill_soon(key, quota, share)
            return Charge(key, cost, True, share.units + share.remote, share.full_at - now)
        if now < share.refused_until and cost >= share.refused_cost and share.quota is quota:
            return self._refused(key, share, cost, now)
        if self._is_down(now):
            return self._without_store(share, key, quota, cost, now)
        return self._ask(key, quota, share, cost)

    def owe(self, key: Key, quota: Quota, cost: int) -> None:
        """Take `cost` more units from what comes next: for what turned out dearer than it looked."""
        share = self._share(key)
        share.debt = min(share.debt + cost - share.units, quota.burst)
        share.units = 0
        share.local_full_at = max(share.local_full_at, self._monotonic()) + cost * quota.local_interval

    def refund(self, charge: Charge, quota: Quota) -> None:
        """Give back what was charged for a call that was then refused."""
        share = self._share(charge.key)
        if charge.mode == WhenStoreDown.LOCAL_SHARE:
            share.local_full_at -= charge.cost * quota.local_interval
        elif charge.mode != "shared":
            return
        elif quota.exact:
            self._in_background(self._take_back(charge))
        else:
            share.units += charge.cost
            share.until = max(share.until, self._monotonic() + _LEASED_FOR)

    @property
    def mode(self) -> str:
        """``shared`` while the store counts, ``store_down`` while each limit does what it declares for that."""
        return "store_down" if self._is_down(self._monotonic()) else "shared"

    async def close(self) -> None:
        """Stop what runs in the background."""
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    def _share(self, key: Key) -> Share:
        share = self._shares.get(key)
        if share is None:
            if len(self._shares) >= self._buckets:
                del self._shares[next(iter(self._shares))]
            share = self._shares[key] = Share()
        return share

    def _is_down(self, now: float) -> bool:
        return now < self._left_alone_until or not self._cache.usable

    def _refused(self, key: Key, share: Share, cost: int, now: float) -> Charge:
        self._outcomes.add(self._name, "refused")
        return Charge(key, cost, False, share.units + share.remote, share.full_at - now, share.refused_until - now)

    async def _ask(self, key: Key, quota: Quota, share: Share, cost: int) -> Charge:
        """Lease enough for this call, and a little ahead for a busy caller; gives back what has gone stale."""
        now = self._monotonic()
        # Taken out while the store is asked: two who ask at once must not give the same units back twice.
        returned, share.units = share.units, 0
        debt, share.debt = share.debt, 0
        if share.quota is not quota:  # another configuration: units of another size are not given back
            if share.quota is not None and share.quota.interval != quota.interval:
                returned, share.lease = 0, min(share.lease, quota.largest_lease)
            share.quota = quota
        need = quota.capped(cost + debt)
        try:
            granted, wait = await self._take(
                key, quota, share, want=max(need, share.lease), need=need, returned=returned
            )
        except Unavailable:
            share.debt += debt
            now = self._monotonic()
            self._left_alone_until = now + _LEAVE_ALONE
            return self._without_store(share, key, quota, cost, now)
        now = self._monotonic()
        if not granted:
            share.debt += debt
            share.refused_until, share.refused_cost = now + wait, cost
            return self._refused(key, share, cost, now)
        share.units += granted - need
        return Charge(key, cost, True, share.units + share.remote, share.full_at - now)

    async def _take(
        self, key: Key, quota: Quota, share: Share, *, want: int, need: int, returned: int
    ) -> tuple[int, float]:
        micro = quota.interval * _MICRO
        granted, wait, remote, until_full = await self._lease(
            [self._cache.key("limit", self._name, *key)], [micro, micro * quota.burst, want, need, returned]
        )
        now = self._monotonic()
        share.remote, share.full_at = remote, now + until_full / _MICRO
        if granted:
            pause = now - share.leased_at
            if pause < _BUSY:
                share.lease = min(share.lease * 2, quota.largest_lease)
            elif pause > _QUIET:
                share.lease = max(1, share.lease // 2)
            share.leased_at, share.until = now, now + _LEASED_FOR
            share.refused_until = 0.0
        return granted, wait / _MICRO

    def _refill_soon(self, key: Key, quota: Quota, share: Share) -> None:
        if not self._is_down(self._monotonic()):
            share.refilling = True
            self._in_background(self._refill(key, quota, share))

    async def _refill(self, key: Key, quota: Quota, share: Share) -> None:
        try:
            granted, _ = await self._take(key, quota, share, want=share.lease, need=1, returned=0)
            share.units += granted
        except Unavailable:
            self._left_alone_until = self._monotonic() + _LEAVE_ALONE
        finally:
            share.refilling = False

    async def _charge_exact(self, key: Key, quota: Quota, cost: int, instead_of: Charge | None) -> Charge:
        entry = f"{self._instance}{next(self._numbers)}"
        before: list[str | float] = [instead_of.entry, instead_of.cost] if instead_of is not None else []
        try:
            allowed, remaining, leaves = await self._count(
                self._exact_keys(key), [quota.count, quota.window * _MICRO, cost, entry, *before]
            )
        except Unavailable:
            now = self._monotonic()
            self._left_alone_until = now + _LEAVE_ALONE
            return self._without_store(self._share(key), key, quota, cost, now)
        reset = leaves / _MICRO
        if not allowed:
            self._outcomes.add(self._name, "refused")
        return Charge(key, cost, bool(allowed), remaining, reset, 0.0 if allowed else reset, entry=entry)

    async def _take_back(self, charge: Charge) -> None:
        await self._forget(self._exact_keys(charge.key), [charge.entry, charge.cost])

    def _exact_keys(self, key: Key) -> list[str]:
        log = self._cache.key("limit", self._name, *key, "log")
        return [f"{{{log}}}", f"{{{log}}}:sum"]

    def _without_store(self, share: Share, key: Key, quota: Quota, cost: int, now: float) -> Charge:
        """Our own outage is never answered with 429 beyond what this worker itself let through."""
        way = quota.when_store_down
        self._outcomes.add(self._name, f"store_down_{way}")
        if way is WhenStoreDown.CLOSED:
            raise Unavailable("limits cannot be counted at the moment: try again", code="rate_limit.store_down")
        if way is WhenStoreDown.OPEN:
            return Charge(key, cost, True, quota.burst, 0.0, mode=way.value)
        cost = min(cost, quota.local_burst)
        full_at = max(share.local_full_at, now) + cost * quota.local_interval
        tolerance = quota.local_burst * quota.local_interval
        wait = full_at - now - tolerance
        if wait > 1e-9:  # noqa: PLR2004 - rounding of the readings, in seconds
            self._outcomes.add(self._name, "refused")
            return Charge(key, cost, False, 0, share.local_full_at - now, wait, mode=way.value)
        share.local_full_at = full_at
        return Charge(key, cost, True, -wait // quota.local_interval, full_at - now, mode=way.value)

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(self._quietly(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _quietly(self, work: Awaitable[None]) -> None:
        try:
            await work
        except CrossdockError as error:
            _logger.debug("%s: %s", self._name, error.detail)
