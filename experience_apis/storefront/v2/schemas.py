"""The storefront's shapes on the wire, version 2.

A quantity is an amount with its unit, money an amount with its currency, everywhere. Amounts are decimal strings,
never JSON numbers; instants are RFC 3339 in UTC; enums in answers are open (a client must accept words that it does not
know), enums in requests are closed.
"""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct

TEXT = r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)"
ITEM_ID = r"^itm_[0-9a-hjkmnp-tv-z]{26}$(?!\n)"
ORDER_ID = r"^ord_[0-9a-hjkmnp-tv-z]{26}$(?!\n)"
RETURN_ID = r"^ret_[0-9a-hjkmnp-tv-z]{26}$(?!\n)"
CURSOR = r"^[A-Za-z0-9_-]{18,400}$(?!\n)"

Sku = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=TEXT,
        description="The article number people use. It may hold any printable character, so it never stands in a path.",
        examples=["SKU-0001"],
    ),
]
ItemId = Annotated[str, Meta(max_length=30, pattern=ITEM_ID, description="Our opaque id of an item.")]
OrderId = Annotated[str, Meta(max_length=30, pattern=ORDER_ID, description="Our opaque id of an order.")]
Amount = Annotated[
    str,
    Meta(
        max_length=20,
        pattern=r"^[1-9][0-9]{0,8}(\.[0-9]{1,6})?$(?!\n)",
        description="A positive decimal number as a string.",
        examples=["3"],
    ),
]
Figure = Annotated[
    str, Meta(max_length=40, pattern=r"^-?[0-9]+(\.[0-9]+)?$(?!\n)", description="A decimal number as a string.")
]
Unit = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=8,
        pattern=r"^[A-Z0-9]+$(?!\n)",
        description="UN/ECE Recommendation 20 code.",
        examples=["EA"],
    ),
]
UnitName = Annotated[str, Meta(description="UN/ECE Recommendation 20 code, where the source knows one.")]
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217 code.")]
Country = Annotated[
    str, Meta(min_length=2, max_length=2, pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1 alpha-2 code.")
]
Line = Annotated[str, Meta(min_length=1, max_length=120, pattern=TEXT)]
Reference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=TEXT,
        description="Your own number of the order. Together with the account it names one order for ever.",
        examples=["PO-2026-0042"],
    ),
]
Account = Annotated[
    str,
    Meta(min_length=1, max_length=40, pattern=TEXT, description="Your customer account; the first one when left out."),
]
Instant = Annotated[str, Meta(max_length=40, extra_json_schema={"format": "date-time"})]
Cursor = Annotated[str, Meta(max_length=400, pattern=CURSOR, description="Opaque. Give it back to read the next page.")]


class Input(Struct, forbid_unknown_fields=True, kw_only=True):
    """What partners send: unknown members are refused."""


class MoneyView(Struct, kw_only=True):
    """An exact amount of money."""

    amount: Figure
    currency: Currency


class QuantityView(Struct, kw_only=True):
    """An exact quantity: never a number without its unit."""

    amount: Figure
    unit: UnitName


class ItemRef(Struct, kw_only=True):
    """Which article."""

    id: ItemId
    sku: Sku


class PackView(Struct, kw_only=True):
    """A unit an item is also sold in, and how many base units it holds."""

    unit: UnitName
    holds: QuantityView


class ItemView(Struct, kw_only=True):
    """One article of the assortment."""

    id: ItemId
    sku: Sku
    name: str
    unit: UnitName
    packs: list[PackView]
    list_price: MoneyView | None


class ItemPage(Struct, kw_only=True):
    """A page of items."""

    items: Annotated[list[ItemView], Meta(max_length=200)]
    next_cursor: Cursor | None


class LocationView(Struct, kw_only=True):
    """What one location could send of it.

    Together they may exceed what you may sell, because buffers and shares are held over all locations.
    """

    location: str
    available_to_sell: QuantityView


class FreshnessView(Struct, kw_only=True):
    """How fresh an answer is. `confidence` is `high`, `degraded` or `stale`."""

    as_of: Instant
    confidence: str


