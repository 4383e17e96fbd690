"""The page of backlogs: what each paced system bears, how much of that is used, who waits there and how long."""

from collections.abc import Awaitable, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.console.access import user_of
from gateway.console.answers import html, unchanged
from gateway.console.charts import bar
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.pacing.places import Backlog, Waiting

_FULL: Final = 100


class TellsBacklogs(Protocol):
    """Places at paced systems, as far as the console asks them (`gateway.pacing.visits`)."""

    def backlogs(self) -> Awaitable[Sequence[Backlog]]:
        """Every paced system, and every one that somebody waits for."""
        ...

    def standing(self, subject: str) -> Awaitable[Waiting | None]:
        """Where a subject waits; None where it does not."""
        ...


def backlog_routes(pages: Pages, places: TellsBacklogs) -> list[HTTPRouteHandler]:
    """Handlers of the page and of its panel, which fetches itself again."""

    async def panel(user: ConsoleUser, known: str | None) -> str | None:
        found = await places.backlogs()
        most = max((each.waiting for each in found), default=0)
        context = {"user": user, "systems": [_system(each, most) for each in found]}
        return pages.panel("backlog", "/panels/backlog", "panels/backlog.html", context, known=known)

    @get("/backlog")
    async def show_backlog(request: Request[Any, Any, Any]) -> Response[str]:
        user = user_of(request)
        return html(pages.render("backlog.html", {"user": user, "panel": await panel(user, None)}))

    @get("/panels/backlog")
    async def show_backlog_panel(request: Request[Any, Any, Any]) -> Response[Any]:
        fragment = await panel(user_of(request), request.query_params.get("digest"))
        return unchanged() if fragment is None else html(fragment)

    return [show_backlog, show_backlog_panel]


def _system(backlog: Backlog, most: int) -> dict[str, Any]:
    """`most` is the longest queue of any system: bars of queues are drawn to one scale."""
    state = "paused" if backlog.paused_until else "waiting" if backlog.waiting else "flowing"
    return {
        "it": backlog,
        "state": state,
        "tone": {"paused": "warn", "waiting": "info", "flowing": "good"}[state],
        "calls": _used(backlog.counted, backlog.calls),
        "visits": _used(backlog.called, backlog.visits),
        "queue": bar([*backlog.by_work.items(), ("room", most - backlog.waiting)]) if most else (),
    }


def _used(used: int, most: int) -> Any:
    """A bar of what is used of `most`; () where there is no limit."""
    if not most:
        return ()
    share = min(Decimal(used) / most * _FULL, Decimal(_FULL))
    return bar([("used" if used < most else "full", share), ("room", _FULL - share)])
