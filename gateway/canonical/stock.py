"""Stock: buckets, movements, snapshots and claims, as `semantics.md` 2 and 3 define them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct

OWN_SOURCE: Final = "crossdock"
"""The source that we are ourselves: its codes of items and locations are our ids. Nobody else speaks for it."""
MAIN_OWNER: Final = "main"
"""The stock-owning entity of whatever names none."""


class Bucket(StrEnum):
    """Physical state of stock. `on_hand` is the sum of all."""

    RECEIVING = "receiving"
    SELLABLE = "sellable"
    PICKED = "picked"
    DAMAGED = "damaged"
    RETURNED = "returned"
    QUALITY_HOLD = "quality_hold"


class MovementType(StrEnum):
    """What happened in a warehouse, in the past tense. Effects: `process_apis/availability/rules.py`."""

    RECEIPT_POSTED = "receipt_posted"
    PUT_AWAY = "put_away"
    PICK_CONFIRMED = "pick_confirmed"
    UNPICKED = "unpicked"
    SHIPMENT_CONFIRMED = "shipment_confirmed"
    STOCK_ADJUSTED = "stock_adjusted"
    CYCLE_COUNTED = "cycle_counted"
    TRANSFER_DISPATCHED = "transfer_dispatched"
    TRANSFER_RECEIVED = "transfer_received"
    RETURN_RECEIVED = "return_received"
    RETURN_DISPOSITIONED = "return_dispositioned"
    STATUS_CHANGED = "status_changed"


class OrderKey(Struct, frozen=True, order=True):
    """Where an event of one source stands among its others: the epoch first, then the sequence (or epoch microseconds).

    A reset of the source raises `epoch`. Ties are broken by the reader: delta before snapshot, then event id.
    """

    epoch: int
    sequence: int


class ReportedMovement(Struct, frozen=True, kw_only=True):
    """One line of one event as a source reports it, in the source's own codes and units.

    `amount` is positive for everything but `STOCK_ADJUSTED`, where the sign tells the direction. `from_bucket` and
    `to_bucket` are given where the type leaves them open (status changes, dispositions, adjustments).
    `order_reference` and `order_line` carry our order id and line when the event belongs to one of our orders.
    """

    source: str
    event_id: str
    line: int
    order_key: OrderKey
    type: MovementType
    occurred_at: datetime
    source_item: str
    source_location: str
    amount: Decimal
    uom: str
    from_bucket: Bucket | None = None
    to_bucket: Bucket | None = None
    order_reference: str | None = None
    order_line: int | None = None
    document: str | None = None
    reason: str | None = None
    lot: str | None = None
    serial: str | None = None
    bin: str | None = None
    owner: str | None = None
    revision: int = 0
    correlation_id: str | None = None


class ReportedFigure(Struct, frozen=True, kw_only=True):
    """One absolute figure of a snapshot, in the source's own codes and units."""

    source_item: str
    source_location: str
    bucket: Bucket
    amount: Decimal
    uom: str
    lot: str | None = None
    owner: str | None = None


class ReportedSnapshot(Struct, frozen=True, kw_only=True):
    """Absolute figures at one cut-off. What a `full` one does not name at its locations is zero."""

    source: str
    event_id: str
    cut_off: OrderKey
    taken_at: datetime
    full: bool
    locations: tuple[str, ...]
    figures: tuple[ReportedFigure, ...]


class SupplyKind(StrEnum):
    """What a supply document is: an order to a supplier, or a transfer from another location of ours."""

    PURCHASE = "purchase"
    TRANSFER = "transfer"


class ReportedSupply(Struct, frozen=True, kw_only=True):
    """One line of a purchase order or transfer as its source sees it now, in the source's own codes and units.

    `location` is where the goods will come in. The best date known counts: `advised` (the ASN's), else `acknowledged`
    (the supplier's), else `requested`; a line without any counts nothing. What movements name as received under this
    document is subtracted here; `received` is for sources whose warehouses tell us no movements. A transfer counts what
    movements say was dispatched and not received. `order_key` is the line's version: older news never wins.
    """

    source: str
    document: str
    line: int
    order_key: OrderKey
    source_item: str
    source_location: str
    ordered: Decimal
    uom: str
    kind: SupplyKind = SupplyKind.PURCHASE
    cancelled: Decimal = Decimal(0)
    received: Decimal = Decimal(0)
    requested: date | None = None
    acknowledged: date | None = None
    advised: date | None = None
    owner: str | None = None


class SnapshotPart(Struct, frozen=True, kw_only=True):
    """Part `number` (from 1) of `of` of one logical snapshot, which is applied when all of them have come.

    The parts share event id, cut-off, scope and locations; figures of one key (bins) belong in one part. They may come
    in any order, and more than once.
    """

    snapshot: ReportedSnapshot
    number: int
    of: int


