"""Sales orders as every system and channel shares them, and what systems say about them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct

from gateway.canonical.party import Address
from gateway.kernel.money import Money

ORDER_PREFIX: Final = "ord"
"""Of the ids of accepted orders."""


FillPolicy = Literal["complete", "line_complete", "partial", "fill_or_kill"]
"""How lines leave where stock does not do for all: together (`complete`), each when all of it is there, or what there
is and the rest later. `fill_or_kill` never waits: all of it is promised at once, or none."""
_RELEASE: Final = "."  # no id has it


def release_reference(order: str, release: int) -> str:
    """What other systems know a part of an order by that is handed over by itself: the first one by the order's id."""
    return order if release <= 1 else f"{order}{_RELEASE}{release}"


def order_of(reference: str | None) -> tuple[str | None, int]:
    """The order and the release that a reference of ours names; what is none of ours is its own order."""
    if reference is None or _RELEASE not in reference or not reference.startswith(f"{ORDER_PREFIX}_"):
        return reference, 1
    order, _, release = reference.rpartition(_RELEASE)
    return (order, int(release)) if release.isascii() and release.isdigit() else (reference, 1)


class OrderState(StrEnum):
    """Derived from counters, claims and what systems confirmed; never set by hand (`semantics.md` 4)."""

    RECEIVED = "received"
    PROMISED = "promised"
    HELD = "held"
    BACKORDERED = "backordered"
    SUBMITTED = "submitted"
    RELEASED = "released"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    INVOICED = "invoiced"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXCEPTION = "exception"


class SalesLine(Struct, frozen=True, kw_only=True):
    """One line: `amount` in base units of `item` from `location`; `unit_price` per base unit."""

    line: int
    item: str
    sku: str
    amount: Decimal
    uom: str
    unit_price: Money
    location: str | None = None


class SalesOrder(Struct, frozen=True, kw_only=True):
    """An accepted order, or a release of one, on its way to a system. `order` is our external reference everywhere."""

    order: str
    tenant: str
    sold_to: str
    external_number: str
    currency: str
    placed_at: datetime
    ship_to: Address
    lines: tuple[SalesLine, ...]
    requested_date: date | None = None


class ExternalReference(StrEnum):
    """What a system guarantees about the reference we give it; `manifest.toml` declares it."""

    UNIQUE = "unique"
    SEARCHABLE = "searchable"
    NONE = "none"


class ShipmentLine(Struct, frozen=True, kw_only=True):
    """How much of one order line a shipment holds, in base units."""

    line: int
    item: str
    amount: Decimal


class SystemShipment(Struct, frozen=True, kw_only=True):
    """A shipment as a system of record knows it."""

    number: str
    state: str
    location: str
    lines: tuple[ShipmentLine, ...]


class SystemOrder(Struct, frozen=True, kw_only=True):
    """Our order as another system knows it: its own number and state, found by our reference.

    `ready` is false where the system made the order but has not finished confirming it (a crash between two calls).
    """

    reference: str
    number: str
    state: str
    ready: bool
    cancelled: bool = False
    shipments: tuple[SystemShipment, ...] = ()


class WorkState(StrEnum):
    """What a warehouse says about work we released to it."""

    RELEASED = "released"
    PICKING = "picking"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"


class WarehouseWork(Struct, frozen=True, kw_only=True):
    """One order's work at one warehouse."""

    reference: str
    number: str
    state: WorkState


class SoldLine(Struct, frozen=True, kw_only=True):
    """What a buyer got of one order line, in base units at `unit_price`; by when, and from where the latest of it.

    It was ordered in `asked_uom`, which holds `factor` base units.
    """

    line: int
    item: str
    sku: str
    uom: str
    unit_price: Decimal
    shipped: Decimal
    shipped_at: datetime | None = None
    location: str | None = None
    asked_uom: str | None = None
    factor: Decimal = Decimal(1)


class ReturnedLine(Struct, frozen=True, kw_only=True):
    """What came back of one order line, and how much of that is on credit notes that were issued, in base units."""

    line: int
    returned: Decimal
    credited: Decimal


class SoldOrder(Struct, frozen=True, kw_only=True):
    """An order as whoever takes goods back sees it. `system` is the ERP that has it, None where none does."""

    order: str
    channel: str
    partner: str | None
    sold_to: str
    currency: str
    system: str | None
    lines: tuple[SoldLine, ...]
