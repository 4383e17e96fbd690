"""The way from the door to a handler without the router in between, for handlers that need nothing else of it.

The router's own matching, exception layer, dependency scopes and response objects are two thirds of what a small read
costs. A handler that takes the request, text from its path and query, and a decoded body is called by the door itself,
with the arguments that the router would have made: its own signature model's types, by the same lax conversion of text.
Which handler serves a path is then decided once, by the door's table, so two matchers cannot disagree about it.

Whatever is unusual stays with the router: guards, middleware, hooks, dependencies, cookies, other parsers, streams. So
does every refusal of a parameter: what does not convert here is given to the router, which says why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from gateway.edge.body import replayed
from gateway.edge.lean import Encoded
from gateway.edge.litestar_app import translated
from gateway.edge.outgoing import Collected
from gateway.edge.routes import RouteTable
from gateway.kernel.exchange import Exchange, Reply, Route

Direct = Callable[[Exchange], Awaitable[None]]

_ARGUMENTS: Final = frozenset({"request", "data"})
_JSON: Final = (b"content-type", b"application/json")
_encode: Final = msgspec.json.Encoder().encode


class _Plan(Struct, frozen=True):
    """How one handler is called. `arguments` is a struct of its path and query parameters, None without any.

    `query` leads from a parameter's name on the wire to the handler's. `plain` says that its answer is a struct which
    becomes JSON with the status `status` and no header of its own.
    """

    route: Route
    handler: HTTPRouteHandler
    arguments: type[Struct] | None
    query: Mapping[str, str]
    takes_request: bool
    takes_data: bool
    plain: bool
    status: int


def direct_handlers(app: Litestar, table: RouteTable) -> Mapping[str, Direct]:
    """The operations of `app` that the door may call itself, by route id."""
    plans = (_plan_of(app, table, route) for route in table.routes)
    return {plan.route.id: _caller_of(app, plan) for plan in plans if plan is not None}


def _plan_of(app: Litestar, table: RouteTable, route: Route) -> _Plan | None:
    handler, model, parsers = table.compiled(route)
    if route.streaming or any(parse is not None for _, parse in parsers) or _is_special(app, handler, model):
        return None
    parameters = handler.parsed_fn_signature.parameters
    reserved = set(model.expected_reserved_kwargs)
    if reserved - {"request", "data"} or handler.has_sync_callable:
        return None
    if "data" in parameters and (route.decode is None or route.options.get("body_optional", False)):
        return None
    query = {definition.field_alias: definition.field_name for definition in model.expected_query_params}
    names = [name for name in parameters if name not in _ARGUMENTS]
    if {*names} != {*(name for name, _ in parsers if name in parameters), *query.values()}:
        return None
    returned = handler.parsed_fn_signature.return_type.annotation
    undeclared = not handler.resolve_response_headers() and not handler.resolve_response_cookies()
    return _Plan(
        route=route,
        handler=handler,
        arguments=_arguments_of(handler, names) if names else None,
        query=query,
        takes_request="request" in parameters,
        takes_data="data" in parameters,
        plain=undeclared and isinstance(returned, type) and issubclass(returned, Struct),
        status=handler.status_code,
    )


def _is_special(app: Litestar, handler: HTTPRouteHandler, model: Any) -> bool:
    """Whether the router does more for `handler` than call it."""
    return bool(
        handler.resolve_guards()
        or handler.resolve_middleware()
        or handler.resolve_before_request() is not app.before_request
        or handler.resolve_exception_handlers() != app.exception_handlers
        or handler.resolve_after_response()
        or handler.after_request
        or handler.background
        or handler.cache
        or handler.resolve_return_dto()
        or handler.resolve_data_dto()
        or model.dependency_batches
        or model.expected_cookie_params
        or model.expected_header_params
        or model.expected_form_data
        or model.expected_msgpack_data
        or model.sequence_query_parameter_names
    )


def _arguments_of(handler: HTTPRouteHandler, names: list[str]) -> type[Struct]:
    annotations: Mapping[str, Any] = handler.signature_model.__annotations__
    fields: list[Any] = []
    for name in names:
        field = handler.parsed_fn_signature.parameters[name]
        fields.append((name, annotations[name], field.default) if field.has_default else (name, annotations[name]))
    return msgspec.defstruct("Arguments", fields, kw_only=True)


def _caller_of(app: Litestar, plan: _Plan) -> Direct:
    make_request = plan.handler.resolve_request_class()
    handle: Callable[..., Awaitable[Any]] = plan.handler.fn
    arguments, query, takes_request, takes_data = plan.arguments, plan.query, plan.takes_request, plan.takes_data

    receive_of = replayed if plan.route.takes_body else _unread

    async def call(exchange: Exchange) -> None:
        values: dict[str, Any] = {}
        if arguments is not None:
            try:
                values = _converted(exchange, arguments, query)
            except (msgspec.ValidationError, LookupError, ValueError, TypeError):
                return  # the router refuses it, in its words
        request: Any = None
        if takes_request or not plan.plain:
            request = make_request(_scope_for(exchange, app, plan.handler), receive_of(exchange))
        if takes_request:
            values["request"] = request
        if takes_data:
            values["data"] = exchange.decoded
        try:
            answer = await handle(**values)
            exchange.reply = _reply(answer, plan.status) if plan.plain else await _finish(app, plan, request, answer)
        except HTTPException as error:
            raise translated(error) from error

    return call


def _unread(exchange: Exchange) -> Callable[[], Awaitable[Any]]:
    return lambda: exchange.receive()  # noqa: PLW0108  # not the server's own: a traceback must not keep it


def _converted(exchange: Exchange, arguments: type[Struct], query: Mapping[str, str]) -> dict[str, Any]:
    texts: dict[str, Any] = dict(exchange.path_params)
    if exchange.query:
        for name, text in parse_qsl(exchange.query.decode("latin-1"), keep_blank_values=True):
            texts[query[name]] = text
    return msgspec.structs.asdict(msgspec.convert(texts, arguments, strict=False))


def _scope_for(exchange: Exchange, app: Litestar, handler: HTTPRouteHandler) -> Any:
    """The connection as the router would hand it on."""
    scope = exchange.scope
    scope["app"] = scope["litestar_app"] = app
    scope["route_handler"] = handler
    scope["path_params"] = exchange.path_params
    scope.setdefault("state", {})
    if exchange.method == "HEAD":
        scope["method"] = "GET"
    return scope


def _reply(answer: Struct, status: int) -> Reply:
    body = _encode(answer)
    return Reply(status, [_JSON, (b"content-length", b"%d" % len(body))], body)


async def _finish(app: Litestar, plan: _Plan, request: Any, answer: Any) -> Reply:
    """What the router makes of a response object, or of data with declared headers."""
    response = await plan.handler.to_response(app=app, data=answer, request=request)
    if type(response) is Encoded:
        return Reply(response.status, response.fields, response.body)
    collected = Collected()
    await response(request.scope, request.receive, collected)  # type: ignore[arg-type]
    return collected.reply()
