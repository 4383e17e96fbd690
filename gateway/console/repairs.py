"""What a person can do about a failure (role `repair`) or decide (role `approve`).

All of it goes through the process's own function, and is audited.
"""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.backbone.dead_letters import request_replay, resolve_dead_letter
from gateway.canonical.capabilities import Connection
from gateway.console.access import actor_of, caller_of, form_of, user_of
from gateway.console.answers import from_htmx, html, see_other
from gateway.console.reading import Reading
from gateway.console.rendering import Pages
from gateway.console.serving_customers import ServesOrders
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import CrossdockError, Invalid, NotFound
from gateway.kernel.ids import new_id
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)
_REPAIR: Final = {"role": "repair"}
_APPROVE: Final = {"role": "approve"}
_DEADLINE_S: Final = 20.0
_LARGEST: Final = 2**63 - 1


class MendsOrders(ServesOrders, Protocol):
    """Order to ship: each of these writes its own audit entry."""

    def retry_exception(self, caller: Caller, exception_id: str) -> Awaitable[object]:
        """Resolve an exception and try again what it stopped. Raises `NotFound` or `Conflict`."""
        ...

    def release_hold(self, caller: Caller, order_id: str, *, reason: str) -> Awaitable[object]:
        """Let a held order go on, on the caller's responsibility. Raises `NotFound` or `Conflict`."""
        ...


class RedeliversMessages(Protocol):
    """Partner notifications: sends a finished message again under its old id."""

    def redeliver(self, tenant: str, message: str) -> Awaitable[None]:
        """Raises `NotFound`."""
        ...


class Repairs:
    """The actions. Those whose process writes no audit entry get one here: before, and again when they fail."""

    def __init__(
        self, store: Store, clock: Clock, tenant: str, orders: MendsOrders, messages: RedeliversMessages
    ) -> None:
        self._store = store
        self._clock = clock
        self._tenant = tenant
        self._orders = orders
        self._messages = messages

    async def retry(self, user: ConsoleUser, exception_id: str) -> None:
        """Retry what an order's exception stopped."""
        caller = caller_of(user, self._tenant, self._clock.monotonic() + _DEADLINE_S)
        await self._orders.retry_exception(caller, exception_id)

    async def release(self, user: ConsoleUser, order_id: str, reason: str) -> None:
        """Let an order go on that its customer's credit or account holds."""
        if not reason.strip():
            raise Invalid("say why the order may go on: the audit trail keeps it", code="console.reason")
        caller = caller_of(user, self._tenant, self._clock.monotonic() + _DEADLINE_S)
        await self._orders.release_hold(caller, order_id, reason=reason.strip())

    async def replay(self, user: ConsoleUser, letter: int) -> None:
        """Have the consumer try a dead letter again."""
        async with self._letter(letter) as connection:
            await request_replay(connection, letter, actor=actor_of(user))

    async def resolve(self, user: ConsoleUser, letter: int, reason: str) -> None:
        """Close a dead letter without handling it."""
        async with self._letter(letter) as connection:
            await resolve_dead_letter(connection, letter, reason=reason, actor=actor_of(user))

    async def redeliver(self, user: ConsoleUser, message: str) -> None:
        """Send an abandoned webhook again."""
        correlation_id = new_id("req")
        await self._audit(user, "webhook.redeliver", message, "asked", correlation_id)
        try:
            await self._messages.redeliver(self._tenant, message)
        except CrossdockError as error:
            await self._audit(user, "webhook.redeliver", message, f"failed: {error.code}", correlation_id)
            raise

    @asynccontextmanager
    async def _letter(self, letter: int) -> AsyncIterator[Connection]:
        """A transaction for work on a letter of this tenant; another's is not there."""
        async with self._store.transaction() as connection:
            if not 0 < letter <= _LARGEST or not await connection.fetchval(_sql.has_letter, letter, self._tenant):
                raise NotFound(f"there is no dead letter {letter}", code="dead_letter.not_found")
            yield connection

    async def _audit(self, user: ConsoleUser, action: str, subject: str, outcome: str, correlation_id: str) -> None:
        async with self._store.transaction() as connection:
            await record_audit(
                connection,
                tenant=self._tenant,
                actor=actor_of(user),
                action=action,
                subject=subject,
                outcome=outcome,
                correlation_id=correlation_id,
            )


def repair_routes(pages: Pages, reading: Reading, repairs: Repairs) -> list[HTTPRouteHandler]:
    """Handlers of the buttons beside failures and held orders."""

    def done(request: Request[Any, Any, Any], text: str) -> Response[Any]:
        reading.forget()
        if not from_htmx(request):
            return see_other("/")
        response = html(pages.render("_notice.html", {"tone": "good", "title": "Done", "text": text}))
        response.headers["hx-trigger"] = "refresh"
        return response

    @post("/exceptions/{exception_id:str}/retry", opt=_REPAIR)
    async def retry_exception(request: Request[Any, Any, Any], exception_id: FromPath[str]) -> Response[Any]:
        await repairs.retry(user_of(request), _printable(exception_id))
        return done(request, "The order goes on from where it stopped.")

    @post("/orders/{order_id:str}/release", opt=_APPROVE)
    async def release_order(request: Request[Any, Any, Any], order_id: FromPath[str]) -> Response[Any]:
        reason = form_of(request).get("reason", "")[:500]
        await repairs.release(user_of(request), _printable(order_id), reason)
        return done(request, "The order is released and goes on.")

    @post("/dead-letters/{letter:int}/replay", opt=_REPAIR)
    async def replay_letter(request: Request[Any, Any, Any], letter: FromPath[int]) -> Response[Any]:
        await repairs.replay(user_of(request), letter)
        return done(request, f"Dead letter {letter} is tried again within a second.")

    @post("/dead-letters/{letter:int}/resolve", opt=_REPAIR)
    async def resolve_letter(request: Request[Any, Any, Any], letter: FromPath[int]) -> Response[Any]:
        await repairs.resolve(user_of(request), letter, form_of(request).get("reason", "")[:500])
        return done(request, f"Dead letter {letter} is closed; what waited behind it goes on.")

    @post("/webhooks/{message:str}/redeliver", opt=_REPAIR)
    async def redeliver_webhook(request: Request[Any, Any, Any], message: FromPath[str]) -> Response[Any]:
        await repairs.redeliver(user_of(request), _printable(message))
        return done(request, "The message is sent again under its old id.")

    return [retry_exception, release_order, replay_letter, resolve_letter, redeliver_webhook]


def _printable(name: str) -> str:
    if not name.isprintable() or len(name) > 80:  # noqa: PLR2004
        raise NotFound("there is no such entry", code="console.name")
    return name
