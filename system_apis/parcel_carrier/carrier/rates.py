"""What the carrier charges: by weight, zone and service. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from gateway.sandboxes.books import Refusal

SERVED: Final = ("US", "CA", "MX", "DE", "FR", "GB")
PARCEL_G: Final = 30_000
_HEAVIEST_G: Final = 1_000_000
# Service: name, cents for the first kilogram, cents for each further one, working days by zone (none: not served).
SERVICES: Final[dict[str, tuple[str, int, int, dict[int, int]]]] = {
    "ECO": ("Economy", 590, 60, {1: 3, 2: 5, 3: 10}),
    "STD": ("Standard", 890, 95, {1: 1, 2: 3, 3: 6}),
    "EXP": ("Express", 2_490, 310, {1: 1, 2: 1}),
}


def zone(depot: dict[str, str], to: dict[str, Any]) -> int:
    """1 near the depot, 2 in its country, 3 abroad; refuses a country that is not served."""
    if to["country"] not in SERVED:
        raise Refusal(422, "NOT_SERVED", f"we do not deliver to {to['country']!r}")
    if to["country"] != depot["country"]:
        return 3
    return 1 if str(to["postcode"])[:1] == depot["postcode"][:1] else 2


def rates(depot: dict[str, str], to: dict[str, Any], grams: int, ready_on: date) -> list[dict[str, Any]]:
    """Every service that serves the address."""
    if not 0 < grams <= _HEAVIEST_G:
        raise Refusal(422, "BAD_WEIGHT", "grams must be from 1 to 1,000,000")
    where = zone(depot, to)
    more = -(-grams // 1_000) - 1
    return [
        {
            "service": code,
            "name": name,
            "cents": (first + further * more) * where,
            "currency": depot["currency"],
            "arrives_on": _later(ready_on, days[where]).isoformat(),
        }
        for code, (name, first, further, days) in SERVICES.items()
        if where in days
    ]


def _later(day: date, working_days: int) -> date:
    for _ in range(working_days):
        day += timedelta(days=1)
        while day.isoweekday() > 5:  # noqa: PLR2004 - Saturday and Sunday (ISO 8601)
            day += timedelta(days=1)
    return day
