"""The page of regions: how sure their figures are, how late their news is, what waits, who is silent."""

from collections.abc import Awaitable, Sequence
from typing import Any, Final, Protocol

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.console.access import user_of
from gateway.console.answers import html, unchanged
from gateway.console.charts import sparkline
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser

_TONES: Final = {"high": "good", "degraded": "warn", "stale": "bad"}
_MINUTES: Final = 60


class TellsRegions(Protocol):
    """Availability, as far as this page asks it."""

    def regions(self, tenant: str, *, minutes: int) -> Awaitable[Sequence[Any]]:
        """Every region with its confidence, lags of the last `minutes`, sources, and what waits."""
        ...


def region_routes(pages: Pages, regions: TellsRegions, tenant: str) -> list[HTTPRouteHandler]:
    """Handlers of the page and of its panel, which fetches itself again."""

    async def panel(user: ConsoleUser, known: str | None) -> str | None:
        found = await regions.regions(tenant, minutes=_MINUTES)
        context = {"user": user, "regions": [_shown(each) for each in found], "minutes": _MINUTES}
        return pages.panel("regions", "/panels/regions", "panels/regions.html", context, known=known)

    @get("/regions")
    async def show_regions(request: Request[Any, Any, Any]) -> Response[str]:
        user = user_of(request)
        return html(pages.render("regions.html", {"user": user, "panel": await panel(user, None)}))

    @get("/panels/regions")
    async def show_regions_panel(request: Request[Any, Any, Any]) -> Response[Any]:
        fragment = await panel(user_of(request), request.query_params.get("digest"))
        return unchanged() if fragment is None else html(fragment)

    return [show_regions, show_regions_panel]


def _shown(region: Any) -> dict[str, Any]:
    lags = [minute.recorded for minute in region.minutes]
    return {
        "standing": region,
        "tone": _TONES[region.confidence],
        "tones": _TONES,
        "pace": sparkline([lag.news for lag in lags]),
        "lateness": sparkline([round(lag.p99 * 1_000) for lag in lags]),
        "latest": max((lag.p99 for lag in lags), default=0.0),
    }
