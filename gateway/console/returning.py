"""The pages of returns: which are under way, what came of each and when, and what people decide about them."""

from collections.abc import Awaitable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.console.access import form_of, user_of
from gateway.console.answers import html, status_of
from gateway.console.doing import Done, Page, coming_back
from gateway.console.forms import action_of, amount_in, number_in, place_in, reason_in
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Invalid, NotFound

STATES: Final = (
    "requested", "refused", "authorised", "cancelled", "receiving", "received", "dispositioned", "credited", "closed",
)  # fmt: skip
_OPEN: Final = "open"
_TARGETS: Final = ("sellable", "damaged", "quality_hold", "out")
_TONES: Final = {
    "requested": "warn",
    "refused": "quiet",
    "cancelled": "quiet",
    "authorised": "info",
    "receiving": "info",
    "received": "warn",
    "dispositioned": "info",
    "credited": "good",
    "closed": "quiet",
    "issued": "good",
    "by_hand": "warn",
    "asked": "info",
    "made": "good",
    "withdrawn": "quiet",
}
_REPAIR: Final = {"role": "repair"}
_APPROVE: Final = {"role": "approve"}
_SHOWN: Final = 50
_LONGEST: Final = 200


class DecidesReturns(Protocol):
    """What may come back, as far as these pages ask it; each command writes its own audit entry."""

    def decide(
        self, caller: Caller, return_id: str, *, authorise: bool, reason: str, amounts: Mapping[int, Decimal]
    ) -> Awaitable[object]:
        """Authorise beyond the rules, or refuse. Raises `NotFound` or `Conflict`."""
        ...

    def close(self, caller: Caller, return_id: str, *, reason: str) -> Awaitable[object]:
        """Expect no more of it. Raises `NotFound` or `Conflict`."""
        ...


class CreditsReturns(Protocol):
    """Credit notes, as far as these pages ask them."""

    def retry(self, caller: Caller, credit: str) -> Awaitable[object]:
        """Ask the ERP again. Raises `NotFound`."""
        ...

    def settle(self, caller: Caller, credit: str, *, number: str, reason: str | None) -> Awaitable[object]:
        """A person issued it. Raises `NotFound` or `Conflict`."""
        ...


class HandlesReturns(Protocol):
    """Returns, as far as these pages ask them."""

    @property
    def authorisations(self) -> DecidesReturns:
        """What may come back."""
        ...

    @property
    def credits(self) -> CreditsReturns:
        """What is credited."""
        ...

    def listed(
        self, tenant: str, *, state: Any, open_only: bool, before: str | None, limit: int
    ) -> Awaitable[Sequence[Any]]:
        """The newest first."""
        ...

    def history(self, tenant: str, return_id: str) -> Awaitable[tuple[Any, Sequence[Any]]]:
        """One return and its events, oldest first. Raises `NotFound`."""
        ...

    def needs(self, known: Any) -> Sequence[Any]:
        """What a person should do about it."""
        ...

    def dispose(
        self, caller: Caller, return_id: str, *, action: str, line: int, amount: Decimal, target: Any, reason: str
    ) -> Awaitable[object]:
        """Have so much of what came put there. Raises `NotFound`, `Rejected` or `Conflict`."""
        ...


def return_routes(pages: Pages, returns: HandlesReturns, tenant: str, clock: Clock) -> list[HTTPRouteHandler]:
    """Handlers of the list, of one return's page and of its forms."""

    @get("/returns")
    async def show_returns(request: Request[Any, Any, Any]) -> Response[str]:
        asked = request.query_params
        state = asked["state"] if asked.get("state") in STATES else _OPEN
        found = await returns.listed(
            tenant,
            state=None if state == _OPEN else state,
            open_only=state == _OPEN,
            before=place_in(asked.get("before", "")),
            limit=_SHOWN,
        )
        context = {
            "user": user_of(request),
            "returns": [{"it": each, "needs": returns.needs(each)} for each in found],
            "more": found[-1].return_id if len(found) == _SHOWN else None,
            "state": state,
            "states": (_OPEN, *STATES),
            "tones": _TONES,
        }
        return html(pages.render("returns.html", context))

    page, done = _answers(pages, returns, tenant, clock)

    @get("/returns/{return_id:str}")
    async def show_return(request: Request[Any, Any, Any], return_id: FromPath[str]) -> Response[Any]:
        return await page(user_of(request), return_id, None)

    return [show_returns, show_return, _mending(returns, done), _deciding(returns, done)]


