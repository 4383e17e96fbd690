"""What two accounts of one thing say, and what bears on the difference (`semantics.md` 3, "Reconciliation")."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct


class DriftedSnapshot(Struct, frozen=True, kw_only=True):
    """A snapshot whose figures were not what was expected, or could not all be mapped."""

    snapshot: str
    source: str
    event_id: str
    taken_at: datetime
    recorded_at: datetime
    figures: int
    drifted: int


class EventBearing(StrEnum):
    """How an event bears on what was expected of a figure at a cut-off."""

    LATE = "late"
    """Recorded after the snapshot, of before its cut-off."""
    REVISED = "revised"
    """Told before, and corrected after."""
    PARKED = "parked"
    """Told before, and waited (or waits) for a mapping."""


class BearingEvent(Struct, frozen=True, kw_only=True):
    """One event that bears on a difference. `effect` is what it adds to what was expected; None where nobody can tell.

    Effects of several are those of one after the other in their source's order, so that they add up.
    """

    source: str
    event_id: str
    line: int
    bearing: EventBearing
    type: str
    effect: Decimal | None
    occurred_at: datetime
    cause: str | None = None


class StockDifference(Struct, frozen=True, kw_only=True):
    """A reported figure and what was expected of it at the same cut-off, in base units of the item.

    Without `item` the figure is of a `code` that nobody has mapped, in the source's own unit, and nothing was expected.
    """

    location: str
    item: str | None
    owner: str
    bucket: str
    lot: str
    reported: Decimal
    expected: Decimal | None
    code: str | None = None
    events: tuple[BearingEvent, ...] = ()


class StockFigure(Struct, frozen=True, kw_only=True):
    """What is on hand of one item at one location, all owners and buckets together; `version` moves with it."""

    item: str
    location: str
    on_hand: Decimal
    version: int


class SystemAdjustment(Struct, frozen=True, kw_only=True):
    """A correction as an ERP booked it: its own number, and what it added, in the unit it was asked in."""

    number: str
    amount: Decimal


class UnpostedLine(Struct, frozen=True, kw_only=True):
    """Goods that left and that an ERP still has. `certain` is false while the ERP may be booking them."""

    item: str
    location: str
    amount: Decimal
    certain: bool


class BookedShipment(Struct, frozen=True, kw_only=True):
    """A shipment that an ERP was told of under our id `posting`: amounts by order line, in base units."""

    posting: str
    location: str
    lines: Mapping[int, Decimal]
    shipped_at: datetime | None = None


class BookedOrder(Struct, frozen=True, kw_only=True):
    """What an ERP confirmed of one order: that it has it under `number`, or, where `gone`, that it has it no more.

    `prices` are those of its lines, per base unit in the order's currency.
    """

    order: str
    system: str
    number: str | None
    gone: bool
    shipments: tuple[BookedShipment, ...] = ()
    prices: Mapping[int, Decimal] = {}


class EventLine(Struct, frozen=True, order=True):
    """One line of one event of a source."""

    source: str
    event_id: str
    line: int
