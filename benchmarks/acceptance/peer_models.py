"""The storefront's order, version 2, as pydantic models: the peer takes and gives the same bytes as the gateway."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.kernel.quantity import plain
from process_apis.order_to_ship.models import Order, OrderLine

_TEXT = r"^[^\x00-\x1f\x7f-\x9f]+$"
_Line = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=_TEXT)]
_Sku = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_TEXT)]
_Reference = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_TEXT)]
_Account = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=_TEXT)]
_PostalCode = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=_TEXT)]
_Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
_Unit = Annotated[str, StringConstraints(max_length=8, pattern=r"^[A-Z0-9]+$")]
_Amount = Annotated[str, StringConstraints(max_length=20, pattern=r"^[1-9][0-9]{0,8}(\.[0-9]{1,6})?$")]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AddressIn(_Input):
    """Where the goods go."""

    name: _Line
    street: _Line
    city: _Line
    postal_code: _PostalCode
    country: _Country


class DeliveryIn(_Input):
    """Where the goods go, and when they are needed."""

    ship_to: AddressIn
    requested_date: date | None = None
    fill: Literal["complete", "line_complete", "partial", "fill_or_kill"] | None = None


class QuantityIn(_Input):
    """How much."""

    amount: _Amount
    unit: _Unit | None = None


class LineIn(_Input):
    """One article ordered."""

    sku: _Sku
    quantity: QuantityIn


class OrderIn(_Input):
    """An order."""

    external_number: _Reference
    delivery: DeliveryIn
    lines: Annotated[list[LineIn], Field(min_length=1, max_length=500)]
    account: _Account | None = None


class MoneyOut(BaseModel):
    """An exact amount of money."""

    amount: str
    currency: str


class QuantityOut(BaseModel):
    """An exact quantity."""

    amount: str
    unit: str


class ItemOut(BaseModel):
    """Which article."""

    id: str
    sku: str


class CountersOut(BaseModel):
    """How far a line is."""

    unit: str
    ordered: str
    open: str
    backordered: str
    shipped: str
    cancelled: str
    returned: str
    credited: str


class LineOut(BaseModel):
    """One line."""

    line: int
    item: ItemOut
    quantity: QuantityOut
    counters: CountersOut
    unit_price: MoneyOut
    stated_price: MoneyOut | None = None
    expected_date: date | None = None


class AddressOut(BaseModel):
    """Where the goods go."""

    name: str
    street: str
    city: str
    postal_code: str
    country: str


class DeliveryOut(BaseModel):
    """Where the goods go, and when they are needed."""

    ship_to: AddressOut
    requested_date: date | None
    fill: str


class StatusOut(BaseModel):
    """Where an order stands."""

    state: str
    settled: bool
    cancelling: bool
    changing: bool


class OrderOut(BaseModel):
    """An order that was just accepted: nothing of it is shipped."""

    id: str
    external_number: str
    account: str
    status: StatusOut
    placed_at: str
    delivery: DeliveryOut
    total: MoneyOut
    lines: list[LineOut]
    shipments: list[None]
    version: int


def order_out(order: Order) -> OrderOut:
    """The same view of an order as the storefront's."""
    to = order.ship_to
    address = AddressOut(
        name=to.name, street=to.street, city=to.city, postal_code=to.postal_code, country=to.country
    )  # fmt: skip
    return OrderOut(
        id=order.order_id,
        external_number=order.external_number,
        account=order.sold_to,
        status=StatusOut(state=order.state.value, settled=False, cancelling=False, changing=False),
        placed_at=order.placed_at.isoformat().replace("+00:00", "Z"),
        delivery=DeliveryOut(ship_to=address, requested_date=order.requested_date, fill=order.fill),
        total=_money(order.total, order.currency),
        lines=[_line(line, order.currency) for line in order.lines],
        shipments=[],
        version=order.version,
    )


def _line(line: OrderLine, currency: str) -> LineOut:
    return LineOut(
        line=line.line,
        item=ItemOut(id=line.item, sku=line.sku),
        quantity=QuantityOut(amount=plain(line.asked_amount), unit=line.asked_uom),
        counters=CountersOut(
            unit=line.uom,
            ordered=plain(line.ordered),
            open=plain(line.open),
            backordered=plain(line.backordered),
            shipped=plain(line.shipped),
            cancelled=plain(line.cancelled),
            returned="0",
            credited="0",
        ),
        unit_price=_money(line.unit_price, currency),
    )


def _money(amount: Decimal, currency: str) -> MoneyOut:
    whole, _, decimals = plain(amount).partition(".")
    return MoneyOut(amount=f"{whole}.{decimals.ljust(2, '0')}", currency=currency)
