"""What customer service does to an order from its page: hold, cancel in part, serve from elsewhere, ship apart.

All of it goes through order to ship, which guards and audits it. The version of the order that the page showed is the
precondition, and part of the action id: sending a form twice does it once.
"""

from collections.abc import Awaitable
from decimal import Decimal
from typing import Any, Final, Protocol

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.console.access import caller_of, form_of, user_of
from gateway.console.answers import from_htmx, html, see_other
from gateway.console.forms import action_of, amount_in, number_in
from gateway.console.reading import Reading
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Invalid, NotFound

VERBS: Final = {
    "hold": "The order is held once the systems have given back what they have of it.",
    "cancel": "It is cancelled once the systems have given back what they have of it.",
    "reallocate": "It is served from there once the systems have given back what they have of it.",
    "split": "It leaves apart once the systems have given back what they have of it.",
}
_DEADLINE_S: Final = 20.0
_LONGEST: Final = 100


class ServesOrders(Protocol):
    """Order to ship, which writes the audit entry."""

    def serve(
        self,
        caller: Caller,
        order_id: str,
        verb: str,
        *,
        action: str,
        reason: str,
        version: int,
        line: int | None,
        amount: Decimal | None,
        location: str | None,
    ) -> Awaitable[object]:
        """Hold, cancel, reallocate or split. Raises `NotFound`, `Invalid` or `Conflict`."""
        ...


class CustomerDesk:
    """Turns a form into a command."""

    def __init__(self, orders: ServesOrders, clock: Clock, tenant: str) -> None:
        self._orders = orders
        self._clock = clock
        self._tenant = tenant

    async def serve(self, user: ConsoleUser, order_id: str, form: dict[str, str]) -> str:
        """Do what the form says; returns what to tell the person."""
        verb, reason = form.get("verb", ""), form.get("reason", "").strip()
        if verb not in VERBS:
            raise Invalid("choose what is to be done", code="console.verb")
        if not reason or len(reason) > _LONGEST or not reason.isprintable():
            raise Invalid(f"say why, in at most {_LONGEST} characters: the audit trail keeps it", code="console.reason")
        location = form.get("location", "").strip() or None
        await self._orders.serve(
            caller_of(user, self._tenant, self._clock.monotonic() + _DEADLINE_S),
            order_id,
            verb,
            action=_action(user, order_id, form),
            reason=reason,
            version=number_in(form.get("version", ""), "load the page again"),
            line=None if verb == "hold" else number_in(form.get("line", ""), "name the line"),
            amount=None if verb == "hold" else amount_in(form.get("amount", "").strip()),
            location=location if verb == "reallocate" else None,
        )
        return VERBS[verb]


def customer_routes(pages: Pages, reading: Reading, desk: CustomerDesk) -> list[HTTPRouteHandler]:
    """The handler of the forms on an order's page."""

    @post("/orders/{order_id:str}/service", opt={"role": "repair"})
    async def serve_order(request: Request[Any, Any, Any], order_id: FromPath[str]) -> Response[Any]:
        if not order_id.isprintable() or len(order_id) > _LONGEST:
            raise NotFound("there is no such order", code="order.not_found")
        text = await desk.serve(user_of(request), order_id, dict(form_of(request)))
        reading.forget()
        if not from_htmx(request):
            return see_other(f"/orders/{order_id}")
        response = html(pages.render("_notice.html", {"tone": "good", "title": "Done", "text": text}))
        response.headers["hx-trigger"] = "refresh"
        return response

    return [serve_order]


def _action(user: ConsoleUser, order_id: str, form: dict[str, str]) -> str:
    names = ("verb", "version", "line", "amount", "location", "reason")
    return action_of(user, order_id, *(form.get(name, "").strip() for name in names))
