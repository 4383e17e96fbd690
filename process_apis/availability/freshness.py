"""How far figures can be trusted: objectives for each source and domain, and what a channel does when they are missed.

Pure. One function decides for answers and for the admission of claims, so that what is shown is what is promised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.location import Location
from gateway.canonical.stock import Confidence, SilentSource
from gateway.kernel.errors import Misconfigured
from process_apis.availability.models import ChannelTerms, LocationTerms
from process_apis.availability.rules import usable

STOCK: Final = "stock"
_KEYS: Final = {STOCK: "{}", "demand": "{}/demand", "supply": "supply/{}"}
RANK: Final = {Confidence.HIGH: 0, Confidence.DEGRADED: 1, Confidence.STALE: 2}


class Objective(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is expected of one source in one domain; all in seconds but `drift_share`.

    Silent for longer than `degraded_after_seconds`, then `stale_after_seconds`, it lowers the confidence. So does, for
    `drift_seconds`, a snapshot of which more than `drift_share` of the figures were not what we expected (1: none
    does); the first snapshot of a source has nothing to be compared with.
    """

    degraded_after_seconds: float = 900.0
    stale_after_seconds: float = 3_600.0
    drift_share: float = 0.05
    drift_seconds: float = 3_600.0

    def __post_init__(self) -> None:
        if not 0 < self.degraded_after_seconds <= self.stale_after_seconds:
            raise Misconfigured("sources: needs 0 < degraded_after_seconds <= stale_after_seconds")
        if not (0 <= self.drift_share <= 1 and self.drift_seconds > 0):
            raise Misconfigured("sources: drift_share is a part of 1, and drift_seconds is above 0")


class SourceObjectives(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is expected of one source, by domain. `demand` and `supply` count only where they are given."""

    stock: Objective = Objective()
    demand: Objective | None = None
    supply: Objective | None = None


class Heard(Struct, frozen=True):
    """When a source was heard last in one domain, and what its last snapshot was like beside our figures.

    `compared_at` is None where none was compared.
    """

    at: datetime
    compared_at: datetime | None = None
    figures: int = 0
    drifted: int = 0


class Holding(Struct, frozen=True):
    """Who holds a location since it was switched; `awaiting` until the first full snapshot of that source."""

    holder: str
    awaiting: bool


class Expected(Struct, frozen=True):
    """One source in one domain that figures of one location rest on."""

    source: str
    domain: str
    objective: Objective

    @property
    def key(self) -> str:
        """Under what it is heard: the source's name for stock, what its feeds are noted as for the others."""
        return _KEYS[self.domain].format(self.source)


class Certainty(Struct, frozen=True):
    """How sure figures are: `doubtful` by location, where it is not `high`; `silent` says why, and since when."""

    confidence: Confidence
    as_of: datetime
    doubtful: Mapping[str, Confidence]
    silent: tuple[SilentSource, ...]


def expected_of(
    location: Location, objectives: Mapping[str, SourceObjectives], held: Holding | None = None
) -> Iterator[Expected]:
    """The sources that figures of `location` rest on: its holder's stock, and every declared feed of who knows it."""
    holder = location.holder if held is None else held.holder
    yield Expected(holder, STOCK, objectives.get(holder, SourceObjectives()).stock)
    for source in location.codes:
        declared = objectives.get(source)
        if declared is not None and declared.demand is not None:
            yield Expected(source, "demand", declared.demand)
        if declared is not None and declared.supply is not None:
            yield Expected(source, "supply", declared.supply)


def confidence(heard: Heard | None, objective: Objective, now: datetime) -> Confidence:
    """Of one source in one domain; None stands for a source that was never heard."""
    age = None if heard is None else (now - heard.at).total_seconds()
    if heard is None or age is None or age > objective.stale_after_seconds:
        return Confidence.STALE
    if age > objective.degraded_after_seconds or _drifted(heard, objective, now):
        return Confidence.DEGRADED
    return Confidence.HIGH


def _silent_for(heard: Heard, objective: Objective, now: datetime) -> bool:
    return (now - heard.at).total_seconds() > objective.degraded_after_seconds


def _drifted(heard: Heard, objective: Objective, now: datetime) -> bool:
    if heard.compared_at is None or (now - heard.compared_at).total_seconds() > objective.drift_seconds:
        return False
    return heard.drifted > objective.drift_share * heard.figures


def certainty(
    places: Iterable[Location],
    objectives: Mapping[str, SourceObjectives],
    heard: Mapping[str, Heard],
    now: datetime,
    held: Mapping[str, Holding] | None = None,
) -> Certainty:
    """How sure figures of `places` are: as sure as the worst of what they rest on.

    A location that was switched (`held`) is no better than degraded until its new holder's first snapshot.
    """
    worst, as_of = Confidence.HIGH, None
    doubtful: dict[str, Confidence] = {}
    silent: dict[str, SilentSource] = {}
    for place in places:
        switched = held.get(place.location) if held else None
        for each in expected_of(place, objectives, switched):
            known = heard.get(each.key)
            as_of = known.at if known is not None and (as_of is None or known.at < as_of) else as_of
            sure = confidence(known, each.objective, now)
            if each.domain == STOCK and switched is not None and switched.awaiting:
                sure = _lower(sure, Confidence.DEGRADED)
            if sure is Confidence.HIGH:
                continue
            worst = _lower(worst, sure)
            doubtful[place.location] = _lower(doubtful.get(place.location, Confidence.HIGH), sure)
            silent[each.key] = _silent(each, place, known, sure, now, silent.get(each.key))
    return Certainty(worst, as_of or now, doubtful, tuple(silent[key] for key in sorted(silent)))


def _silent(
    each: Expected, place: Location, known: Heard | None, sure: Confidence, now: datetime, before: SilentSource | None
) -> SilentSource:
    return SilentSource(
        source=each.source,
        domain=each.domain,
        cause=_cause(each, known, now),
        since=None if known is None else known.at,
        confidence=sure,
        locations=(*(before.locations if before else ()), place.location),
    )


def _cause(each: Expected, known: Heard | None, now: datetime) -> Literal["silent", "drift", "switched"]:
    if known is None or _silent_for(known, each.objective, now):
        return "silent"
    return "drift" if _drifted(known, each.objective, now) else "switched"


def _lower(one: Confidence, other: Confidence) -> Confidence:
    return max(one, other, key=RANK.__getitem__)


def fallen_back(terms: ChannelTerms, doubtful: Mapping[str, Confidence]) -> ChannelTerms:
    """`terms` as they hold while the figures of some locations are `doubtful`.

    Only those locations are touched, so that a dead region takes nothing from the others. `serve` changes nothing,
    `buffer` keeps `fallback_buffer` more back at each of them, `stop` sells nothing of those that are stale.
    """
    if terms.fallback == "serve" or not doubtful:
        return terms
    changed = []
    for location, sure in sorted(doubtful.items()):
        place = usable(location, terms)
        if place is None or (terms.fallback == "stop" and sure is not Confidence.STALE):
            continue
        changed.append(_kept_back(place, location, terms))
    touched = {place.location for place in changed}
    return replace(terms, locations=(*changed, *(place for place in terms.locations if place.location not in touched)))


def _kept_back(place: LocationTerms, location: str, terms: ChannelTerms) -> LocationTerms:
    if terms.fallback == "stop":
        return replace(place, location=location, eligible=False)
    return replace(place, location=location, safety_stock=place.safety_stock + terms.fallback_buffer)
