"""When goods leave a location: its cut-offs, working days and holidays, and how long they travel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final

from msgspec import Meta, Struct

ANYWHERE: Final = "*"
TimeOfDay = Annotated[
    str,
    Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)", description="by the location's clock", examples=["15:00"]),
]
Weekday = Annotated[int, Meta(ge=1, le=7, description="ISO 8601: Monday is 1")]
Days = Annotated[int, Meta(ge=0, le=365)]
Region = Annotated[
    str,
    Meta(
        pattern=r"^(\*|[A-Z]{2}( [^\x00-\x1f\x7f-\x9f]{1,15})?)$(?!\n)",
        description="a country (ISO 3166-1 alpha-2), a country and how its postal codes begin, or `*` for all others",
        examples=["US", "US 97"],
    ),
]


class CutOff(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until when an order must have come to be begun with on the same day: from the day `valid_from` on, if given.

    Of those that hold on a day the one that holds since latest counts; of these, one that names its `weekdays`.
    """

    at: TimeOfDay
    valid_from: date | None = None
    weekdays: tuple[Weekday, ...] = ()


class ShippingTimes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a location ships; dates and times are by its own time zone.

    Without a cut-off an order has until the end of the day. Goods leave `handling_days` working days after the day that
    an order is begun with, and travel so many calendar days as `transit_days` says of the region that they go to: the
    longest that the ship-to begins with counts, none is no time at all.
    """

    cut_offs: Annotated[tuple[CutOff, ...], Meta(max_length=100)] = ()
    working_days: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)] = (1, 2, 3, 4, 5)
    holidays: Annotated[tuple[date, ...], Meta(max_length=1000)] = ()
    handling_days: Days = 0
    transit_days: Annotated[Mapping[Region, Days], Meta(max_length=1000)] = {}
