"""How late news is: counted by location and minute, in slots of lags less than a tenth apart.

From what happened to our record it is counted from the ledger, by whichever worker's turn it is: nothing is asked of
whoever records. From there to the figures that channels read, by who writes those.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from gateway.kernel.clock import Clock
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__, "regions_queries.sql")
_SHORTEST_S: Final = 0.001
_RATIO: Final = 1.1
_LAST_SLOT: Final = 300
_KEPT: Final = timedelta(days=1)
_CAUGHT_UP: Final = timedelta(hours=1)
_SLOWEST_COMMIT: Final = timedelta(seconds=10)

_Key = tuple[str, str, datetime, int]


class Lag(Struct, frozen=True):
    """Of so many `news`: half were at most `p50` seconds late, 99 of 100 at most `p99`; None where there was none."""

    news: int = 0
    p50: float | None = None
    p99: float | None = None


def slot_of(seconds: float) -> int:
    """The slot of a lag; what is shorter than a millisecond, or negative by a skewed clock, is in the first."""
    return min(_LAST_SLOT, int(math.log(max(seconds, _SHORTEST_S) / _SHORTEST_S) / math.log(_RATIO)))


def lag_of(slots: Mapping[int, int]) -> Lag:
    """Quantiles of what was counted, each within a twentieth."""
    news = sum(slots.values())
    return Lag(news, _quantile(slots, news, 0.5), _quantile(slots, news, 0.99)) if news else Lag()


def _quantile(slots: Mapping[int, int], news: int, part: float) -> float:
    rank, seen = max(1, math.ceil(news * part)), 0
    for slot in sorted(slots):
        seen += slots[slot]
        if seen >= rank:
            return float(f"{_SHORTEST_S * _RATIO ** (slot + 0.5):.4g}")
    raise AssertionError  # `news` is the sum of `slots`


class Lags:
    """Counts. `published` costs a look into a dictionary; `keep` writes, and belongs to one task of each worker."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._published: Counter[_Key] = Counter()

    def published(self, tenant: str, location: str, recorded_at: datetime) -> None:
        """A change that was recorded then is in the figures now."""
        now = self._clock.now()
        slot = slot_of((now - recorded_at).total_seconds())
        self._published[tenant, location, now.replace(second=0, microsecond=0), slot] += 1

    async def keep(self) -> None:
        """Write what was counted since, and count from the ledger unless another worker is at it."""
        await self._keep_published()
        async with self._store.transaction() as connection:
            if not await connection.fetchval(_sql.take_turn):
                return
            now = self._clock.now()
            until: datetime | None = await connection.fetchval(_sql.measured_until)
            since = max(min(until or now - _CAUGHT_UP, now - _SLOWEST_COMMIT), now - _CAUGHT_UP)
            await connection.execute(_sql.measure_recorded, since.replace(second=0, microsecond=0), _SHORTEST_S, _RATIO)
            await connection.execute(_sql.forget_lags, now - _KEPT)

    async def _keep_published(self) -> None:
        counted, self._published = self._published, Counter()
        if not counted:
            return
        keys = sorted(counted)
        columns = [list(column) for column in zip(*keys, strict=True)]
        try:
            await self._store.execute(_sql.add_published, *columns, [counted[key] for key in keys])
        except BaseException:
            self._published.update(counted)
            raise
