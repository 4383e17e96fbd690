"""The shapes of the system APIs: canonical objects with decimals as strings and the system's own codes."""

from datetime import date, datetime
from typing import Annotated

from msgspec import Meta, Struct

_DECIMAL = r"^-?[0-9]{1,18}(\.[0-9]{1,12})?$(?!\n)"
_POSITIVE = r"^(?=.*[1-9])[0-9]{1,18}(\.[0-9]{1,12})?$(?!\n)"
Amount = Annotated[str, Meta(pattern=_DECIMAL, description="An exact decimal.")]
PositiveAmount = Annotated[str, Meta(pattern=_POSITIVE, description="An exact decimal above zero.")]
Code = Annotated[str, Meta(min_length=1, max_length=100)]
Reference = Annotated[str, Meta(min_length=1, max_length=64, description="Our id: the system's external reference.")]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class HealthView(Struct, kw_only=True):
    """The system is reachable and accepts our credentials."""

    instance: str
    status: str


class MoneyView(Struct, kw_only=True):
    """An exact amount in one currency (ISO 4217)."""

    amount: Amount
    currency: str


class PackView(Struct, kw_only=True):
    """A further unit and how many base units it holds."""

    uom: str
    factor: Amount


class ItemView(Struct, kw_only=True):
    """An item as this system describes it."""

    source_code: str
    sku: str
    name: str
    base_uom: str
    packs: list[PackView]
    list_price: MoneyView | None
    sellable: bool


class ItemPageView(Struct, kw_only=True):
    """A page of items; `next_cursor` is null on the last one."""

    items: list[ItemView]
    next_cursor: str | None


class OrderKeyView(Struct, kw_only=True):
    """Where something stands among the system's events."""

    epoch: int
    sequence: int


class FigureView(Struct, kw_only=True):
    """One absolute figure."""

    item: str
    location: str
    bucket: str
    amount: Amount
    uom: str
    lot: str | None


class StockView(Struct, kw_only=True):
    """Figures that hold at `cut_off`."""

    cut_off: OrderKeyView
    taken_at: Instant
    full: bool
    figures: list[FigureView]


class CustomerView(Struct, kw_only=True):
    """A customer; a null limit means that the system sets none."""

    code: str
    name: str
    payment_term: str | None
    credit_limit: MoneyView | None
    balance: MoneyView | None
    hold: bool


class ListedCustomerView(Struct, kw_only=True):
    """A customer as the system lists it, or one more address of it, which has the customer as its `parent`.

    `code` and `parent` are the system's own codes, `number` what people call it there.
    """

    code: str
    number: str
    name: str
    roles: list[str]
    parent: str | None
    active: bool
    hold: bool
    street: str | None
    city: str | None
    postal_code: str | None
    country: str | None
    tax_id: str | None
    payment_term: str | None
    credit_limit: MoneyView | None


class CustomerListView(Struct, kw_only=True):
    """A page of customers; an empty page may lead to another."""

    items: list[ListedCustomerView]
    next_cursor: str | None


class DemandLineView(Struct, kw_only=True):
    """An open demand line that does not bear our reference."""

    reference: str
    item: str
    location: str
    amount: Amount
    uom: str
    due: str | None


class DemandView(Struct, kw_only=True):
    """All open demand lines that are not ours."""

    items: list[DemandLineView]


class ShippedLineView(Struct, kw_only=True):
    """How much of one order line a shipment holds, in base units."""

    line: int
    item: str
    amount: Amount


class ShipmentView(Struct, kw_only=True):
    """A shipment as the system knows it."""

    number: str
    state: str
    location: str
    lines: list[ShippedLineView]


class OrderView(Struct, kw_only=True):
    """Our order as the system knows it; not `ready` means that the system has not finished confirming it."""

    reference: str
    number: str
    state: str
    ready: bool
    cancelled: bool
    shipments: list[ShipmentView]


class WorkView(Struct, kw_only=True):
    """Work released to a warehouse."""

    reference: str
    number: str
    state: str


class MovementView(Struct, kw_only=True):
    """One line of one event."""

    event_id: str
    line: int
    order_key: OrderKeyView
    type: str
    occurred_at: Instant
    item: str
    location: str
    amount: Amount
    uom: str
    order_reference: str | None
    order_line: int | None
    lot: str | None


class MovementPageView(Struct, kw_only=True):
    """A page of movements; an empty one is the end for now, and `next_cursor` continues later."""

    items: list[MovementView]
    next_cursor: str | None


class AddressInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A postal address; `country` is ISO 3166-1 alpha-2."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    street: Annotated[str, Meta(max_length=200)]
    city: Annotated[str, Meta(max_length=100)]
    postal_code: Annotated[str, Meta(max_length=20)]
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)")]


class OrderLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """One line, in base units; `location` is our location code."""

    line: Annotated[int, Meta(ge=1, le=10_000)]
    sku: Code
    amount: PositiveAmount
    uom: Annotated[str, Meta(min_length=1, max_length=3)]
    unit_price: Amount
    location: Code | None = None


class OrderInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """An order for the system to take, under our reference. Sending it twice makes one."""

    reference: Reference
    sold_to: Code
    external_number: Code
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    placed_at: Annotated[datetime, Meta(tz=True)]
    ship_to: AddressInput
    lines: Annotated[list[OrderLineInput], Meta(min_length=1, max_length=1000)]
    requested_date: date | None = None


class WorkInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Work for one of our locations: those lines of the order that ship from there."""

    order: OrderInput
    location: Code


class CancellationInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be cancelled, by our reference."""

    reference: Reference


class ShippedLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of one order line was shipped, in base units."""

    line: Annotated[int, Meta(ge=1, le=10_000)]
    item: Code
    amount: PositiveAmount


class PostingInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A shipment that the system is told of. `posting` is our id of it; sending it twice posts it once."""

    reference: Reference
    posting: Reference
    location: Code
    lines: Annotated[list[ShippedLineInput], Meta(min_length=1, max_length=1000)]


class ChannelFigureView(Struct, kw_only=True):
    """What a channel shows of one SKU, in whole selling units; `version` where the channel counts changes."""

    sku: str
    quantity: int
    version: int | None


class ChannelFiguresView(Struct, kw_only=True):
    """What a channel shows; SKUs that it does not sell are left out."""

    figures: list[ChannelFigureView]


class ChannelOrderLineView(Struct, kw_only=True):
    """One line of a channel's order."""

    line: int
    sku: str
    quantity: int


class ChannelOrderView(Struct, kw_only=True):
    """Something that happened to an order of the channel's; `kind` is placed or cancelled."""

    event: str
    reference: str
    kind: str
    at: Instant
    lines: list[ChannelOrderLineView]


class ChannelOrderPageView(Struct, kw_only=True):
    """A page of them; an empty one is the end for now, and `next_cursor` continues later."""

    orders: list[ChannelOrderView]
    next_cursor: str
