"""What an operator decides of reconciliation: how often, and how much a machine may settle alone."""

from __future__ import annotations

from decimal import Decimal
from fnmatch import fnmatchcase

from msgspec import Struct

from gateway.kernel.errors import Misconfigured


class Tolerance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a difference may go and be settled without a person: within all of these that are given.

    Of several that fit a `location` and `sku` (a pattern: ``BOLT*``), the first holds. `absolute` is in base units,
    `percent` of what was expected, `value` at list price. A person settles alone up to `alone_absolute` and
    `alone_value`; above either, a second one must agree.
    """

    location: str | None = None
    sku: str = "*"
    absolute: Decimal = Decimal(0)
    percent: Decimal | None = None
    value: Decimal | None = None
    alone_absolute: Decimal | None = None
    alone_value: Decimal | None = None

    def __post_init__(self) -> None:
        given = (self.absolute, self.percent, self.value, self.alone_absolute, self.alone_value)
        if any(limit is not None and not limit >= 0 for limit in given):
            raise Misconfigured("reconciliation.tolerances: limits are 0 or more")


class ReconciliationOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reconciliation. Each `*_seconds` is how often the worker holds that against each other; 0: only when asked.

    Snapshots are looked at again for `window_hours`, as late events explain what they showed. What happened less than
    `in_flight_seconds` ago may still be on its way to us and counts as neither lost nor different. A
    run asks the ERPs about `orders_per_run` orders and the next goes on from there. A shipment is to be invoiced within
    `invoice_hours`; what a line is billed may be off by `invoice_tolerance`, in the order's currency, as ERPs round.
    """

    stock_seconds: float = 3_600.0
    orders_seconds: float = 3_600.0
    shipments_seconds: float = 3_600.0
    invoices_seconds: float = 0.0
    window_hours: float = 72.0
    in_flight_seconds: float = 120.0
    orders_per_run: int = 500
    invoice_hours: float = 24.0
    invoice_tolerance: Decimal = Decimal("0.01")
    tolerances: tuple[Tolerance, ...] = ()

    def __post_init__(self) -> None:
        times = (self.stock_seconds, self.orders_seconds, self.shipments_seconds, self.in_flight_seconds)
        more = (self.invoices_seconds, self.invoice_hours, float(self.invoice_tolerance))
        if min(*times, *more) < 0 or self.window_hours <= 0 or self.orders_per_run < 1:
            raise Misconfigured("reconciliation: times are 0 or more, window_hours and orders_per_run above 0")

    def tolerance(self, location: str, sku: str) -> Tolerance:
        """The one that holds for an item at a location; nothing is tolerated where none does."""
        fitting = (
            each
            for each in self.tolerances
            if each.location in (None, location) and fnmatchcase(sku.upper(), each.sku.upper())
        )
        return next(fitting, Tolerance())
