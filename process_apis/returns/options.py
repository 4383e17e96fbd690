"""What an operator decides of returns: which reasons there are, for how long, who pays, what is kept back."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from gateway.kernel.errors import Misconfigured, Rejected
from process_apis.returns.models import Freight

_WHOLE = Decimal(100)


class ReturnReason(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reason to send goods back. `window_days` since they left; `fee_percent` of their price is kept for restocking.

    `freight` says who pays for the way back.
    """

    code: str
    window_days: int | None = None
    fee_percent: Decimal = Decimal(0)
    freight: Freight = "buyer"

    def __post_init__(self) -> None:
        if not 0 <= self.fee_percent <= _WHOLE:
            raise Misconfigured("returns.reasons: fee_percent is 0 to 100")
        if self.window_days is not None and self.window_days < 1:
            raise Misconfigured("returns.reasons: window_days is 1 or more")


_REASONS = (
    ReturnReason(code="damaged", freight="seller"),
    ReturnReason(code="wrong_item", freight="seller"),
    ReturnReason(code="not_as_described", freight="seller"),
    ReturnReason(code="recall", freight="seller", window_days=3650),
    ReturnReason(code="not_needed"),
)


class ReturnOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Returns. `window_days` since goods left holds for reasons without one of their own.

    A return that nothing was received of after `expected_days` is shown as overdue. `reasons` in the settings replace
    those that are there without any.
    """

    window_days: int = 30
    expected_days: int = 21
    reasons: tuple[ReturnReason, ...] = _REASONS

    def __post_init__(self) -> None:
        if self.window_days < 1 or self.expected_days < 1:
            raise Misconfigured("returns: window_days and expected_days are 1 or more")
        codes = [each.code for each in self.reasons]
        if not codes or len(set(codes)) != len(codes):
            raise Misconfigured("returns.reasons: each code once, and at least one")

    def reason(self, code: str) -> ReturnReason:
        """The terms of a reason; raises `Rejected` (``return.reason_unknown``)."""
        for each in self.reasons:
            if each.code == code:
                return each
        known = ", ".join(each.code for each in self.reasons)
        raise Rejected(f"there is no reason {code[:40]!r}: give one of {known}", code="return.reason_unknown")

    def window(self, code: str) -> int:
        """For how many days after they left goods may be sent back for that reason."""
        return self.reason(code).window_days or self.window_days
