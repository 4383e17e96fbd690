"""What is known of each region: how sure its figures are, how late its news is, what waits, who is silent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import Confidence, SilentSource
from gateway.kernel.clock import Clock
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.freshness import (
    Expected,
    Heard,
    Holding,
    SourceObjectives,
    certainty,
    confidence,
    expected_of,
)
from process_apis.availability.holding import read_held
from process_apis.availability.lags import Lag, lag_of

_own: Final = queries_beside(__file__, "regions_queries.sql")
_sql: Final = queries_beside(__file__)


class SourceStanding(Struct, frozen=True, kw_only=True):
    """One source in one domain: when it was heard, what is expected of it (seconds), what its last snapshot showed."""

    source: str
    domain: str
    confidence: Confidence
    heard_at: datetime | None
    age_seconds: float | None
    degraded_after_seconds: float
    stale_after_seconds: float
    compared_at: datetime | None
    figures: int
    drifted: int
    locations: tuple[str, ...]


class Guarded(Struct, frozen=True):
    """A location with a stand-by source: who holds it, who else may, and whether its first snapshot is awaited."""

    location: str
    holder: str
    other: str
    awaiting: bool


class MinuteLag(Struct, frozen=True):
    """How late what was recorded within one minute was."""

    minute: datetime
    recorded: Lag


class RegionStanding(Struct, frozen=True, kw_only=True):
    """One region. `recorded`: from what happened to our record; `published`: from there to channels' figures.

    `unpublished` changes wait for the latter, `parked` reports for a person or a mapping.
    """

    region: str
    confidence: Confidence
    as_of: datetime
    locations: tuple[str, ...]
    sources: tuple[SourceStanding, ...]
    silent: tuple[SilentSource, ...]
    recorded: Lag
    published: Lag
    minutes: tuple[MinuteLag, ...]
    unpublished: int
    parked: int
    guarded: tuple[Guarded, ...] = ()


class _Told(Struct):
    """What the record tells of one tenant."""

    heard: Mapping[str, Heard]
    held: Mapping[str, Holding]
    lags: Sequence[Any]
    unpublished: Mapping[str, int]
    parked: Counter[str]


class Regions:
    """Reads all of it when asked."""

    def __init__(
        self, store: Store, locations: LocationMap, freshness: Mapping[str, SourceObjectives], clock: Clock
    ) -> None:
        self._store = store
        self._locations = locations
        self._freshness = freshness
        self._clock = clock

    async def standing(self, tenant: str, *, minutes: int = 15) -> list[RegionStanding]:
        """Every region that has locations, by name; lags of what was recorded in the last `minutes`."""
        now = self._clock.now()
        told = await self._read(tenant, now - timedelta(minutes=minutes))
        regions: dict[str, list[Location]] = defaultdict(list)
        for place in self._locations.of(tenant):
            regions[place.region].append(place)
        return [self._one(region, regions[region], told, now) for region in sorted(regions)]

    async def _read(self, tenant: str, since: datetime) -> _Told:
        async with self._store.connection() as connection:
            sources = await connection.fetch(_sql.sources, tenant)
            lags = await connection.fetch(_own.lags, tenant, since.replace(second=0, microsecond=0))
            unpublished = await connection.fetch(_own.unpublished_by_location, tenant)
            waiting = await connection.fetch(_own.parked_by_place, tenant)
            held = await read_held(connection, tenant, self._locations)
        return _Told(
            {row["source"]: Heard(*row[1:]) for row in sources},
            held,
            lags,
            {row["location"]: row["waiting"] for row in unpublished},
            self._parked(tenant, waiting),
        )

    def _parked(self, tenant: str, rows: Iterable[Any]) -> Counter[str]:
        """Parked reports by region: of the place they name, else of wherever their source is known."""
        found: Counter[str] = Counter()
        for row in rows:
            place = self._locations.by_code(tenant, row["source"], row["code"] or "")
            known = (
                {place.region}
                if place is not None
                else {each.region for each in self._locations.of(tenant) if row["source"] in (each.holder, *each.codes)}
            )
            for region in known:
                found[region] += row["parked"]
        return found

    def _one(self, region: str, places: Sequence[Location], told: _Told, now: datetime) -> RegionStanding:
        sure = certainty(places, self._freshness, told.heard, now, told.held)
        names = tuple(sorted(place.location for place in places))
        stages: dict[str, Counter[int]] = {"recorded": Counter(), "published": Counter()}
        minutes: dict[datetime, Counter[int]] = defaultdict(Counter)
        for row in told.lags:
            if row["location"] in names:
                stages[row["stage"]][row["slot"]] += row["news"]
                if row["stage"] == "recorded":
                    minutes[row["minute"]][row["slot"]] += row["news"]
        return RegionStanding(
            region=region,
            confidence=sure.confidence,
            as_of=sure.as_of,
            locations=names,
            sources=self._sources(places, told, now),
            silent=sure.silent,
            recorded=lag_of(stages["recorded"]),
            published=lag_of(stages["published"]),
            minutes=tuple(MinuteLag(minute, lag_of(minutes[minute])) for minute in sorted(minutes)),
            unpublished=sum(told.unpublished.get(name, 0) for name in names),
            parked=told.parked[region],
            guarded=tuple(_guarded(place, told.held.get(place.location)) for place in places if place.stand_by),
        )

    def _sources(self, places: Iterable[Location], told: _Told, now: datetime) -> tuple[SourceStanding, ...]:
        found: dict[str, tuple[Expected, list[str]]] = {}
        for place in places:
            for each in expected_of(place, self._freshness, told.held.get(place.location)):
                found.setdefault(each.key, (each, []))[1].append(place.location)
        return tuple(_source(each, names, told.heard.get(key), now) for key, (each, names) in sorted(found.items()))


def _guarded(place: Location, held: Holding | None) -> Guarded:
    holder = place.holder if held is None else held.holder
    other = place.stand_by if holder == place.holder else place.holder
    return Guarded(place.location, holder, other or place.holder, held is not None and held.awaiting)


def _source(each: Expected, names: Sequence[str], known: Heard | None, now: datetime) -> SourceStanding:
    return SourceStanding(
        source=each.source,
        domain=each.domain,
        confidence=confidence(known, each.objective, now),
        heard_at=None if known is None else known.at,
        age_seconds=None if known is None else round((now - known.at).total_seconds(), 3),
        degraded_after_seconds=each.objective.degraded_after_seconds,
        stale_after_seconds=each.objective.stale_after_seconds,
        compared_at=None if known is None else known.compared_at,
        figures=0 if known is None else known.figures,
        drifted=0 if known is None else known.drifted,
        locations=tuple(sorted(names)),
    )
