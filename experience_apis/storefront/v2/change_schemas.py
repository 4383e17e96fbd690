"""The shapes of changes of orders on the wire, version 2; the rules of `schemas.py` hold."""

from datetime import date
from typing import Annotated

from msgspec import Meta, Struct, field

from experience_apis.storefront.v2.schemas import TEXT, AddressInput, Input, OrderId, Unit

ChangeReference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=TEXT,
        description="Your own number of the change. It names one change of the order for ever.",
        examples=["PO-2026-0042/1"],
    ),
]
WantedAmount = Annotated[
    str,
    Meta(
        max_length=20,
        pattern=r"^(0|[1-9][0-9]{0,8}(\.[0-9]{1,6})?)$(?!\n)",
        description="A decimal number as a string, `0` for none.",
        examples=["2"],
    ),
]


class WantedInput(Input):
    """How much is wanted, in the unit it was ordered in or its base unit, which it is when none is given."""

    amount: WantedAmount
    unit: Unit | None = None


class ChangedLineInput(Input):
    """One line, and how much of it is wanted in all."""

    line: Annotated[int, Meta(ge=1, le=500)]
    quantity: WantedInput


class ChangeInput(Input):
    """What an order is to be instead. What is left out stays as it is."""

    reference: ChangeReference
    lines: Annotated[list[ChangedLineInput], Meta(max_length=500)] = field(default_factory=list)
    ship_to: AddressInput | None = None
    requested_date: (
        Annotated[date, Meta(description="The business day you need it, at the shipping location.")] | None
    ) = None


class ChangeView(Struct, kw_only=True):
    """A change of an order: `requested` until every system that has it gave it back, then `done`.

    One that cannot be done then is not: the order goes on as it was, and its monitor says so
    (`order.change_refused`).
    """

    order_id: OrderId
    state: str
    version: Annotated[int, Meta(ge=1)]
