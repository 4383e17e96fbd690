"""The storefront's shapes on the wire, version 1.

Amounts and quantities are decimal strings, never JSON numbers; instants are RFC 3339 in UTC; enums in answers are
open (a client must accept words that it does not know), enums in requests are closed.
"""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct

TEXT = r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)"
ITEM_ID = r"^itm_[0-9a-hjkmnp-tv-z]{26}$(?!\n)"
ORDER_ID = r"^ord_[0-9a-hjkmnp-tv-z]{26}$(?!\n)"
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
Quantity = Annotated[
    str,
    Meta(
        max_length=20,
        pattern=r"^[1-9][0-9]{0,8}(\.[0-9]{1,6})?$(?!\n)",
        description="A positive decimal number as a string, counted in the unit beside it.",
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


class PackView(Struct, kw_only=True):
    """A unit an item is also sold in, and how many base units it holds."""

    unit: UnitName
    holds: Figure


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


class AvailabilityView(Struct, kw_only=True):
    """What you may sell of one article now. `confidence` is `high`, `degraded` or `stale`."""

    item_id: ItemId
    sku: Sku
    available_to_sell: Figure
    unit: UnitName
    as_of: Instant
    confidence: str
    version: Annotated[int, Meta(ge=0, description="Rises with every change of this figure.")]


class AvailabilityQuery(Input):
    """Which articles to answer for."""

    skus: Annotated[list[Sku], Meta(min_length=1, max_length=200)]


class AvailabilityList(Struct, kw_only=True):
    """The answers, in the order asked, and the article numbers we do not know."""

    items: Annotated[list[AvailabilityView], Meta(max_length=200)]
    unknown_skus: Annotated[list[Sku], Meta(max_length=200)]


class AddressInput(Input):
    """Where the goods go."""

    name: Line
    street: Line
    city: Line
    postal_code: Annotated[str, Meta(min_length=1, max_length=16, pattern=TEXT)]
    country: Country


class OrderLineInput(Input):
    """One article ordered, counted in one of its units (its base unit when none is given)."""

    sku: Sku
    quantity: Quantity
    unit: Unit | None = None


class OrderInput(Input):
    """An order. Sent twice with the same content it is one order."""

    external_number: Reference
    ship_to: AddressInput
    lines: Annotated[list[OrderLineInput], Meta(min_length=1, max_length=500)]
    account: Account | None = None
    requested_date: (
        Annotated[date, Meta(description="The business day you need it, at the shipping location.")] | None
    ) = None


class OrderLineView(Struct, kw_only=True):
    """One line and its counters: ordered = open + backordered + shipped + cancelled, in the item's base unit."""

    line: Annotated[int, Meta(ge=1, le=500)]
    item_id: ItemId
    sku: Sku
    unit: UnitName
    ordered: Figure
    open: Figure
    backordered: Figure
    shipped: Figure
    cancelled: Figure
    unit_price: MoneyView


class OrderView(Struct, kw_only=True):
    """An order as you may see it.

    `state` is one of `promised`, `held`, `backordered`, `submitted`, `released`, `partially_shipped`, `shipped`,
    `completed`, `cancelled`, `rejected`, `exception`; expect further words.
    """

    id: OrderId
    external_number: Reference
    account: str
    state: str
    placed_at: Instant
    requested_date: date | None
    total: MoneyView
    lines: Annotated[list[OrderLineView], Meta(max_length=500)]
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


class OrderMonitor(Struct, kw_only=True):
    """How far an order is. `settled` turns true when nothing more will happen to it."""

    id: OrderId
    state: str
    settled: bool
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
    timestamp: Instant
    data: OrderView


class AvailabilityChanged(Struct, kw_only=True):
    """What you may sell of an article changed.

    Compare `data.version` with what you have: messages may overtake each other, and the higher version counts.
    """

    type: Literal["availability.changed"]
    timestamp: Instant
    data: AvailabilityView
