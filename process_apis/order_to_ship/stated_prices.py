"""Prices that buyers state: how far one may be off ours, and what becomes of an order where one is further off. Pure.

Ours holds in any case, but no order is priced otherwise than its buyer said without somebody, or its buyer, knowing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from gateway.kernel.errors import Misconfigured
from gateway.kernel.quantity import plain
from process_apis.order_to_ship.models import Order, OrderLine

_ZERO: Final = Decimal(0)
_HUNDRED: Final = Decimal(100)


class StatedPrices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel's terms for prices that its buyers state. By default none is off.

    One must pass both: it is off by `percent` of our price at most, and its line by `amount` of the channel's currency.
    Else the order is held for a person (``hold``), or refused (``refuse``).
    """

    percent: Decimal = _ZERO
    amount: Decimal = _ZERO
    then: Literal["hold", "refuse"] = "hold"

    def __post_init__(self) -> None:
        if not (self.percent >= 0 and self.amount >= 0):
            raise Misconfigured("channels.stated_prices: percent and amount are 0 or more")


class PriceDifference(NamedTuple):
    """A line whose stated price is off by too much, in words."""

    line: int
    detail: str


def price_differences(order: Order, terms: StatedPrices) -> Sequence[PriceDifference]:
    """The lines whose stated price doesn't pass."""
    return [
        PriceDifference(
            line.line,
            f"line {line.line}: its buyer states {plain(stated)} {order.currency} a {line.asked_uom}, "
            f"our price is {plain(line.unit_price * line.factor)}",
        )
        for line in order.lines
        if (stated := line.stated_price) is not None and not _passes(line, stated, terms)
    ]


def _passes(line: OrderLine, stated: Decimal, terms: StatedPrices) -> bool:
    ours = line.unit_price * line.factor
    off = abs(stated - ours)
    return off * _HUNDRED <= ours * terms.percent and off * line.asked_amount <= terms.amount
