"""Sales orders as every system and channel shares them, and what systems say about them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.canonical.party import Address
from gateway.kernel.money import Money

ORDER_PREFIX: Final = "ord"
"""Of the ids of accepted orders."""


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
    """An accepted order on its way to a system. `order` is our id and the external reference everywhere."""

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
