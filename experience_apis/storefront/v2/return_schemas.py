"""The shapes of returns on the wire, version 2; the rules of `schemas.py` hold."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct

from experience_apis.storefront.v2.schemas import (
    RETURN_ID,
    TEXT,
    Cursor,
    Figure,
    Input,
    Instant,
    ItemRef,
    MoneyView,
    OrderId,
    QuantityInput,
    UnitName,
)

ReturnId = Annotated[str, Meta(max_length=30, pattern=RETURN_ID, description="Our opaque id of a return.")]
ReturnReference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=TEXT,
        description="Your own number of the return. It names one return for ever.",
        examples=["RMA-2026-0017"],
    ),
]
Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=60,
        pattern=r"^[a-z0-9_]+$(?!\n)",
        description="Why it comes back. Unless we agreed on others: `damaged`, `wrong_item`, `not_as_described`, "
        "`recall`, `not_needed`.",
        examples=["damaged"],
    ),
]


class ReturnLineInput(Input):
    """How much of one order line comes back, in the unit it was ordered in or its base unit, and why."""

    line: Annotated[int, Meta(ge=1, le=500)]
    quantity: QuantityInput
    reason: Reason


class ReturnInput(Input):
    """Goods of one of your orders that are to come back. Sent twice with the same content it is one return."""

    reference: ReturnReference
    order_id: OrderId
    lines: Annotated[list[ReturnLineInput], Meta(min_length=1, max_length=200)]
    note: Annotated[str, Meta(min_length=1, max_length=200, pattern=TEXT)] | None = None


class ReturnCancellationInput(Input):
    """Why nothing comes back after all."""

    reason: Annotated[str, Meta(min_length=1, max_length=200, pattern=TEXT, examples=["the buyer keeps it"])]


class ReturnCountersView(Struct, kw_only=True):
    """How far a line is, in the item's base unit.

    `asked` is authorised once the return is. Of `received`, `dispositioned` was decided about, `refused` is not
    credited, and `credited` is on credit notes asked for or issued.
    """

    unit: UnitName
    asked: Figure
    received: Figure
    dispositioned: Figure
    refused: Figure
    credited: Figure


class ReturnLineView(Struct, kw_only=True):
    """One line. `unit_price` is per base unit; `fee_percent` of it is kept for restocking."""

    line: Annotated[int, Meta(ge=1, le=500)]
    item: ItemRef
    reason: str
    counters: ReturnCountersView
    unit_price: MoneyView
    fee_percent: Figure


class CreditNoteView(Struct, kw_only=True):
    """A credit note. `net` is before tax and less `fee`; number, date and `total`, with tax, are null until issued."""

    number: str | None
    issued: bool
    issued_on: date | None
    net: MoneyView
    fee: MoneyView
    total: MoneyView | None


class ReturnStatusView(Struct, kw_only=True):
    """Where a return stands.

    `state` is one of `requested` (somebody decides, `review` says why), `refused`, `authorised`, `cancelled`,
    `receiving`, `received`, `dispositioned`, `credited`, `closed`; expect further words. `settled`: nothing more is
    expected of it.
    """

    state: str
    settled: bool
    review: str | None


class ReturnView(Struct, kw_only=True):
    """A return of one of your orders.

    It comes to `location`, and `freight` (`buyer` or `seller`) pays for the way. `reference` is null where we asked
    for it.
    """

    id: ReturnId
    reference: str | None
    order_id: OrderId
    status: ReturnStatusView
    location: str
    freight: str
    asked_at: Instant
    lines: Annotated[list[ReturnLineView], Meta(max_length=500)]
    credit_notes: Annotated[list[CreditNoteView], Meta(max_length=1000)]
    version: Annotated[int, Meta(ge=1)]


class ReturnPage(Struct, kw_only=True):
    """A page of your returns, newest first."""

    items: Annotated[list[ReturnView], Meta(max_length=100)]
    next_cursor: Cursor | None


class ReturnUpdated(Struct, kw_only=True):
    """A return of yours changed.

    `data` is the return as it is now, which may be further than the change that this message is about: the higher
    version counts.
    """

    type: Literal["return.updated"]
    api_version: Literal["v2"]
    timestamp: Instant
    data: ReturnView
