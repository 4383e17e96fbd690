"""What an operator decides of stock operations: under whose rule transfers are promised, how far a count may be off."""

from __future__ import annotations

from decimal import Decimal
from fnmatch import fnmatchcase

from msgspec import Struct

from gateway.kernel.errors import Misconfigured


class CountTolerance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a cycle count may be from the books and be believed at once: within all of these that are given.

    Of several that fit a `location`, `group` of items and `sku` (a pattern: ``BOLT*``), the first holds. `absolute` is
    in base units, `percent` of what was expected, `value` at list price. Above it a second count is asked for, and then
    a person; one person agrees to variances of `alone_value` in all, above it takes two.
    """

    location: str | None = None
    group: str | None = None
    sku: str = "*"
    absolute: Decimal = Decimal(0)
    percent: Decimal | None = None
    value: Decimal | None = None
    alone_value: Decimal | None = None

    def __post_init__(self) -> None:
        given = (self.absolute, self.percent, self.value, self.alone_value)
        if any(limit is not None and not limit >= 0 for limit in given):
            raise Misconfigured("stock_operations.tolerances: limits are 0 or more")


class StockOperationsOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stock operations. `channel` is the one whose rule says what transfers may take at their origin."""

    channel: str = "transfers"
    tolerances: tuple[CountTolerance, ...] = ()

    def tolerance(self, location: str, sku: str, group: str | None = None) -> CountTolerance:
        """The one that holds for an item at a location; nothing is tolerated where none does."""
        fitting = (
            each
            for each in self.tolerances
            if each.location in (None, location)
            and each.group in (None, group)
            and fnmatchcase(sku.upper(), each.sku.upper())
        )
        return next(fitting, CountTolerance())
