"""Settings of one Tryton instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

# Symbols of the units that Tryton's product module creates, with their UN/ECE Recommendation 20 codes.
STANDARD_UNITS: Final[Mapping[str, str]] = {
    "u": "EA",
    "kg": "KGM",
    "g": "GRM",
    "lb": "LBR",
    "oz": "ONZ",
    "L": "LTR",
    "gal": "GLL",
    "m": "MTR",
    "cm": "CMT",
    "mm": "MMT",
    "ft": "FOT",
    "in": "INH",
    "m²": "MTK",
    "m³": "MTQ",
    "h": "HUR",
    "d": "DAY",
}


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Tryton database and the user we are in it.

    `base_url` ends before the database name. `password` is ``env:NAME`` or ``file:/path``. `company` is the name of
    the company's party; it may stay open where there is one. `units` adds to or overrides the table of Tryton unit
    symbols and UN/ECE Rec 20 codes; a symbol without a code is reported as it is. A customer in the party category
    `hold_category` takes no new orders. Listed as customers are parties with a payment term for customers and those in
    the category `customer_category`, for Tryton has no flag of its own. Sales whose reference starts with
    `reference_prefix` are ours.
    `settle_time_s`: how many seconds an unanswered request may still be at work in Tryton.
    `order_key_epoch` is raised by the operator after Tryton was restored from a backup.
    """

    base_url: str
    database: str
    user: str
    password: str
    company: str | None = None
    units: Mapping[str, str] = {}
    hold_category: str = "Credit hold"
    customer_category: str = "Customer"
    reference_prefix: str = "ord_"
    settle_time_s: float = 30.0
    order_key_epoch: int = 0
    page_size: int = 500

    def unit_codes(self) -> Mapping[str, str]:
        """Rec 20 code by Tryton symbol."""
        return {**STANDARD_UNITS, **self.units}
