"""Exact quantities. A quantity is never a bare number: it has a unit (UN/ECE Rec 20: ``EA``, ``CS``, ``KGM``)."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import Final

from msgspec import Struct

from gateway.kernel.errors import Rejected

COUNTED_UNITS: Final = frozenset({"EA", "C62", "H87", "NAR", "NMB", "PCE", "PR", "SET"})
"""Units of UN/ECE Rec 20 that count pieces: an amount of them is whole."""


class Quantity(Struct, frozen=True, order=False):
    """An exact amount of a unit. Adding different units raises; nothing is ever rounded in silence."""

    amount: Decimal
    uom: str

    def __post_init__(self) -> None:
        if not self.amount.is_finite():
            raise Rejected(f"{self.amount} is not a quantity: give a finite decimal number", code="quantity.not_finite")

    def _same(self, other: Quantity) -> None:
        if self.uom != other.uom:
            raise Rejected(
                f"cannot combine {self.uom} with {other.uom}: convert to one unit first", code="quantity.unit_mismatch"
            )

    def __add__(self, other: Quantity) -> Quantity:
        self._same(other)
        return Quantity(self.amount + other.amount, self.uom)

    def __sub__(self, other: Quantity) -> Quantity:
        self._same(other)
        return Quantity(self.amount - other.amount, self.uom)

    def __neg__(self) -> Quantity:
        return Quantity(-self.amount, self.uom)

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.uom}"


def plain(amount: Decimal) -> str:
    """Decimal notation without exponent or trailing zeros: ``Decimal("1E+2")`` gives ``"100"``."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


class UnitConversion(Struct, frozen=True):
    """How many base units one alternative unit of one item holds (a case has no universal factor)."""

    uom: str
    factor: Decimal

    def from_base_floor(self, amount: Decimal) -> Decimal:
        """Whole alternative units contained in `amount` base units: outbound availability is floored."""
        return (amount / self.factor).to_integral_value(ROUND_FLOOR)
