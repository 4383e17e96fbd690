"""The router behind the door: Litestar with strict requests, problems for every error, and no pages of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from litestar import Litestar, Request, Response
from litestar.connection import ASGIConnection
from litestar.connection.base import empty_receive, empty_send
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ControllerRouterHandler, Receive, Send

from gateway.edge.lean import LeanResponse
from gateway.edge.problems import INTERNAL, problem_reply
from gateway.edge.routes import RouteTable
from gateway.kernel.context import Caller
from gateway.kernel.errors import (
    CrossdockError,
    Invalid,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Problem,
    Rejected,
    Throttled,
)
from gateway.kernel.exchange import SCOPE_KEY, Exchange

_log: Final = logging.getLogger(__name__)
_FILLED_IN: Final = frozenset({*ASGIConnection.__slots__, *Request.__slots__}) - {"scope", "receive", "send"}


class StrictRequest(Request[Any, Any, Any]):
    """A request whose body was already decoded, strictly, on its way through the chain.

    Most handlers want nothing but its scope: what else a request holds is filled in when it is first asked for.
    """

    __slots__ = ()

    def __init__(self, scope: Any, receive: Receive = empty_receive, send: Send = empty_send) -> None:
        self.scope, self.receive, self.send = scope, receive, send

    def __getattr__(self, name: str) -> Any:
        if name not in _FILLED_IN:
            raise AttributeError(name=name, obj=self)
        super().__init__(self.scope, self.receive, self.send)
        return object.__getattribute__(self, name)

    async def json(self) -> Any:
        """The decoded body."""
        exchange: Exchange | None = self.scope.get(SCOPE_KEY)  # type: ignore[assignment]
        if exchange is None:
            raise RouteMismatch("a request reached the router without passing the door")
        return exchange.decoded


class RouteMismatch(CrossdockError):
    """The door and the router matched one path differently: nothing is done."""

    default_code = "internal"


def make_litestar(
    route_handlers: Sequence[ControllerRouterHandler],
    *,
    dependencies: Mapping[str, Provide] | None = None,
    lifespan: Sequence[Callable[[Litestar], Any]] = (),
) -> tuple[Litestar, RouteTable]:
    """The router of `route_handlers`, and the table that the front door matches by.

    A handler may take ``caller: NamedDependency[Caller]``; `dependencies` are added beside it. Raises `Misconfigured`
    for a route that does not say what it asks of the door.
    """
    table: list[RouteTable] = []

    async def assert_same_route(request: Request[Any, Any, Any]) -> None:
        exchange: Exchange | None = request.scope.get(SCOPE_KEY)  # type: ignore[assignment]
        route = exchange.route if exchange is not None else None
        if route is None or table[0].handler_of(route) is not request.route_handler:
            raise RouteMismatch(f"the door and the router disagree about {request.scope['path']!r}")

    app = Litestar(
        list(route_handlers),
        request_class=StrictRequest,
        response_class=LeanResponse,
        dependencies={"caller": Provide(_caller, sync_to_thread=False), **(dependencies or {})},
        exception_handlers={Exception: _as_problem},
        before_request=assert_same_route,
        lifespan=list(lifespan),
        openapi_config=None,
        logging_config=None,
        debug=False,
        request_max_body_size=None,
    )
    table.append(RouteTable.compile(app))
    return app, table[0]


def _caller(request: Request[Any, Any, Any]) -> Caller:
    exchange: Exchange = request.scope[SCOPE_KEY]  # type: ignore[typeddict-item]
    if exchange.caller is None:
        raise NotAuthenticated("this operation needs a credential")
    return exchange.caller


def _as_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Whatever a handler raises, in the one shape; the front door keeps the error for the policies on the way out."""
    exchange: Exchange = request.scope[SCOPE_KEY]  # type: ignore[typeddict-item]
    ours = error if isinstance(error, CrossdockError) else translated(error)
    if isinstance(error, ValidationException):
        exchange.reached_handler = False  # the router refuses parameters before it calls the handler
    exchange.error = ours
    reply = problem_reply(ours, exchange)
    if reply.status == INTERNAL:
        _log.error("request %s failed in its handler", exchange.request_id, exc_info=error)
    headers = {name.decode(): value.decode("latin-1") for name, value in reply.headers}
    return Response(reply.body, status_code=reply.status, headers=headers, media_type=headers["content-type"])


def translated(error: Exception) -> BaseException:
    """The router's own exceptions in our words; everything else stays what it is: a 500 that says nothing."""
    if isinstance(error, ValidationException):
        problems = [_problem(extra) for extra in error.extra or () if isinstance(extra, Mapping)]
        if not problems:
            problems = [Problem(error.detail.split(" for path ")[0][:300])]
        return Invalid(
            "a parameter does not fit this operation: see errors", code="request.parameters", problems=problems
        )
    if not isinstance(error, HTTPException) or error.status_code >= INTERNAL:
        return error
    return _BY_STATUS.get(error.status_code, _rejected)(error.detail)


def _problem(extra: Mapping[str, Any]) -> Problem:
    return Problem(str(extra.get("message", ""))[:300], parameter=extra.get("key"))


def _rejected(detail: str) -> CrossdockError:
    return Rejected(detail, code="request.refused")


_BY_STATUS: dict[int, Callable[[str], CrossdockError]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    405: lambda detail: Rejected(detail, code="request.method_not_allowed"),
    413: lambda detail: Rejected(detail, code="request.body_too_large"),
    415: lambda detail: Rejected(detail, code="request.media_type"),
    429: Throttled,
}
