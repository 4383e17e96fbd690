"""The vendor's shapes in the vendor's names, as README.md publishes them. Quantities are decimal strings."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct


class Pack(Struct, frozen=True):
    """A pack of an item: `quantity` base units."""

    unit: str
    quantity: Decimal


class WmsItem(Struct, frozen=True, kw_only=True):
    """One item of ``GET /api/v2/items``."""

    item_code: str
    client_sku: str
    description: str
    base_unit: str
    packs: tuple[Pack, ...] = ()
    active: bool = True


class ItemPage(Struct, frozen=True):
    """``GET /api/v2/items``."""

    items: tuple[WmsItem, ...]
    next: str | None = None


class StockLine(Struct, frozen=True, kw_only=True):
    """One figure of a stock snapshot; `state` is AVL, RCV, PCK, DMG, RTN or QHD."""

    warehouse: str
    item_code: str
    state: str
    quantity: Decimal
    unit: str
    lot: str | None = None


class StockSnapshot(Struct, frozen=True, kw_only=True):
    """``GET /api/v2/stock``: every non-zero figure, true after event `sequence_cutoff` of `epoch`."""

    snapshot_id: str
    epoch: int
    sequence_cutoff: int
    taken_at: datetime
    warehouses: tuple[str, ...]
    lines: tuple[StockLine, ...]


class EventLine(Struct, frozen=True, kw_only=True):
    """One line of an event."""

    line: int
    item_code: str
    quantity: Decimal
    unit: str
    from_state: str | None = None
    to_state: str | None = None
    client_line: int | None = None
    lot: str | None = None
    serial: str | None = None
    bin: str | None = None


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened in a warehouse."""

    event_id: str
    epoch: int
    sequence: int
    type: str
    occurred_at: datetime
    warehouse: str
    lines: tuple[EventLine, ...]
    client_reference: str | None = None
    order_number: str | None = None
    document: str | None = None
    reason: str | None = None
    revision: int = 0


class EventPage(Struct, frozen=True, kw_only=True):
    """``GET /api/v2/events``; `next` continues, `more` says whether there is more now."""

    events: tuple[Event, ...]
    next: str
    more: bool


class Delivery(Struct, frozen=True):
    """The body of a webhook."""

    delivery_id: str
    events: tuple[Event, ...]


class OrderLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of an order to pick; the WMS resolves `client_sku` to its own item. With `lot`, of that lot alone."""

    line_number: int
    client_sku: str
    quantity: str
    unit: str
    lot: str | None = None


class ShipTo(Struct, frozen=True, kw_only=True):
    """Where it goes."""

    name: str
    street: str
    city: str
    postal_code: str
    country: str


class NewOrder(Struct, frozen=True, kw_only=True):
    """``POST /api/v2/orders``; `client_reference` is unique, another order with it is refused (409)."""

    client_reference: str
    warehouse: str
    ship_to: ShipTo
    lines: tuple[OrderLine, ...]
    requested_ship_date: str | None = None


class NewTransfer(Struct, frozen=True, kw_only=True):
    """``POST /api/v2/orders`` with `kind` ``TRANSFER``: shipping it emits ``XFER_OUT`` under `client_reference`."""

    client_reference: str
    warehouse: str
    destination: str
    lines: tuple[OrderLine, ...]
    kind: str = "TRANSFER"
    requested_ship_date: str | None = None


class NewStatusChange(Struct, frozen=True, kw_only=True):
    """``POST /api/v2/status-changes``; `client_reference` is unique for ever."""

    client_reference: str
    warehouse: str
    client_sku: str
    quantity: str
    unit: str
    from_state: str
    to_state: str
    lot: str | None = None
    reason: str | None = None


class StatusChange(Struct, frozen=True, kw_only=True):
    """A change of state that was made."""

    change_number: str
    client_reference: str
    warehouse: str
    client_sku: str
    quantity: Decimal
    unit: str
    from_state: str
    to_state: str
    lot: str | None = None


class StatusChangeList(Struct, frozen=True):
    """``GET /api/v2/status-changes?client_reference=``."""

    changes: tuple[StatusChange, ...]


class CountLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was counted of one item, or of one `lot` of it, in one state."""

    client_sku: str
    state: str
    quantity: str
    unit: str
    lot: str | None = None


class NewCount(Struct, frozen=True, kw_only=True):
    """``POST /api/v2/counts``: figures after event `sequence` of `epoch`; `client_reference` is unique for ever."""

    client_reference: str
    warehouse: str
    epoch: int
    sequence: int
    lines: tuple[CountLine, ...]
    reason: str | None = None


class Count(Struct, frozen=True, kw_only=True):
    """A count that was taken over."""

    count_number: str
    client_reference: str
    warehouse: str
    epoch: int
    sequence: int
    lines: tuple[CountLine, ...]


class CountList(Struct, frozen=True):
    """``GET /api/v2/counts?client_reference=``."""

    counts: tuple[Count, ...]


class OrderLineState(Struct, frozen=True, kw_only=True):
    """A line of an order at the WMS."""

    line_number: int
    client_sku: str
    ordered: Decimal
    picked: Decimal
    shipped: Decimal
    unit: str
    lot: str | None = None


class WmsOrder(Struct, frozen=True, kw_only=True):
    """An order at the WMS; `status` is RELEASED, PICKING, PARTIAL, SHIPPED or CANCELLED.

    A transfer has a `destination`.
    """

    order_number: str
    client_reference: str
    warehouse: str
    status: str
    lines: tuple[OrderLineState, ...]
    destination: str | None = None


class OrderList(Struct, frozen=True):
    """``GET /api/v2/orders``."""

    orders: tuple[WmsOrder, ...]


class Fault(Struct, frozen=True):
    """The inside of an error answer."""

    code: str
    message: str


class FaultAnswer(Struct, frozen=True):
    """An error answer."""

    error: Fault
