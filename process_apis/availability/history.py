"""How long what happened is kept, and from when on questions about the past are answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from msgspec import Struct

from gateway.kernel.clock import Clock
from gateway.kernel.errors import Misconfigured
from gateway.store.postgres import Store
from process_apis.availability.partitions import make_ahead

_LEAST_DAYS: Final = 14


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


class History:
    """Keeps to the options, a turn at a time."""

    def __init__(self, store: Store, options: HistoryOptions, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.options = options

    async def turn(self) -> None:
        """Make spans ahead; run it every few minutes in a worker."""
        await make_ahead(self._store, self._clock.now(), self.options.kept)