def _answers(pages: Pages, returns: HandlesReturns, tenant: str, clock: Clock) -> tuple[Page, Done]:
    """One return's page, and doing something and coming back to it; with what was wrong, where something was."""

    async def page(user: ConsoleUser, return_id: str, problem: Exception | None) -> Response[Any]:
        known, events = await returns.history(tenant, return_id[:_LONGEST])
        context = {
            "user": user,
            "it": known,
            "needs": returns.needs(known),
            "story": events,
            "targets": _TARGETS,
            "tones": _TONES,
            "problem": getattr(problem, "detail", None),
        }
        return html(pages.render("return.html", context), 200 if problem is None else status_of(problem))

    return page, coming_back(page, "/returns", tenant, clock)


def _mending(returns: HandlesReturns, done: Done) -> HTTPRouteHandler:
    @post("/returns/{return_id:str}/{verb:str}", opt=_REPAIR)
    async def mend_return(request: Request[Any, Any, Any], return_id: FromPath[str], verb: FromPath[str]) -> Any:
        user, form = user_of(request), form_of(request)
        if verb == "disposition":
            return await done(user, return_id, lambda caller: _disposed(returns, caller, user, return_id, form))
        if verb == "closure":
            return await done(
                user,
                return_id,
                lambda caller: returns.authorisations.close(caller, return_id, reason=reason_in(form)),
            )
        if verb == "credit":
            credit = form.get("credit", "")[:_LONGEST]
            return await done(user, return_id, lambda caller: returns.credits.retry(caller, credit))
        raise NotFound("a return is disposed of, credited again or closed here", code="console.verb")

    return mend_return


def _deciding(returns: HandlesReturns, done: Done) -> HTTPRouteHandler:
    @post("/return-decisions/{return_id:str}/{verb:str}", opt=_APPROVE)
    async def decide_return(request: Request[Any, Any, Any], return_id: FromPath[str], verb: FromPath[str]) -> Any:
        user, form = user_of(request), form_of(request)
        if verb in ("authorisation", "refusal"):
            return await done(
                user,
                return_id,
                lambda caller: returns.authorisations.decide(
                    caller, return_id, authorise=verb == "authorisation", reason=reason_in(form), amounts={}
                ),
            )
        if verb == "settlement":
            return await done(user, return_id, lambda caller: _settled(returns, caller, form))
        raise NotFound("a return is authorised, refused or credited by hand here", code="console.verb")

    return decide_return


async def _disposed(
    returns: HandlesReturns, caller: Caller, user: ConsoleUser, return_id: str, form: Mapping[str, str]
) -> object:
    line, amount = number_in(form.get("line", ""), "name the line"), amount_in(form.get("amount", "").strip())
    target = form.get("target", "")
    if amount is None or target not in _TARGETS:
        raise Invalid("say how much of it goes where", code="console.disposition")
    # The version that the page showed is part of it: a form that is sent twice does it once.
    action = action_of(user, return_id, form.get("version", ""), str(line), str(amount), target)
    return await returns.dispose(
        caller, return_id, action=action, line=line, amount=amount, target=target, reason=reason_in(form)
    )


async def _settled(returns: HandlesReturns, caller: Caller, form: Mapping[str, str]) -> object:
    number = form.get("number", "").strip()
    if not number or len(number) > _LONGEST or not number.isprintable():
        raise Invalid("name the number of the credit note", code="console.number")
    credit = form.get("credit", "")[:_LONGEST]
    return await returns.credits.settle(caller, credit, number=number, reason=reason_in(form))
