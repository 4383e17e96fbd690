"""What the availability process takes in, decides on and tells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from gateway.canonical.stock import (
    MAIN_OWNER,
    Bucket,
    ClaimRequest,
    Confidence,
    ReportedFigure,
    ReportedMovement,
    ReportedSnapshot,
    ReportedSupply,
    Substitution,
)
from process_apis.availability.demand import ParkedDemand

DEFAULT_OWNER: Final = MAIN_OWNER
"""The stock-owning entity of whatever names none."""


class LineKey(NamedTuple):
    """One stock line; keys are locked in the order of this tuple."""

    item: str
    location: str
    owner: str


class Effect(NamedTuple):
    """A change of one physical figure, at a place in the source's order. A tuple: it becomes a row of an `unnest`."""

    location: str
    item: str
    owner: str
    bucket: str
    lot: str
    delta: Decimal
    epoch: int
    sequence: int
    occurred_at: datetime


class Way(Struct, frozen=True):
    """Where a movement takes goods from and to, None being outside. `settles`: from picked, else sellable."""

    origin: Bucket | None
    target: Bucket | None
    settles: bool = False


class Mapped(Struct, frozen=True, kw_only=True):
    """A reported movement in our own items, locations and base units, ready to be recorded."""

    movement: str
    reported: ReportedMovement
    fingerprint: bytes
    item: str
    location: str
    owner: str
    amount: Decimal
    factor: Decimal
    way: Way
    handling: str | None
    moves: bool

    @property
    def key(self) -> LineKey:
        """The stock line it belongs to."""
        return LineKey(self.item, self.location, self.owner)


class Count(Struct, frozen=True, kw_only=True):
    """An absolute figure for one key, in our own codes and base units."""

    location: str
    item: str
    owner: str
    bucket: Bucket
    lot: str
    amount: Decimal


class Refusal(Struct, frozen=True):
    """Why something reported cannot be recorded. `mendable`: mending the mapping will let it in."""

    cause: str
    detail: str
    mendable: bool = True


class TooLateError(Exception):
    """What is kept by now does not tell what `keys` (location, item, owner, bucket, lot) would be at a cut-off.

    Raised under the locks, so nothing of the transaction holds: begin again without the figures of these keys.
    """

    def __init__(self, keys: frozenset[tuple[str, str, str, str, str]] = frozenset()) -> None:
        super().__init__(f"{len(keys)} figures at a cut-off before what is kept")
        self.keys = keys


class Parked(Struct, frozen=True, kw_only=True):
    """Something reported that waits for a person."""

    source: str
    event_id: str
    line: int
    kind: str
    fingerprint: bytes
    refusal: Refusal
    payload: ReportedMovement | ParkedFigure | ParkedDemand | ReportedSupply | ReportedSnapshot


class ParkedFigure(Struct, frozen=True, kw_only=True):
    """One figure of a snapshot that could not be mapped, with the snapshot's head (its figures left out)."""

    snapshot: ReportedSnapshot
    figure: ReportedFigure


class Progress(Struct, frozen=True):
    """Net picks and shipments of one order line at one location, in base units."""

    location: str
    picked: Decimal
    shipped: Decimal


NO_LINE: Final = -1
"""Where the handling of an order stands that names no line of it."""


class Handled(Struct, frozen=True):
    """Progress of an order, line and item; an older release left the item empty where there was a line."""

    order: str
    line: int
    item: str
    progress: Progress


class OpenClaim(Struct, frozen=True, kw_only=True):
    """A claim as its row has it. `open` = amount - consumed - released counts in its stock line.

    `commitment`: `soft` (reserved), `firm` (allocated), `handed` (allocated, and another system works on it), `ahead`
    (promised on supply). It outlives the claim's end. `short` of what is open is not covered by stock. A component of a
    `kit` that the line ordered says how much of it goes into one.
    """

    claim: str
    order: str
    line: int
    item: str
    location: str
    owner: str
    channel: str
    amount: Decimal
    consumed: Decimal
    released: Decimal
    state: str
    commitment: str = "soft"
    allotment: str | None = None
    short: Decimal = Decimal(0)
    kit: str | None = None
    per_kit: Decimal | None = None

    @property
    def worked_on(self) -> bool:
        """Another system has it, or part of it is picked: only a person changes it."""
        return self.commitment == "handed" or self.consumed > 0

    @property
    def open(self) -> Decimal:
        """What is still promised, in base units."""
        return self.amount - self.consumed - self.released

    @property
    def key(self) -> LineKey:
        """The stock line it belongs to."""
        return LineKey(self.item, self.location, self.owner)


class DatedRequest(Struct, frozen=True, kw_only=True):
    """A claim for a later date, on supply as far as that covers it."""

    request: ClaimRequest
    due: date


class LotLeft(NamedTuple):
    """Sellable stock of one lot, and how many days it may still be used: 0 on its last day, less when it is over."""

    days: int
    amount: Decimal