class AvailabilityView(Struct, kw_only=True):
    """What you may sell of one article now, and where it would come from."""

    item: ItemRef
    available_to_sell: QuantityView
    locations: Annotated[list[LocationView], Meta(max_length=1000)]
    freshness: FreshnessView
    version: Annotated[int, Meta(ge=0, description="Rises with every change of this figure.")]


class AvailabilityQuery(Input):
    """Which articles to answer for."""

    skus: Annotated[list[Sku], Meta(min_length=1, max_length=200)]


class AvailabilityList(Struct, kw_only=True):
    """The answers, in the order asked, and the article numbers we do not know."""

    items: Annotated[list[AvailabilityView], Meta(max_length=200)]
    unknown_skus: Annotated[list[Sku], Meta(max_length=200)]


Fill = Annotated[
    Literal["complete", "line_complete", "partial", "fill_or_kill"],
    Meta(
        description="How lines leave where stock does not do for all of the order: `complete` together, "
        "`line_complete` each when all of it is there, `partial` what is there and the rest later. `fill_or_kill` "
        "never waits: the order is refused where not all of it can be promised at once. Your channel's, if left out."
    ),
]


class AddressInput(Input):
    """Where the goods go."""

    name: Line
    street: Line
    city: Line
    postal_code: Annotated[str, Meta(min_length=1, max_length=16, pattern=TEXT)]
    country: Country


class DeliveryInput(Input):
    """Where the goods go, and when they are needed."""

    ship_to: AddressInput
    requested_date: (
        Annotated[date, Meta(description="The business day you need it, at the shipping location.")] | None
    ) = None
    fill: Fill | None = None


class QuantityInput(Input):
    """How much: counted in one of the article's units, its base unit when none is given."""

    amount: Amount
    unit: Unit | None = None


class PriceInput(Input):
    """What one of the unit costs, before tax, in the currency you are sold in, which it is when none is given."""

    amount: Annotated[
        str,
        Meta(
            max_length=20,
            pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$(?!\n)",
            description="A decimal number as a string.",
            examples=["19.99"],
        ),
    ]
    currency: Currency | None = None


class OrderLineInput(Input):
    """One article ordered.

    `stated_price` is what you take one of the ordered unit to cost. Ours holds; where yours is off by more than we
    agreed on, the order is held until we have talked, or refused (409 `order.price_differs`): you are never charged
    otherwise in silence.
    """

    sku: Sku
    quantity: QuantityInput
    stated_price: PriceInput | None = None


class OrderInput(Input):
    """An order. Sent twice with the same content it is one order."""

    external_number: Reference
    delivery: DeliveryInput
    lines: Annotated[list[OrderLineInput], Meta(min_length=1, max_length=500)]
    account: Account | None = None


class AddressView(Struct, kw_only=True):
    """Where the goods go."""

    name: str
    street: str
    city: str
    postal_code: str
    country: str


class DeliveryView(Struct, kw_only=True):
    """Where the goods go, and when they are needed."""

    ship_to: AddressView
    requested_date: date | None
    fill: Annotated[str, Meta(description="How its lines leave; see the order that you send.")]


class CountersView(Struct, kw_only=True):
    """How far a line is, in the item's base unit: ordered = open + backordered + shipped + cancelled.

    Of `shipped`, `returned` came back, and `credited` of that is on credit notes.
    """

    unit: UnitName
    ordered: Figure
    open: Figure
    backordered: Figure
    shipped: Figure
    cancelled: Figure
    returned: Figure
    credited: Figure


class OrderLineView(Struct, kw_only=True):
    """One line: what you asked for, in your unit, and how far it is. `unit_price` is per base unit.

    `stated_price` is what you said that one of your unit costs.
    """

    line: Annotated[int, Meta(ge=1, le=500)]
    item: ItemRef
    quantity: QuantityView
    counters: CountersView
    unit_price: MoneyView
    stated_price: MoneyView | None
    expected_date: Annotated[
        date | None,
        Meta(
            description="When what is backordered of it is expected, null where unknown; where nothing is, when it "
            "arrives, if that is after `requested_date`."
        ),
    ]


class ShippedLineView(Struct, kw_only=True):
    """What a shipment holds of one line."""

    line: Annotated[int, Meta(ge=1, le=500)]
    item: ItemRef
    quantity: QuantityView


