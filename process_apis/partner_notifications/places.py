"""How many streams a partner has open, on all workers: places in the cache that lapse unless they are renewed.

While the cache is down each worker counts its own; a place that its worker died with is free again within the minute.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from gateway.cache.valkey import Cache
from gateway.kernel.context import Principal
from gateway.kernel.errors import Throttled, Unavailable

LAPSE_SECONDS: Final = 45.0
# One member per stream, scored by when it lapses. -> 1 when the stream has its place.
_TAKE: Final = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
    return 0
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[3]))
return 1
"""


class Places:
    """Takes, renews and gives back."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._take = cache.script(_TAKE)
        self._here: Counter[str] = Counter()

    async def take(self, principal: Principal, stream: str, *, limit: int) -> None:
        """A place for a new stream; raises `Throttled` (code ``events.too_many_streams``)."""
        key = self._key(principal)
        try:
            taken = await self._take([key], [stream, limit, LAPSE_SECONDS])
        except Unavailable:
            taken = self._here[key] < limit
        if not taken:
            raise Throttled(
                f"your plan allows {limit} open streams at once: close one, or read several things over one stream",
                code="events.too_many_streams",
                retry_after=LAPSE_SECONDS,
            )

    def entered(self, principal: Principal) -> None:
        """The stream with a place has begun."""
        self._here[self._key(principal)] += 1

    async def renew(self, principal: Principal, stream: str) -> None:
        """Keep the place, whatever the plan has become; nothing while the cache is down."""
        try:
            await self._take([self._key(principal)], [stream, 1 << 30, LAPSE_SECONDS])
        except Unavailable:
            return

    async def leave(self, principal: Principal, stream: str) -> None:
        """Give the place back."""
        key = self._key(principal)
        self._here[key] -= 1
        if self._here[key] <= 0:
            del self._here[key]
        try:
            await self._cache.command("ZREM", key, stream)
        except Unavailable:
            return

    def _key(self, principal: Principal) -> str:
        return self._cache.key("streams", principal.tenant, principal.partner or principal.subject)
