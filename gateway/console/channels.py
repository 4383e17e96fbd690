"""The page of channels: what shops of others show, how far they are behind, what they show otherwise."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, Protocol

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from gateway.console.access import actor_of, form_of, user_of
from gateway.console.answers import from_htmx, html, see_other, unchanged
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.ids import new_id

_SHOWN: Final = 20
_BEHIND_S: Final = 60.0
_REPAIR: Final = {"role": "repair"}


class TellsChannels(Protocol):
    """Channel publication, as far as this page asks it."""

    def standing(self, tenant: str) -> Awaitable[Sequence[Mapping[str, Any]]]:
        """How far each channel is."""
        ...

    def disagreements(
        self, tenant: str, channel: str | None, *, before: int | None, limit: int
    ) -> Awaitable[Sequence[Mapping[str, Any]]]:
        """What channels showed otherwise, latest first."""
        ...

    def compare_all(self, tenant: str, channel: str, *, actor: str, correlation_id: str) -> Awaitable[None]:
        """Have every figure of a channel reckoned again; raises `NotFound`. It writes its own audit entry."""
        ...


class TellsOversold(Protocol):
    """Order to ship, as far as this page asks it."""

    def oversold(self, tenant: str) -> Awaitable[Sequence[Mapping[str, Any]]]:
        """`channel_oversell`: by channel, what buyer-committed channels sold and stock could not give."""
        ...


def channel_routes(
    pages: Pages, channels: TellsChannels, tenant: str, sold: TellsOversold | None = None
) -> list[HTTPRouteHandler]:
    """Handlers of the page, of its panel, which fetches itself again, and of its one action."""

    async def panel(user: ConsoleUser, known: str | None) -> str | None:
        found = await channels.standing(tenant)
        told = await channels.disagreements(tenant, None, before=None, limit=_SHOWN)
        oversold = await sold.oversold(tenant) if sold is not None else ()
        context = {
            "user": user,
            "channels": [_shown(each) for each in found],
            "disagreements": told,
            "oversold": oversold,
        }
        return pages.panel("channels", "/panels/channels", "panels/channels.html", context, known=known)

    @get("/channels")
    async def show_channels(request: Request[Any, Any, Any]) -> Response[str]:
        user = user_of(request)
        return html(pages.render("channels.html", {"user": user, "panel": await panel(user, None)}))

    @get("/panels/channels")
    async def show_channels_panel(request: Request[Any, Any, Any]) -> Response[Any]:
        fragment = await panel(user_of(request), request.query_params.get("digest"))
        return unchanged() if fragment is None else html(fragment)

    @post("/channels/comparisons", opt=_REPAIR)
    async def compare_channel(request: Request[Any, Any, Any]) -> Response[Any]:
        channel = form_of(request).get("channel", "")
        await channels.compare_all(tenant, channel, actor=actor_of(user_of(request)), correlation_id=new_id("req"))
        if not from_htmx(request):
            return see_other("/channels")
        said = {"tone": "good", "title": "Done", "text": "Every figure is reckoned again, and sent where it differs."}
        response = html(pages.render("_notice.html", said))
        response.headers["hx-trigger"] = "refresh"
        return response

    return [show_channels, show_channels_panel, compare_channel]


def _shown(channel: Mapping[str, Any]) -> dict[str, Any]:
    behind = (channel["lag_seconds"] or 0.0) > _BEHIND_S
    tone = "bad" if channel["failures"] else "warn" if behind or channel["disagreements"] else "good"
    state = {"bad": "not_answering", "warn": "behind" if behind else "disagrees", "good": "in_step"}[tone]
    return {**channel, "tone": tone, "state": state, "lag": channel["lag_seconds"] or 0.0}