class Outcome(StrEnum):
    """What became of one reported line."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    PARKED = "parked"
    CONFLICT = "conflict"


class ReceiptLine(Struct, frozen=True, kw_only=True):
    """A line that was not simply recorded; `cause` is a stable dotted code. Line -1 is a snapshot as a whole."""

    source: str
    event_id: str
    line: int
    outcome: Outcome
    cause: str | None = None
    detail: str | None = None


class Receipt(Struct, frozen=True, kw_only=True):
    """What became of a report, committed: how many lines were recorded, and each of the others."""

    recorded: int = 0
    others: tuple[ReceiptLine, ...] = ()

    def plus(self, other: Receipt) -> Receipt:
        """Both receipts in one."""
        return Receipt(recorded=self.recorded + other.recorded, others=self.others + other.others)


class DemandLine(Struct, frozen=True, kw_only=True):
    """An open demand line of another system that does not bear our reference: it lowers what we may promise."""

    source_reference: str
    source_item: str
    source_location: str
    amount: Decimal
    uom: str
    due: date | None = None


class DemandFeed(Struct, frozen=True, kw_only=True):
    """What one source has open, at a place in its order. What a `full` one leaves out is no longer open."""

    source: str
    order_key: OrderKey
    full: bool
    lines: Sequence[DemandLine]


Substitution = Literal["none", "offer", "accept"]
"""What is done where an item does not suffice: nothing, tell what could stand in for it, promise that."""


class ClaimLine(Struct, frozen=True, kw_only=True):
    """What one order line asks to be promised, in base units, optionally from one location.

    `substitution` None is as the channel's rule has it.
    """

    line: int
    item: str
    amount: Decimal
    location: str | None = None
    substitution: Substitution | None = "none"


class ClaimOverride(Struct, frozen=True, kw_only=True):
    """Who promises stock that the channel's rule keeps back, and why."""

    actor: str
    reason: str


Fill = Literal["complete", "line_complete", "partial"]
"""What is promised where stock does not do for all: nothing (fill or kill), the lines that fit, as much as there is."""


class ClaimRequest(Struct, frozen=True, kw_only=True):
    """What one order asks to be promised: all of it or nothing, unless `fill` says otherwise, once per `action`.

    Without `expires_at` (aware, UTC) or `expires_in` (from when it is promised, by the record's clock) the promise
    stands until it is allocated or released. With `override` the channel's safety stock, buffer and share don't hold:
    whatever is available may be promised, and the audit trail says who wanted it and why. Where stock turns out to be
    short, a claim of lower `priority` gives way first, then one of a later `need_by`, or of none. The rule's terms for
    a `customer_class` hold where it has some. Places from which
    goods are at `ship_to` (country and postal code) by `need_by` go before all others.
    """

    action: str
    order: str
    channel: str
    lines: Sequence[ClaimLine]
    correlation_id: str
    expires_at: datetime | None = None
    expires_in: timedelta | None = None
    override: ClaimOverride | None = None
    priority: int = 0
    need_by: date | None = None
    customer_class: str | None = None
    ship_to: str | None = None
    fill: Fill = "complete"


class LotAtHand(Struct, frozen=True, kw_only=True):
    """Sellable stock of one lot at a location, in base units; lot "" is what lies there without one."""

    item: str
    lot: str
    amount: Decimal
    expires_on: date | None = None


class ClaimState(StrEnum):
    """A claim is soft (`reserved`, it expires), hard (`allocated`), or over (`fulfilled`, `released`).

    One on supply is `promised` until its goods come in, and then soft or hard.
    """

    PROMISED = "promised"
    RESERVED = "reserved"
    ALLOCATED = "allocated"
    FULFILLED = "fulfilled"
    RELEASED = "released"


class ClaimedLine(Struct, frozen=True, kw_only=True):
    """One promise made: this much of this item at this location for this order line.

    Where it is a component of a `kit` that the line ordered, `per_kit` of it go into one. What stands in for another
    item that the line ordered is told in the same way, as if that were a kit of this one.
    """

    claim: str
    line: int
    item: str
    location: str
    amount: Decimal
    state: ClaimState
    kit: str | None = None
    per_kit: Decimal | None = None


class StandingClaim(Struct, frozen=True, kw_only=True):
    """What is open of one promise: `lacking` of it is not there, and `expected` when known supply covers that, if any.

    `due` is the date that it was promised for. `handed`: another system works on it.
    """

    claim: str
    line: int
    location: str
    amount: Decimal
    lacking: Decimal
    handed: bool
    due: date | None = None
    expected: date | None = None


class Confidence(StrEnum):
    """How far an availability figure can be trusted, from age and recent drift of its sources."""

    HIGH = "high"
    DEGRADED = "degraded"
    STALE = "stale"


class SilentSource(Struct, frozen=True, kw_only=True):
    """A source that misses its objective in a `domain`, by silence `since` (None: it was never heard) or by drift."""

    source: str
    domain: str
    cause: Literal["silent", "drift", "switched"]
    since: datetime | None
    confidence: Confidence
    locations: tuple[str, ...]


class LocationAvailability(Struct, frozen=True, kw_only=True):
    """The figures of one item at one location, in base units.

    `available_to_sell` is what the channel may take there, before the buffer and share that are held over all places;
    of a kit, with what can be made there of its components (`from_components`).
    """

    location: str
    on_hand: Decimal
    sellable: Decimal
    reserved: Decimal
    allocated: Decimal
    external: Decimal
    available: Decimal
    available_to_sell: Decimal
    from_components: Decimal = Decimal(0)


class ItemAvailability(Struct, frozen=True, kw_only=True):
    """What one channel may sell of one item now, in base units; locations only for those who may see them.

    With `silent` sources the answer is partial: they say what it rests on that was not heard in time.
    `from_components` is the part of a kit's figure that is not there as kits.
    """

    item: str
    available_to_sell: Decimal
    uom: str
    as_of: datetime
    confidence: Confidence
    version: int
    locations: tuple[LocationAvailability, ...] = ()
    silent: tuple[SilentSource, ...] = ()
    from_components: Decimal = Decimal(0)


class DatePromise(Struct, frozen=True):
    """What may be promised of one item for one date, in base units."""

    on: date
    available_to_promise: Decimal


class ItemPromises(Struct, frozen=True, kw_only=True):
    """What one channel may promise of one item by date; `earliest` is the first date for the amount that was asked."""

    item: str
    uom: str
    promises: tuple[DatePromise, ...]
    earliest: date | None
    as_of: datetime
