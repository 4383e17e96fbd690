"""How long what happened is kept, and from when on questions about the past are answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from gateway.kernel.clock import Clock
from gateway.kernel.errors import Misconfigured, NotFound, Unavailable
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.condensing import LINES, begin, condense_next
from process_apis.availability.partitions import Span, drop_through, last_end, make_ahead, spans

_sql: Final = queries_beside(__file__, "history_queries.sql")
_LEAST_DAYS: Final = 14
_ONCE_CHUNK: Final = 5_000
_MOST_STEPS: Final = 64
_log: Final = logging.getLogger(__name__)


class HistoryOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many days each kind of knowledge is kept, at least.

    `movement_days`: what happened longer ago and is told only now goes to the exceptions. `history_days`: questions
    about the past reach so far back, a span of one to three months longer; before that, what happened is condensed.
    `once_days`: an event that comes again is known as a duplicate.
    """

    movement_days: int = 60
    history_days: int = 400
    once_days: int = 400

    def __post_init__(self) -> None:
        if not _LEAST_DAYS <= self.movement_days <= min(self.history_days, self.once_days):
            raise Misconfigured(
                f"history: needs {_LEAST_DAYS} <= movement_days <= history_days and once_days, or what is told late"
                " could not be told from what is known"
            )

    @property
    def late(self) -> timedelta:
        """What happened longer ago is told too late."""
        return timedelta(days=self.movement_days)

    @property
    def kept(self) -> timedelta:
        """So far back questions are answered."""
        return timedelta(days=self.history_days)


class Reach(Struct, frozen=True, kw_only=True):
    """How far back questions are answered (`since`; None: to the first report), and what history lies in.

    `condensing`: what is older is being condensed, the last step at `moved_at`.
    """

    since: datetime | None
    condensing: bool
    moved_at: datetime | None
    spans: Sequence[Span]


class History:
    """Keeps to the options, a turn at a time."""

    def __init__(self, store: Store, options: HistoryOptions, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.options = options

    async def check(self, tenant: str, instant: datetime) -> None:
        """Raise `NotFound` (code ``stock.history_gone``, 410) where history does not reach back to `instant`.

        Asked after what it guards was read: nothing of an instant is condensed before history is said to begin later.
        """
        row = await self._store.fetchrow(_sql.reach, tenant)
        if row is not None and instant < row["since"]:
            raise NotFound(
                f"what was at {instant:%Y-%m-%dT%H:%M:%SZ} is kept no longer: history reaches back to"
                f" {row['since']:%Y-%m-%dT%H:%M:%SZ}, ask for that or later",
                code="stock.history_gone",
                context={"since": row["since"].isoformat()},
            )

    async def make_room(self) -> None:
        """Make the spans that a worker should have made, and say so: whoever records cannot go on without."""
        made = await make_ahead(self._store, self._clock.now(), self.options.kept)
        _log.warning("recording made %d spans of history itself: has no worker run for a month?", made)

    async def turn(self, tenant: str, stop: asyncio.Event | None = None) -> None:
        """Make spans ahead, condense and drop what is through; run it every minute or so in a worker.

        Whoever comes while another process is at it goes on without. A turn that is cut short is taken up by the next.
        """
        now = self._clock.now()
        await make_ahead(self._store, now, self.options.kept)
        await drop_through(self._store, now)
        since = await last_end(self._store, now - self.options.kept)
        if since is not None:
            await begin(self._store, tenant, since)
        await self._condense(tenant, stop)
        await self._forget_once(tenant, now, stop)

    async def _condense(self, tenant: str, stop: asyncio.Event | None) -> None:
        """All that is to be; fewer lines at once, then less of a line, where the record says it is too much."""
        lines, steps = LINES, 1
        while not (stop is not None and stop.is_set()):
            try:
                if not await condense_next(self._store, tenant, lines, steps):
                    return
            except Unavailable:
                if steps == _MOST_STEPS:
                    raise
                lines, steps = (max(1, lines // 4), 1) if lines > 1 else (1, steps * 4)

    async def _forget_once(self, tenant: str, now: datetime, stop: asyncio.Event | None) -> None:
        before = now - timedelta(days=self.options.once_days)
        while not (stop is not None and stop.is_set()):
            tag = await self._store.execute(_sql.forget_once, tenant, before, _ONCE_CHUNK)
            if int(tag.rpartition(" ")[2]) < _ONCE_CHUNK:
                return

    async def reach(self, tenant: str) -> Reach:
        """How far history reaches, and the size of what it lies in."""
        row = await self._store.fetchrow(_sql.reach, tenant)
        known = await spans(self._store)
        if row is None:
            return Reach(since=None, condensing=False, moved_at=None, spans=known)
        return Reach(since=row["since"], condensing=row["condensing"], moved_at=row["moved_at"], spans=known)
