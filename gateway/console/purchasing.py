"""The pages of purchases: what holds each up, every party's word of each line, and what a buyer decides."""

from collections.abc import Awaitable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.canonical.purchase import AckCode
from gateway.console.access import form_of, user_of
from gateway.console.answers import html, status_of
from gateway.console.doing import Done, Page, coming_back
from gateway.console.forms import amount_in, number_in, place_in, reason_in
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Invalid, NotFound

STATES: Final = (
    "unmapped", "approved", "acknowledged", "on_its_way", "partly_received", "received", "matched", "closed",
    "cancelled",
)  # fmt: skip
_HELD: Final = "held_up"
_OPEN: Final = "open"
TONES: Final = {
    "unmapped": "bad",
    "approved": "info",
    "acknowledged": "info",
    "on_its_way": "info",
    "partly_received": "info",
    "received": "warn",
    "matched": "good",
    "closed": "quiet",
    "cancelled": "quiet",
    # verdicts on invoices
    "blocked": "bad",
    "pending": "warn",
    "refused": "bad",
    # what the ERP is told
    "waiting": "quiet",
    "asked": "info",
    "done": "good",
}
_SAID: Final = {code.value: code.name.lower() for code in AckCode}
_REPAIR: Final = {"role": "repair"}
_APPROVE: Final = {"role": "approve"}
_SHOWN: Final = 50
_LONGEST: Final = 200


class ShowsPurchases(Protocol):
    """What is known of purchases, as far as these pages show it."""

    def entries(self, tenant: str, purchases: Sequence[Any]) -> Awaitable[Sequence[Any]]:
        """The same purchases, each with what holds it up."""
        ...

    def get(self, tenant: str, purchase: str) -> Awaitable[Any]:
        """One purchase with its documents, bookings and events. Raises `NotFound`."""
        ...


class DecidesPurchases(Protocol):
    """What a buyer does; each command writes its own audit entry, and may be repeated."""

    def decide(self, caller: Caller, purchase: str, *, subject: str, accept: bool, reason: str) -> Awaitable[object]:
        """Take a departure from the order, or refuse it. Raises `NotFound` or `Conflict`."""
        ...

    def close_line(self, caller: Caller, purchase: str, *, line: int, reason: str) -> Awaitable[object]:
        """Wait no more for what is open of a line. Raises `NotFound` or `Conflict`."""
        ...

    def send_back(
        self, caller: Caller, purchase: str, *, number: str, line: int, amount: Decimal, reason: str
    ) -> Awaitable[object]:
        """Note goods that went back to the supplier. Raises `NotFound` or `Conflict`."""
        ...

    def map_again(self, caller: Caller, purchase: str) -> Awaitable[object]:
        """Try to map it anew. Raises `NotFound` or `Conflict`."""
        ...

    def retry_booking(self, caller: Caller, posting: str) -> Awaitable[object]:
        """Ask the ERP again. Raises `NotFound` or `Conflict`."""
        ...

    def booked_by_hand(self, caller: Caller, posting: str, *, reason: str) -> Awaitable[object]:
        """A person booked it in the ERP. Raises `NotFound` or `Conflict`."""
        ...


class HandlesPurchases(Protocol):
    """Purchasing, as far as these pages ask it."""

    @property
    def dossiers(self) -> ShowsPurchases:
        """What is known."""
        ...

    @property
    def desk(self) -> DecidesPurchases:
        """What is decided."""
        ...

    def listed(
        self, tenant: str, *, state: Any, open_only: bool, needing: bool, before: str | None, limit: int
    ) -> Awaitable[Sequence[Any]]:
        """The newest first; `needing` are those that a person should look at."""
        ...


def purchase_routes(pages: Pages, purchases: HandlesPurchases, tenant: str, clock: Clock) -> list[HTTPRouteHandler]:
    """Handlers of the list, of one purchase's page and of its forms."""

    @get("/purchasing")
    async def show_purchases(request: Request[Any, Any, Any]) -> Response[str]:
        asked = request.query_params
        view = asked["state"] if asked.get("state") in (_OPEN, *STATES) else _HELD
        found = await purchases.listed(
            tenant,
            state=view if view in STATES else None,
            open_only=view == _OPEN,
            needing=view == _HELD,
            before=place_in(asked.get("before", "")),
            limit=_SHOWN,
        )
        context = {
            "user": user_of(request),
            "entries": await purchases.dossiers.entries(tenant, found),
            "more": found[-1].purchase if len(found) == _SHOWN else None,
            "view": view,
            "views": (_HELD, _OPEN, *STATES),
            "tones": TONES,
        }
        return html(pages.render("purchases.html", context))

    page, done = _answers(pages, purchases, tenant, clock)

    @get("/purchasing/{purchase:str}")
    async def show_purchase(request: Request[Any, Any, Any], purchase: FromPath[str]) -> Response[Any]:
        return await page(user_of(request), purchase, None)

    return [show_purchases, show_purchase, _mending(purchases.desk, done), _deciding(purchases.desk, done)]


