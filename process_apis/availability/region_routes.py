"""Regions for internal applications: how sure their figures are, how late their news is, what waits, who is silent."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from gateway.kernel.exchange import caller_of
from process_apis.availability.lags import Lag
from process_apis.availability.process import Availability
from process_apis.availability.regions import MinuteLag, RegionStanding, SourceStanding
from process_apis.availability.schemas import SilentSourceView, silent_view

_API = {"zone": "process", "tenant_aware": True, "api": "availability", "version": "v1"}
_LONGEST = 1_440


class LagView(Struct, kw_only=True):
    """Half of `news` were at most `p50_seconds` late, 99 of 100 at most `p99_seconds`; null where there were none."""

    news: int
    p50_seconds: float | None
    p99_seconds: float | None


class MinuteView(Struct, kw_only=True):
    """How late what was recorded within one minute was."""

    minute: datetime
    recorded: LagView


class SourceView(Struct, kw_only=True):
    """One source in one domain: when it was heard, what is expected of it, what its last snapshot showed."""

    source: str
    domain: str
    confidence: str
    heard_at: datetime | None
    age_seconds: float | None
    degraded_after_seconds: float
    stale_after_seconds: float
    compared_at: datetime | None
    figures: int
    drifted: int
    locations: list[str]


class RegionView(Struct, kw_only=True):
    """One region.

    `recorded` is from what happened to our record, `published` from there to channels' figures; `unpublished` changes
    wait for the latter, `parked` reports for a person or a mapping.
    """

    region: str
    confidence: str
    as_of: datetime
    locations: list[str]
    sources: list[SourceView]
    silent_sources: list[SilentSourceView]
    recorded: LagView
    published: LagView
    minutes: list[MinuteView]
    unpublished: int
    parked: int


class RegionList(Struct, kw_only=True):
    """Every region that has locations, by name."""

    regions: list[RegionView]


def region_routes(availability: Availability) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @get(
        "/process/availability/v1/regions",
        opt={**_API, "scopes": ["stock:read"], "cost": 5},
        operation_id="listRegions",
    )
    async def list_regions(
        request: Request[Any, Any, Any],
        minutes: Annotated[int, QueryParameter(ge=1, le=_LONGEST, description="how far back lags are counted")] = 15,
    ) -> RegionList:
        """Tell by region how sure figures are, how late news is, what waits, and who is silent."""
        found = await availability.regions(caller_of(request.scope).tenant, minutes=minutes)
        return RegionList(regions=[_region(each) for each in found])

    return [list_regions]


def _region(each: RegionStanding) -> RegionView:
    return RegionView(
        region=each.region,
        confidence=each.confidence,
        as_of=each.as_of,
        locations=list(each.locations),
        sources=[_source(source) for source in each.sources],
        silent_sources=[silent_view(silent) for silent in each.silent],
        recorded=_lag(each.recorded),
        published=_lag(each.published),
        minutes=[_minute(minute) for minute in each.minutes],
        unpublished=each.unpublished,
        parked=each.parked,
    )


def _source(each: SourceStanding) -> SourceView:
    names = [name for name in SourceView.__struct_fields__ if name != "locations"]
    return SourceView(locations=list(each.locations), **{name: getattr(each, name) for name in names})


def _lag(each: Lag) -> LagView:
    return LagView(news=each.news, p50_seconds=each.p50, p99_seconds=each.p99)


def _minute(each: MinuteLag) -> MinuteView:
    return MinuteView(minute=each.minute, recorded=_lag(each.recorded))
