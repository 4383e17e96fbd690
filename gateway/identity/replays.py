"""What may be used once within a few minutes (DPoP proofs), remembered by all workers together.

Valkey remembers for all; each worker remembers its own as well. While Valkey is down a proof can be used once per
worker within its window of a minute: the bound is published, and a nonce does not change it.
"""

from __future__ import annotations

from typing import Final

from gateway.cache.valkey import Cache
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError

_MOST: Final = 100_000


class Replays:
    """Digests seen lately. When the worker's own memory is full, its oldest go first."""

    def __init__(self, clock: Clock, cache: Cache | None, *, seconds: float, size: int = _MOST) -> None:
        self._monotonic = clock.monotonic
        self._cache = cache
        self._seconds = seconds
        self._size = size
        self._seen: dict[bytes, float] = {}

    async def is_first(self, digest: bytes) -> bool:
        """True the first time only. Never waits longer than the cache's own timeout."""
        if not self._first_here(digest):
            return False
        if self._cache is None:
            return True
        try:
            key = self._cache.key("once", digest.hex())
            return await self._cache.command("SET", key, "1", "NX", "PX", int(self._seconds * 1000)) is not None
        except CrossdockError:
            return True

    def _first_here(self, digest: bytes) -> bool:
        now = self._monotonic()
        while self._seen:  # entries stand in the order of their time
            oldest = next(iter(self._seen))
            if self._seen[oldest] > now and len(self._seen) < self._size:
                break
            del self._seen[oldest]
        if digest in self._seen:
            return False
        self._seen[digest] = now + self._seconds
        return True