class TrackingView(Struct, kw_only=True):
    """How goods travel: the carrier's numbers of the parcels, and how far they are, as the carrier told last.

    `milestone` is one of `collected`, `in_transit`, `out_for_delivery`, `delivered`, `delayed`, `failed`, `returned`,
    null before the first; expect further words.
    """

    service: str
    numbers: Annotated[list[str], Meta(max_length=1000)]
    url: str | None
    arrives_on: date | None
    milestone: str | None
    reached_at: Instant | None


class ShipmentView(Struct, kw_only=True):
    """What left one location under one document of the warehouse; `tracking` is null where no carrier is known."""

    id: str
    location: str
    tracking: TrackingView | None
    lines: Annotated[list[ShippedLineView], Meta(max_length=500)]


class StatusView(Struct, kw_only=True):
    """Where an order stands.

    `state` is one of `promised`, `held`, `backordered`, `submitted`, `released`, `partially_shipped`, `shipped`,
    `invoiced`, `completed`, `cancelled`, `rejected`, `exception`; expect further words. `settled`: nothing more will
    happen to it.
    `cancelling`: its cancellation was asked for, and not every system that holds it has confirmed; `changing`: the same
    of a change of yours.
    """

    state: str
    settled: bool
    cancelling: bool
    changing: bool


class OrderView(Struct, kw_only=True):
    """An order as you may see it."""

    id: OrderId
    external_number: Reference
    account: str
    status: StatusView
    placed_at: Instant
    delivery: DeliveryView
    total: MoneyView
    lines: Annotated[list[OrderLineView], Meta(max_length=500)]
    shipments: Annotated[list[ShipmentView], Meta(max_length=1000)]
    version: Annotated[int, Meta(ge=1)]


class OrderSummary(Struct, kw_only=True):
    """An order in a list."""

    id: OrderId
    external_number: Reference
    account: str
    state: str
    placed_at: Instant
    total: MoneyView


class OrderPage(Struct, kw_only=True):
    """A page of your orders, newest first."""

    items: Annotated[list[OrderSummary], Meta(max_length=100)]
    next_cursor: Cursor | None


class OrderEvent(Struct, kw_only=True):
    """Something that happened to an order."""

    type: str
    occurred_at: Instant
    detail: str | None = None


class QueueView(Struct, kw_only=True):
    """Its place among the orders that wait for one system behind us, 1 the next, and when its turn is expected."""

    place: Annotated[int, Meta(ge=1)]
    expected_at: Annotated[
        Instant | None, Meta(description="By how fast others leave; null while nobody has left lately.")
    ]


class OrderMonitor(Struct, kw_only=True):
    """How far an order is, and everything that happened to it. `waiting` is null where it stands in no queue."""

    id: OrderId
    status: StatusView
    waiting: QueueView | None
    events: list[OrderEvent]


class CancellationInput(Input):
    """Why an order is cancelled."""

    reason: Literal["customer_request", "duplicate", "mistake", "other"]
    note: Annotated[str, Meta(min_length=1, max_length=200, pattern=TEXT)] | None = None


class CancellationView(Struct, kw_only=True):
    """A cancellation under way: `requested` until every system that holds the order has confirmed, then `cancelled`."""

    order_id: OrderId
    state: str


class OrderUpdated(Struct, kw_only=True):
    """An order of yours changed.

    `data` is the order as it is now, which may be further than the change that this message is about.
    """

    type: Literal["order.updated"]
    api_version: Literal["v2"]
    timestamp: Instant
    data: OrderView


class AvailabilityChanged(Struct, kw_only=True):
    """What you may sell of an article changed.

    Compare `data.version` with what you have: messages may overtake each other, and the higher version counts.
    """

    type: Literal["availability.changed"]
    api_version: Literal["v2"]
    timestamp: Instant
    data: AvailabilityView


class StreamNotice(Struct, kw_only=True):
    """What a stream of events says about itself.

    `stream.reset`: what happened since your Last-Event-ID is not known any more, so read your orders and availability
    afresh. `stream.ended`: connect again.
    """

    type: Literal["stream.reset", "stream.ended"]
    reason: str
    detail: str
