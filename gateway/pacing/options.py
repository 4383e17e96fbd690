"""How one system is paced: configuration, so a change holds at once (`crossdock config apply`)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.kernel.errors import Misconfigured


class Work(StrEnum):
    """What a visit to a system is for.

    `UNCERTAIN` looks up what became of an earlier call, or repeats it. `COMMITTED` is for an order whose sale has
    happened (a buyer-committed channel) or that is expedited. `UNDO` takes work back. `POSTING` tells what was shipped.
    `ORDINARY` is everything else: new orders.
    """

    UNCERTAIN = "uncertain"
    COMMITTED = "committed"
    UNDO = "undo"
    POSTING = "posting"
    ORDINARY = "ordinary"


ORDER: Final = tuple(Work)


class SystemPace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one system bears, shared by all processes.

    At most `calls` calls reach it in any span of `window_seconds` (0 calls: as many as there are). At most `visits`
    orders are worked on there at once; the others wait in the record, without a worker, first in the order of `first`,
    then the oldest. What `first` leaves out comes after it. Orders of the channels `expedited` are as urgent as those
    of buyer-committed ones.
    """

    calls: int = 0
    window_seconds: float = 1.0
    visits: int = 2
    first: tuple[Work, ...] = ORDER
    expedited: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.calls < 0 or self.visits < 1 or self.window_seconds <= 0:
            raise Misconfigured("pacing: calls must not be negative, visits at least 1, window_seconds above 0")
        if len(set(self.first)) < len(self.first):
            raise Misconfigured("pacing: first names a kind of work twice")

    @property
    def order(self) -> tuple[Work, ...]:
        """Every kind of work, the most urgent first."""
        return (*self.first, *(work for work in ORDER if work not in self.first))
