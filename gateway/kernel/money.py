"""Exact money: a Decimal amount and an ISO 4217 currency."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from gateway.kernel.errors import Rejected


class Money(Struct, frozen=True):
    """An exact amount in one currency. Adding two currencies raises."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not self.amount.is_finite():
            raise Rejected(f"{self.amount} is not an amount: give a finite decimal number", code="money.not_finite")

    def __add__(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise Rejected(f"cannot add {other.currency} to {self.currency}", code="money.currency_mismatch")
        return Money(self.amount + other.amount, self.currency)

    def times(self, factor: Decimal) -> Money:
        """This amount `factor` times, not rounded."""
        return Money(self.amount * factor, self.currency)
