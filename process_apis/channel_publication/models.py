"""Published channels, what is known of their figures, and what they sold."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from gateway.canonical.capabilities import PublishesAvailability, ReadsChannelOrders, TakesOrderUpdates


class Options(Struct, frozen=True, kw_only=True):
    """How one channel is published.

    `in_flight_buffer` units are held back where the vendor cannot compare. Every `import_seconds` its orders are read
    even when nothing is to be published, every `sweep_seconds` all items are reckoned, every `read_back_seconds` a
    sample is read back. `settle`: how long until an order that took from a figure can be read.
    """

    in_flight_buffer: int = 0
    import_seconds: float = 5.0
    sweep_seconds: float = 300.0
    read_back_seconds: float = 60.0
    settle: timedelta = timedelta(seconds=2)


class PublishedChannel(Struct, frozen=True, kw_only=True, eq=False):
    """One channel, the instance that shows it, and what that can do.

    With `sold_to`, the account that they are booked under, its orders go on to ERP and warehouse as all others do.
    `selling_unit` is what it counts in, of items that have it (see `unit_of`). With `updates` it is told how those
    orders go on.
    """

    name: str
    system: str
    shows: PublishesAvailability
    orders: ReadsChannelOrders | None
    options: Options = Options()
    sold_to: str | None = None
    currency: str = "USD"
    selling_unit: str | None = None
    updates: TakesOrderUpdates | None = None


class FigureState(StrEnum):
    """UNSEEN was never looked for, LISTED is sold by the channel, UNLISTED is not."""

    UNSEEN = "unseen"
    LISTED = "listed"
    UNLISTED = "unlisted"


class Look(Struct, frozen=True):
    """What a channel showed at one of its versions, and when we saw it."""

    quantity: int
    version: int
    at: datetime


class Sale(Struct, frozen=True):
    """A change that the channel made itself and told us of: `quantity` sold (negative: taken back) at `version`."""

    quantity: int
    version: int


class Figure(Struct, frozen=True, kw_only=True):
    """What is known of one figure; see `migrations/0001_initial.sql`. `revision` is that of its due row."""

    item: str
    sku: str
    state: FigureState
    base: int | None = None
    base_version: int | None = None
    attempted: int | None = None
    attempted_version: int | None = None
    look: Look | None = None
    revision: int = 0
    sold: int = 0
    since: datetime | None = None


class Verdict(StrEnum):
    """What a look says: as we knew, not explained yet, or not explained and it should be by now."""

    AGREES = "agrees"
    WAIT = "wait"
    DISAGREES = "disagrees"


class Cause(StrEnum):
    """Why a channel disagrees: somebody changed it there, it sells the item no longer, or it refuses the figure."""

    CHANGED_THERE = "changed_there"
    VANISHED = "vanished"
    REFUSED = "refused"


class Disagreement(Struct, frozen=True, kw_only=True):
    """One of them, to be kept and told."""

    item: str
    sku: str
    cause: Cause
    expected: int | None = None
    found: int | None = None


class ChannelRules(Protocol):
    """Tells the number of the rule in force for a channel: another one means that every figure may differ."""

    async def __call__(self, tenant: str, channel: str) -> int:
        """The version; 0 where none was set."""
        ...
