"""When goods leave a location, and when they arrive: by its cut-offs, working days and holidays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from gateway.canonical.location import LocationMap
from gateway.canonical.shipping_times import ANYWHERE, CutOff, ShippingTimes
from gateway.canonical.stock import ClaimedLine, ClaimRequest
from gateway.kernel.clock import Clock

_DAY: Final = timedelta(days=1)
_LOOK_AHEAD: Final = 400


class Leaving(NamedTuple):
    """The day on which goods leave, for what is ordered before `by` (UTC)."""

    on: date
    by: datetime


def leaves(times: ShippingTimes, zone: ZoneInfo, at: datetime) -> Leaving | None:
    """When what is ordered `at` leaves; None where the location does not work within the next 400 days.

    Cut-offs are compared as instants, so that the later of two orders never leaves first, whatever clocks do: one in an
    hour that is left out is as long after midnight as ever, one in an hour that comes twice is in the first of them.
    """
    day = at.astimezone(zone).date() - _DAY
    for _ in range(_LOOK_AHEAD):
        if _works(times, day) and at < (by := _cut_off(times, zone, day)):
            return Leaving(_after(times, day, times.handling_days), by)
        day += _DAY
    return None


def transit(times: ShippingTimes, ship_to: str | None) -> int:
    """Calendar days to `ship_to`: a country and a postal code, such as ``US 97201``, or None where it is not known."""
    named = [region for region in times.transit_days if ship_to is not None and ship_to.startswith(region)]
    return times.transit_days.get(max(named, key=len, default=ANYWHERE), 0)


def _works(times: ShippingTimes, day: date) -> bool:
    return day.isoweekday() in times.working_days and day not in times.holidays


def _after(times: ShippingTimes, day: date, working_days: int) -> date:
    while working_days:  # ends: there is a working day in each week, and so many holidays
        day += _DAY
        working_days -= _works(times, day)
    return day


def _cut_off(times: ShippingTimes, zone: ZoneInfo, day: date) -> datetime:
    holding = [each for each in times.cut_offs if _holds(each, day)]
    if not holding:
        return datetime.combine(day + _DAY, time(), zone).astimezone(UTC)
    counts = max(holding, key=lambda each: (each.valid_from or date.min, bool(each.weekdays)))
    return datetime.combine(day, time.fromisoformat(counts.at), zone).astimezone(UTC)


def _holds(each: CutOff, day: date) -> bool:
    return (each.valid_from is None or each.valid_from <= day) and (
        not each.weekdays or day.isoweekday() in each.weekdays
    )


class Departures:
    """When goods leave the locations, kept until the cut-off that decides it; no date where nobody said when."""

    def __init__(self, locations: LocationMap, clock: Clock) -> None:
        self._locations = locations
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[ShippingTimes, datetime, Leaving | None]] = {}

    def leaves(self, tenant: str, location: str, at: datetime | None = None) -> Leaving | None:
        """When what is ordered `at` (now by default) leaves `location`; None where nobody said."""
        at = self._clock.now() if at is None else at
        place = self._locations.by_id(tenant, location)
        if place is None or place.shipping is None:
            return None
        known = self._known.get((tenant, location))
        if known is not None and known[0] is place.shipping and known[1] <= at and known[2] and at < known[2].by:
            return known[2]
        found = leaves(place.shipping, ZoneInfo(place.time_zone), at)
        self._known[tenant, location] = (place.shipping, at, found)
        return found

    def arrives(self, tenant: str, location: str, ship_to: str | None, at: datetime | None = None) -> date | None:
        """When that is at `ship_to`; see `transit`."""
        place, found = self._locations.by_id(tenant, location), self.leaves(tenant, location, at)
        if found is None or place is None or place.shipping is None:
            return None
        return found.on + timedelta(days=transit(place.shipping, ship_to))

    def preferred(self, tenant: str, places: Iterable[str], at: datetime) -> Sequence[str]:
        """`places` by priority, of equals those first that goods leave earliest, then by name."""
        if not self._locations.ships_by_times(tenant):
            return sorted(places, key=lambda place: self._locations.priority(tenant, place))
        return sorted(places, key=lambda place: self._preference(tenant, place, at))

    def late(
        self, tenant: str, places: Iterable[str], at: datetime, need_by: date, ship_to: str | None
    ) -> frozenset[str]:
        """Those of `places` from which goods would come after `need_by`."""
        if not self._locations.ships_by_times(tenant):
            return frozenset()
        dates = {place: self.arrives(tenant, place, ship_to, at) for place in places}
        return frozenset(place for place, on in dates.items() if on is not None and on > need_by)

    def arrive_late(self, tenant: str, request: ClaimRequest, made: Sequence[ClaimedLine]) -> dict[int, date]:
        """By line of what was just `made`: when the last of it is there, where that is after `request.need_by`."""
        found: dict[int, date] = {}
        if request.need_by is None or not self._locations.ships_by_times(tenant):
            return found
        for each in made:
            on = self.arrives(tenant, each.location, request.ship_to)
            if on is not None and on > request.need_by:
                found[each.line] = max(on, found.get(each.line, on))
        return found

    def _preference(self, tenant: str, place: str, at: datetime) -> tuple[int, date, str]:
        found = self.leaves(tenant, place, at)
        return (self._locations.priority(tenant, place)[0], date.min if found is None else found.on, place)
