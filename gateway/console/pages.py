"""The one page, its panels, the details behind them, and assets."""

import re
from collections.abc import Mapping
from typing import Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.console.access import user_of
from gateway.console.answers import from_htmx, html, unchanged
from gateway.console.backlog import TellsBacklogs
from gateway.console.reading import EVENT_FILTERS, ORDER_VIEWS, Reading
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.errors import NotFound
from gateway.kernel.ids import ID_PATTERN

PANELS: Final = ("headline", "orders", "failures", "positions", "events")
_ID: Final = re.compile(ID_PATTERN)
_LONGEST: Final = 80
_LARGEST: Final = 2**63 - 1


class Panels:
    """Renders one panel from what the viewer asked in the query string."""

    def __init__(self, pages: Pages, reading: Reading) -> None:
        self._pages = pages
        self._reading = reading

    async def render(self, name: str, asked: Mapping[str, str], user: ConsoleUser) -> str | None:
        """The panel, or None when the viewer has it as it is."""
        context = {**await self._read(name, asked), "user": user}
        url = f"/panels/{name}"
        return self._pages.panel(name, url, f"panels/{name}.html", context, known=asked.get("digest"))

    async def _read(self, name: str, asked: Mapping[str, str]) -> dict[str, Any]:
        if name == "headline":
            return await self._reading.headline()
        if name == "orders":
            return await self._reading.orders(view_of(asked), text_of(asked, "order"))
        if name == "positions":
            return await self._reading.positions(text_of(asked, "sku"))
        if name == "events":
            return await self._reading.events(kind_of(asked))
        if name == "failures":
            return await self._reading.failures()
        raise NotFound(f"there is no panel {name}", code="console.panel")


def view_of(asked: Mapping[str, str]) -> str:
    """Which orders to show: one of ORDER_VIEWS."""
    view = asked.get("view", "")
    return view if view in ORDER_VIEWS else ORDER_VIEWS[0]


def kind_of(asked: Mapping[str, str]) -> str | None:
    """Which events to show: a type or family that exists, else all."""
    kind = asked.get("type", "")
    return kind if kind in EVENT_FILTERS else None


def text_of(asked: Mapping[str, str], name: str) -> str | None:
    """What was typed, as far as it can be printed."""
    text = "".join(letter for letter in asked.get(name, "") if letter.isprintable()).strip()[:_LONGEST]
    return text or None


def page_routes(pages: Pages, reading: Reading) -> list[HTTPRouteHandler]:
    """Handlers of the page, its panels and assets."""
    panels = Panels(pages, reading)

    @get("/")
    async def show_page(request: Request[Any, Any, Any]) -> Response[str]:
        user, asked = user_of(request), _asked(request)
        context = {
            "user": user,
            "panels": {name: await panels.render(name, asked, user) for name in PANELS},
            "view": view_of(asked),
            "views": ORDER_VIEWS,
            "wanted": text_of(asked, "order"),
            "search": text_of(asked, "sku"),
            "kind": kind_of(asked),
            "kinds": EVENT_FILTERS,
        }
        return html(pages.render("page.html", context))

    @get("/panels/{name:str}")
    async def show_panel(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        fragment = await panels.render(name, request.query_params, user_of(request))
        return unchanged() if fragment is None else html(fragment)

    @get("/assets/{name:str}", opt={"public": True})
    async def show_asset(name: FromPath[str]) -> Response[bytes]:
        asset = pages.assets.get(name)
        if asset is None:
            raise NotFound("there is no such file", code="console.asset")
        kept = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(asset.content, media_type=asset.media_type, headers=kept)

    return [show_page, show_panel, show_asset]


class Details:
    """Renders what lies behind one entry."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def answer(
        self, request: Request[Any, Any, Any], name: str, context: Mapping[str, Any], *, live: bool = False
    ) -> Response[Any]:
        """A drawer's content for htmx, a page of its own for everybody else."""
        user = user_of(request)
        known = request.query_params.get("digest") if from_htmx(request) else None
        template = f"details/{name.lower().replace(' ', '_')}.html"
        shown = {**context, "user": user}
        fragment = self._pages.panel("detail", request.scope["path"], template, shown, known=known, live=live)
        if fragment is None:
            return unchanged()
        if from_htmx(request):
            return html(fragment)
        return html(self._pages.render("detail.html", {"user": user, "detail": fragment, "name": name}))


def detail_routes(pages: Pages, reading: Reading, pacing: TellsBacklogs | None = None) -> list[HTTPRouteHandler]:
    """Handlers of one order, event, dead letter or parked report."""
    details = Details(pages)

    @get("/orders/{order_id:str}")
    async def show_order(request: Request[Any, Any, Any], order_id: FromPath[str]) -> Response[Any]:
        if _ID.match(order_id) is None:
            raise NotFound("this is not the id of an order", code="order.not_found")
        waiting = None if pacing is None else await pacing.standing(order_id)
        return details.answer(request, "Order", {**await reading.order(order_id), "waiting": waiting}, live=True)

    @get("/events/{event_id:int}")
    async def show_event(request: Request[Any, Any, Any], event_id: FromPath[int]) -> Response[Any]:
        return details.answer(request, "Event", await reading.event(_bounded(event_id)))

    @get("/dead-letters/{letter:int}")
    async def show_letter(request: Request[Any, Any, Any], letter: FromPath[int]) -> Response[Any]:
        return details.answer(request, "Dead letter", await reading.letter(_bounded(letter)))

    @get("/parked/{parked:int}")
    async def show_parked(request: Request[Any, Any, Any], parked: FromPath[int]) -> Response[Any]:
        return details.answer(request, "Parked", await reading.parked(_bounded(parked)))

    return [show_order, show_event, show_letter, show_parked]


def _asked(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The query string without a digest: a whole page has nothing to compare."""
    return {name: value for name, value in request.query_params.items() if name != "digest"}


def _bounded(number: int) -> int:
    if not 0 < number <= _LARGEST:
        raise NotFound("there is no such entry", code="console.number")
    return number
