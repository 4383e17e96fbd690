"""The page of stock operations: what is on its way or asked for, how old it is, what to do about it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final, Protocol

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.console.access import caller_of, form_of, user_of
from gateway.console.answers import html, see_other, status_of
from gateway.console.forms import reason_in
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Invalid, NotAllowed, NotFound

_REPAIR: Final = {"role": "repair"}
_APPROVE: Final = {"role": "approve"}
_SHOWN: Final = 100
_LONGEST: Final = 200
_DEADLINE_S: Final = 20.0
_PLACES: Final = ("lost", "at_origin", "at_destination")
_TONES: Final = {
    "planned": "quiet",
    "releasing": "info",
    "released": "info",
    "cancelling": "warn",
    "in_transit": "info",
    "partly_received": "info",
    "requested": "info",
    "asked": "info",
    "refused": "bad",
    "open": "quiet",
    "recount": "warn",
    "to_approve": "bad",
    "posting": "info",
}


class MendsTransfers(Protocol):
    """Transfers, as far as this page asks them; each command writes its own audit entry."""

    def listed(self, tenant: str, *, open_only: bool, limit: int) -> Awaitable[Sequence[Any]]:
        """The newest first."""
        ...

    def release(self, caller: Caller, transfer: str) -> Awaitable[object]:
        """Raises `NotFound` or `Conflict`."""
        ...

    def cancel(self, caller: Caller, transfer: str, *, reason: str) -> Awaitable[object]:
        """Raises `NotFound` or `Conflict`."""
        ...

    def close(
        self, caller: Caller, transfer: str, *, reason: str, missing: Any, lines: Sequence[int] | None
    ) -> Awaitable[object]:
        """Of all lines or of some. Raises `NotFound` or `Conflict`."""
        ...


class MendsStatusChanges(Protocol):
    """Status changes, as far as this page asks them."""

    def listed(self, tenant: str, *, open_only: bool, limit: int) -> Awaitable[Sequence[Any]]:
        """The newest first."""
        ...

    def retry(self, caller: Caller, change: str) -> Awaitable[object]:
        """Raises `NotFound`."""
        ...

    def withdraw(self, caller: Caller, change: str, *, reason: str) -> Awaitable[object]:
        """Raises `NotFound` or `Conflict`."""
        ...


class DecidesCounts(Protocol):
    """Cycle counts, as far as this page asks them."""

    def listed(self, tenant: str, *, open_only: bool, limit: int) -> Awaitable[Sequence[Any]]:
        """The newest first."""
        ...

    def approve(self, caller: Caller, count: str, *, reason: str) -> Awaitable[object]:
        """Raises `NotFound`, `Conflict` or `NotAllowed`."""
        ...

    def reject(self, caller: Caller, count: str, *, reason: str) -> Awaitable[object]:
        """Raises `NotFound` or `Conflict`."""
        ...


class Operates(Protocol):
    """Stock operations, as far as this page asks them."""

    @property
    def counts(self) -> DecidesCounts:
        """Items of a location that are counted."""
        ...

    @property
    def transfers(self) -> MendsTransfers:
        """Goods between locations of ours."""
        ...

    @property
    def changes(self) -> MendsStatusChanges:
        """Goods held, released, damaged, restored."""
        ...

    def needs(self, subject: Any, today: date) -> Sequence[Any]:
        """What a person should do about a transfer, a change or a count."""
        ...


def operation_routes(pages: Pages, operates: Operates, tenant: str, clock: Clock) -> list[HTTPRouteHandler]:
    """Handlers of the page and of its buttons."""
    page, done = _answers(pages, operates, tenant, clock)

    @get("/operations")
    async def show_operations(request: Request[Any, Any, Any]) -> Response[Any]:
        shown: Response[Any] = await page(user_of(request))
        return shown

    @post("/operations/transfers/{transfer:str}/{verb:str}", opt=_REPAIR)
    async def mend_transfer(request: Request[Any, Any, Any], transfer: FromPath[str], verb: FromPath[str]) -> Any:
        user, form = user_of(request), form_of(request)
        caller, name = caller_of(user, tenant, clock.monotonic() + _DEADLINE_S), transfer[:_LONGEST]
        if verb == "release":
            return await done(user, lambda: operates.transfers.release(caller, name))
        if verb == "cancel":
            return await done(user, lambda: operates.transfers.cancel(caller, name, reason=reason_in(form)))
        raise NotFound("a transfer is released or cancelled here", code="console.verb")

    @post("/operations/closures/{transfer:str}", opt=_APPROVE)
    async def close_transfer(request: Request[Any, Any, Any], transfer: FromPath[str]) -> Any:
        user, form = user_of(request), form_of(request)
        caller, name = caller_of(user, tenant, clock.monotonic() + _DEADLINE_S), transfer[:_LONGEST]
        return await done(
            user,
            lambda: operates.transfers.close(
                caller, name, reason=reason_in(form), missing=_place(form), lines=_chosen(form)
            ),
        )

    @post("/operations/changes/{change:str}/{verb:str}", opt=_REPAIR)
    async def mend_change(request: Request[Any, Any, Any], change: FromPath[str], verb: FromPath[str]) -> Any:
        user, form = user_of(request), form_of(request)
        caller, name = caller_of(user, tenant, clock.monotonic() + _DEADLINE_S), change[:_LONGEST]
        if verb == "retry":
            return await done(user, lambda: operates.changes.retry(caller, name))
        if verb == "withdraw":
            return await done(user, lambda: operates.changes.withdraw(caller, name, reason=reason_in(form)))
        raise NotFound("a change is retried or withdrawn here", code="console.verb")

    return [show_operations, mend_transfer, close_transfer, mend_change, *_deciding(operates, tenant, clock, done)]


def _deciding(operates: Operates, tenant: str, clock: Clock, done: Any) -> list[HTTPRouteHandler]:
    @post("/operations/counts/{count:str}/{verb:str}", opt=_APPROVE)
    async def decide_count(request: Request[Any, Any, Any], count: FromPath[str], verb: FromPath[str]) -> Any:
        user, form = user_of(request), form_of(request)
        caller, name = caller_of(user, tenant, clock.monotonic() + _DEADLINE_S), count[:_LONGEST]
        if verb == "approve":
            return await done(user, lambda: operates.counts.approve(caller, name, reason=reason_in(form)))
        if verb == "reject":
            return await done(user, lambda: operates.counts.reject(caller, name, reason=reason_in(form)))
        raise NotFound("a count is approved or rejected", code="console.verb")

    return [decide_count]


def _answers(pages: Pages, operates: Operates, tenant: str, clock: Clock) -> tuple[Any, Any]:
    """The page, and doing something and coming back to it; with what was wrong, where something was."""

    async def page(user: ConsoleUser, problem: Exception | None = None) -> Response[str]:
        today = clock.now().date()
        context = {
            "user": user,
            "transfers": [
                {"it": each, "needs": operates.needs(each, today)}
                for each in await operates.transfers.listed(tenant, open_only=True, limit=_SHOWN)
            ],
            "counts": [
                {"it": each, "needs": operates.needs(each, today)}
                for each in await operates.counts.listed(tenant, open_only=True, limit=_SHOWN)
            ],
            "changes": [
                {"it": each, "needs": operates.needs(each, today)}
                for each in await operates.changes.listed(tenant, open_only=True, limit=_SHOWN)
            ],
            "tones": _TONES,
            "places": _PLACES,
            "problem": getattr(problem, "detail", None),
        }
        return html(pages.render("operations.html", context), 200 if problem is None else status_of(problem))

    async def done(user: ConsoleUser, work: Callable[[], Awaitable[object]]) -> Response[Any]:
        try:
            await work()
        except (Conflict, Invalid, NotAllowed) as error:
            answer: Response[Any] = await page(user, error)
            return answer
        return see_other("/operations")

    return page, done


def _place(form: Mapping[str, str]) -> str:
    place = form.get("missing", "")
    if place not in _PLACES:
        raise Invalid("say where what is missing is", code="console.missing")
    return place


def _chosen(form: Mapping[str, str]) -> list[int] | None:
    line = form.get("line", "")[:4]
    return [int(line)] if line.isdecimal() else None
