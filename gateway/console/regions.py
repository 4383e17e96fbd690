"""The page of regions: how sure their figures are, how late their news is, what waits, who is silent."""

from collections.abc import Awaitable, Sequence
from typing import Any, Final, Protocol

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.console.access import actor_of, form_of, user_of
from gateway.console.answers import from_htmx, html, see_other, unchanged
from gateway.console.charts import sparkline
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.errors import Invalid
from gateway.kernel.ids import new_id

_TONES: Final = {"high": "good", "degraded": "warn", "stale": "bad"}
_MINUTES: Final = 60
_LONGEST: Final = 200


class TellsRegions(Protocol):
    """Availability, as far as this page asks it."""

    def regions(self, tenant: str, *, minutes: int) -> Awaitable[Sequence[Any]]:
        """Every region with its confidence, lags of the last `minutes`, sources, and what waits."""
        ...

    def switch_holder(
        self, tenant: str, location: str, *, to: str, actor: str, reason: str, correlation_id: str
    ) -> Awaitable[object]:
        """Let `to` hold `location` from now on, audited. Raises `NotFound`, `Invalid` or `Conflict`."""
        ...


def region_routes(pages: Pages, regions: TellsRegions, tenant: str) -> list[HTTPRouteHandler]:
    """Handlers of the page its panel, which fetches itself again, and switching a holder."""

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

    @post("/locations/{location:str}/switch", opt={"role": "approve"})
    async def switch_location(request: Request[Any, Any, Any], location: FromPath[str]) -> Response[Any]:
        form, user = form_of(request), user_of(request)
        reason = form.get("reason", "").strip()[:_LONGEST]
        if not reason:
            raise Invalid("say why another source shall hold it: the audit trail keeps it", code="console.reason")
        await regions.switch_holder(
            tenant,
            location[:_LONGEST],
            to=form.get("to", "")[:_LONGEST],
            actor=actor_of(user),
            reason=reason,
            correlation_id=new_id("req"),
        )
        if not from_htmx(request):
            return see_other("/regions")
        text = "What stands is kept until the next full snapshot of its new holder."
        response = html(pages.render("_notice.html", {"tone": "good", "title": "Switched", "text": text}))
        response.headers["hx-trigger"] = "refresh"
        return response

    return [show_regions, show_regions_panel, switch_location]


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
