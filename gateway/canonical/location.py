"""Locations: where goods are, who holds them, and who is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from gateway.canonical.shipping_times import ShippingTimes
from gateway.canonical.stock import OWN_SOURCE


class Location(Struct, frozen=True, kw_only=True):
    """One warehouse or 3PL site.

    `holder` is the system instance that owns its physical buckets; `poster_to` the ERP instance that one declared
    poster tells about them; `codes` gives the code each instance uses; `time_zone` is an IANA name for business dates.
    `stand_by` is another source that may be switched to when the holder is dead: it needs a code of its own, and stays
    named as long as it holds. With `stand_by_after_seconds` that happens by itself after so much silence.
    `shipping` says when goods leave it.
    """

    location: str
    name: str
    region: str
    time_zone: str
    holder: str
    poster_to: str | None = None
    codes: Mapping[str, str] = {}
    priority: int = 100
    stand_by: str | None = None
    stand_by_after_seconds: float | None = None
    shipping: ShippingTimes | None = None


class LocationCode(Struct, frozen=True, kw_only=True):
    """What `source` calls a location from `valid_from` on and before `valid_until`; None leaves that end open."""

    location: str
    source: str
    code: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it means this location at that instant."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_until is None or at < self.valid_until
        )


class _Places:
    """The locations of one tenant, by whatever they are asked for."""

    def __init__(self, locations: Sequence[Location], codes: Sequence[LocationCode]) -> None:
        self.by_id = {each.location: each for each in locations}
        self.timed = any(each.shipping is not None for each in locations)
        self.by_code = {(source, code): each for each in locations for source, code in each.codes.items()}
        self.dated: dict[tuple[str, str], list[LocationCode]] = {}
        for each in codes:
            self.dated.setdefault((each.source, each.code), []).append(each)


_NOWHERE = _Places((), ())


class LocationMap:
    """The locations of each tenant, by our id and by the code of each system; as they were declared.

    `refresh` makes sure that what the record has by now is known: nothing to do for what never changes.
    """

    def __init__(self, locations: Mapping[str, Sequence[Location]]) -> None:
        self._places = {tenant: _Places(some, ()) for tenant, some in locations.items()}

    def replace(self, tenant: str, locations: Sequence[Location], codes: Sequence[LocationCode] = ()) -> None:
        """Know these from now on; `codes` are those that have dates or that a source has several of."""
        self._places[tenant] = _Places(locations, codes)

    async def refresh(self, tenant: str) -> None:
        """Know what is in the record now."""

    def of(self, tenant: str) -> Iterable[Location]:
        """All locations of a tenant."""
        return self._places.get(tenant, _NOWHERE).by_id.values()

    def by_id(self, tenant: str, location: str) -> Location | None:
        """A location by our id."""
        return self._places.get(tenant, _NOWHERE).by_id.get(location)

    def by_code(self, tenant: str, source: str, code: str, at: datetime | None = None) -> Location | None:
        """The location that `source` calls `code`, at the instant `at` where codes change hands."""
        places = self._places.get(tenant, _NOWHERE)
        if source == OWN_SOURCE:
            return places.by_id.get(code)
        dated = places.dated.get((source, code)) if places.dated else None
        if dated is None or at is None:
            return places.by_code.get((source, code))
        return next((places.by_id.get(each.location) for each in dated if each.holds(at)), None)

    def ships_by_times(self, tenant: str) -> bool:
        """Whether any location of a tenant says when goods leave it."""
        return self._places.get(tenant, _NOWHERE).timed

    def priority(self, tenant: str, location: str) -> tuple[int, str]:
        """What decides between locations that would do: lower goes first."""
        known = self.by_id(tenant, location)
        return (known.priority if known else 1_000_000, location)