def _answers(pages: Pages, purchases: HandlesPurchases, tenant: str, clock: Clock) -> tuple[Page, Done]:
    """One purchase's page, and doing something and coming back to it; with what was wrong, where something was."""

    async def page(user: ConsoleUser, purchase: str, problem: Exception | None) -> Response[Any]:
        known = await purchases.dossiers.get(tenant, purchase[:_LONGEST])
        standing = known.purchase.standing
        context = {
            "user": user,
            "it": known.purchase,
            "known": known,
            "stands": {} if standing is None else {each.line: each for each in standing.lines},
            "verdicts": {} if standing is None else {each.number: each for each in standing.invoices},
            "tones": TONES,
            "said": _SAID,
            "problem": getattr(problem, "detail", None),
        }
        return html(pages.render("purchase.html", context), 200 if problem is None else status_of(problem))

    return page, coming_back(page, "/purchasing", tenant, clock)


def _mending(desk: DecidesPurchases, done: Done) -> HTTPRouteHandler:
    @post("/purchasing/{purchase:str}/{verb:str}", opt=_REPAIR)
    async def mend_purchase(request: Request[Any, Any, Any], purchase: FromPath[str], verb: FromPath[str]) -> Any:
        user, form = user_of(request), form_of(request)
        if verb == "mapping":
            return await done(user, purchase, lambda caller: desk.map_again(caller, purchase))
        if verb == "booking":
            return await done(user, purchase, lambda caller: desk.retry_booking(caller, _posting(form)))
        raise NotFound("a purchase is mapped or booked again here", code="console.verb")

    return mend_purchase


def _deciding(desk: DecidesPurchases, done: Done) -> HTTPRouteHandler:
    @post("/purchase-decisions/{purchase:str}/{verb:str}", opt=_APPROVE)
    async def decide_purchase(request: Request[Any, Any, Any], purchase: FromPath[str], verb: FromPath[str]) -> Any:
        user, form = user_of(request), form_of(request)
        work = {
            "acceptance": lambda caller: _decided(desk, caller, purchase, form, accept=True),
            "refusal": lambda caller: _decided(desk, caller, purchase, form, accept=False),
            "closure": lambda caller: desk.close_line(caller, purchase, line=_line(form), reason=reason_in(form)),
            "sent-back": lambda caller: _sent_back(desk, caller, purchase, form),
            "booked": lambda caller: desk.booked_by_hand(caller, _posting(form), reason=reason_in(form)),
        }.get(verb)
        if work is None:
            raise NotFound("a buyer accepts, refuses, closes, sends back or books here", code="console.verb")
        return await done(user, purchase, work)

    return decide_purchase


async def _decided(
    desk: DecidesPurchases, caller: Caller, purchase: str, form: Mapping[str, str], *, accept: bool
) -> object:
    subject = form.get("subject", "")[:_LONGEST]
    return await desk.decide(caller, purchase, subject=subject, accept=accept, reason=reason_in(form))


async def _sent_back(desk: DecidesPurchases, caller: Caller, purchase: str, form: Mapping[str, str]) -> object:
    amount, number = amount_in(form.get("amount", "").strip()), form.get("number", "").strip()
    if amount is None:
        raise Invalid("say how much of it went back", code="console.amount")
    if not number or len(number) > _LONGEST or not number.isprintable():
        raise Invalid("name the number of the return", code="console.number")
    return await desk.send_back(
        caller, purchase, number=number, line=_line(form), amount=amount, reason=reason_in(form)
    )


def _line(form: Mapping[str, str]) -> int:
    return number_in(form.get("line", ""), "name the line")


def _posting(form: Mapping[str, str]) -> str:
    return form.get("posting", "")[:_LONGEST]