class StockLine(Struct, frozen=True, kw_only=True):
    """The figures of one stock line, in base units; `lots` has those whose last day is known."""

    item: str
    location: str
    owner: str
    on_hand: Decimal
    sellable: Decimal
    reserved: Decimal
    allocated: Decimal
    external: Decimal
    version: int
    as_of: datetime
    lots: tuple[LotLeft, ...] = ()


class LocationTerms(Struct, frozen=True, kw_only=True):
    """What a channel may use of one location."""

    location: str
    safety_stock: Decimal = Decimal(0)
    eligible: bool = True


class Allotment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A quantity set aside for one channel until its own claims have drawn it down, shipped or not.

    What is drawn counts under `name`: another amount under the same name goes on, another name begins anew.
    """

    name: str
    amount: Decimal


class ItemTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is different for one item; None is as the channel has it. `locations` replace the channel's of that name."""

    excluded: bool | None = None
    locations: tuple[LocationTerms, ...] = ()
    buffer: Decimal | None = None
    share: Decimal | None = None
    protected: Decimal | None = None
    allotment: Allotment | None = None
    min_life_days: int | None = None


class ClassTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is different for one class of customers, and in it for item groups; None is as the channel has it.

    `share` is a ceiling of the channel's open claims as a whole, at which this class may take no more.
    """

    locations: tuple[LocationTerms, ...] = ()
    buffer: Decimal | None = None
    share: Decimal | None = None
    min_life_days: int | None = None
    groups: Mapping[str, ItemTerms] = {}


class ChannelTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a channel may sell: of whose stock, where, and how much of it.

    `buffer` is taken off the sum of the locations, per item; `share` is the ceiling of the channel's own open claims
    as a part of the pool (available plus those claims). Locations not named are eligible without safety stock, unless
    `only_named` is set. `fallback` says what the channel does at a location whose
    sources are not heard in time: go on (`serve`), keep `fallback_buffer` more of each item back there (`buffer`), or
    sell nothing of it while it is stale (`stop`).
    `protected` is what channels of a lower priority (a larger number) leave of each item, less this channel's own open
    claims. Lots that are over, or may be used for fewer than `min_life_days` more, don't count. `items` has what is
    different for one item, by its id. `substitution` is what is done for lines that don't say so themselves. `groups`
    and `classes` have what is different for item groups and classes of customers (`narrowing.py`).
    """

    owner: str = DEFAULT_OWNER
    locations: tuple[LocationTerms, ...] = ()
    only_named: bool = False
    buffer: Decimal = Decimal(0)
    share: Decimal | None = None
    fallback: Literal["serve", "buffer", "stop"] = "serve"
    fallback_buffer: Decimal = Decimal(0)
    priority: int = 100
    protected: Decimal = Decimal(0)
    min_life_days: int = 0
    items: Mapping[str, ItemTerms] = {}
    substitution: Substitution = "none"
    groups: Mapping[str, ItemTerms] = {}
    classes: Mapping[str, ClassTerms] = {}

    @property
    def fences(self) -> bool:
        """Whether anything is kept from other channels: only then they look at this channel's rule."""
        return self.protected > 0 or any(
            each.protected or each.allotment for some in (self.items, self.groups) for each in some.values()
        )


class ChannelRule(Struct, frozen=True, kw_only=True):
    """The terms in force for one channel, with their version; 0 where none were ever set.

    `fences`: they keep something from other channels. `doubtful`: locations whose figures are not sure at the moment.
    `by_class` has the rules for classes of customers, `said` the terms before those of groups became terms of items.
    """

    channel: str
    version: int
    terms: ChannelTerms
    fences: bool = False
    doubtful: Mapping[str, Confidence] = {}
    by_class: Mapping[str, ChannelRule] = {}
    said: ChannelTerms | None = None
    customer_class: str | None = None


class RuleVersion(Struct, frozen=True, kw_only=True):
    """One version of a channel's rule, as it was made. Without `effective_until` it holds until a later one begins."""

    channel: str
    version: int
    terms: ChannelTerms
    effective_from: datetime
    effective_until: datetime | None
    business_owner: str
    reason: str
    made_by: str
    made_at: datetime


class Held(NamedTuple):
    """What one channel holds of one item: its open claims, and what is drawn of the allotment of that name."""

    open: Decimal = Decimal(0)
    version: int = 0
    allotment: str | None = None
    drawn: Decimal = Decimal(0)


class Need(NamedTuple):
    """What one order line wants."""

    line: int
    item: str
    amount: Decimal
    location: str | None


class Portion(NamedTuple):
    """A part of one order line at one location; `kit` where it is a component of what the line ordered."""

    line: int
    item: str
    location: str
    amount: Decimal
    kit: str | None = None
    per_kit: Decimal | None = None
