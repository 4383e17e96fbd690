"""Reading one handler: its options and its signature become a `Route`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from litestar.enums import RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.params import BodyKwarg

from gateway.edge.contract import refuse_lenient, reply_checker
from gateway.edge.parameters import Parameter, parameter_of, query_checker
from gateway.edge.strict import forgiving_decoder, json_decoder
from gateway.kernel.context import Zone
from gateway.kernel.errors import Misconfigured
from gateway.kernel.exchange import LONGEST_RETENTION, Idempotency, Route

_JSON: Final = frozenset({"application/json"})
_DAY: Final = 86_400
_BODY_OPTIONS: Final = frozenset({"body", "body_cost", "content_types", "max_body"})
_READS_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


def route_of(template: str, method: str, handler: HTTPRouteHandler, model: Any) -> Route:
    """What `handler` asks of the door; `Misconfigured` names it when it does not say, or says what cannot be."""
    where = f"{method} {template}"
    opt: Mapping[str, Any] = handler.opt
    if "zone" not in opt:
        raise Misconfigured(f'{where} does not say who may call it: give it opt={{"zone": ...}}', code="route.zone")
    try:
        zone = None if opt["zone"] is None else Zone(opt["zone"])
        idempotency = Idempotency(opt.get("idempotency", Idempotency.NONE))
    except ValueError as error:
        raise Misconfigured(f"{where}: {error}", code="route.option") from error
    scopes = opt.get("scopes", ())
    decode, forgive, content_types = _body_of(where, handler, opt)
    return Route(
        id=where,
        method=method,
        template=template,
        api=str(opt.get("api", "")),
        version=str(opt.get("version", "")),
        zone=zone,
        tenant_aware=bool(opt.get("tenant_aware", False)),
        scopes=frozenset([scopes] if isinstance(scopes, str) else scopes),
        cost=int(opt.get("cost", 1)),
        body_cost=opt.get("body_cost"),
        idempotency=idempotency,
        idempotency_retention=_retention_of(where, opt),
        streaming=bool(opt.get("streaming", False)),
        max_body=int(opt.get("max_body", 1 << 20)),
        content_types=content_types,
        decode=decode,
        forgive=forgive,
        check_query=_query_of(handler, model, opt),
        check_reply=reply_checker(handler.parsed_fn_signature.return_type.annotation),
        takes_body=_takes_body(method, handler, opt),
        options=opt,
    )


def _retention_of(where: str, opt: Mapping[str, Any]) -> int:
    seconds = int(opt.get("idempotency_retention", _DAY))
    if not 1 <= seconds <= LONGEST_RETENTION:
        raise Misconfigured(
            f"{where}: idempotency_retention is {seconds} s: say 1 s to {LONGEST_RETENTION} s (31 days)",
            code="route.retention",
        )
    return seconds


def _takes_body(method: str, handler: HTTPRouteHandler, opt: Mapping[str, Any]) -> bool:
    declared = {"data", "body"} & set(handler.parsed_fn_signature.parameters)
    return bool(declared) or (method in _READS_BODY and not _BODY_OPTIONS.isdisjoint(opt))


def _body_of(
    where: str, handler: HTTPRouteHandler, opt: Mapping[str, Any]
) -> tuple[Callable[..., Any] | None, Callable[..., Any] | None, frozenset[str]]:
    """The strict and the forgiving decoder of a JSON body, and the content types that are taken."""
    declared = opt.get("content_types")
    field = handler.parsed_fn_signature.parameters.get("data")
    if field is None:
        return None, None, _JSON if declared is None else frozenset(declared)
    kwarg = field.kwarg_definition
    media_type = kwarg.media_type if isinstance(kwarg, BodyKwarg) else RequestEncodingType.JSON
    if media_type != RequestEncodingType.JSON:
        return None, None, frozenset({str(getattr(media_type, "value", media_type))} if declared is None else declared)
    refuse_lenient(field.annotation, where)
    taken = _JSON if declared is None else frozenset(declared)
    return json_decoder(field.annotation), forgiving_decoder(field.annotation), taken


def _query_of(handler: HTTPRouteHandler, model: Any, opt: Mapping[str, Any]) -> Callable[[bytes], None] | None:
    if opt.get("query") == "any" or "query" in model.expected_reserved_kwargs:
        return None
    known = {name: Parameter() for name in opt.get("query", ())}
    fields = handler.parsed_fn_signature.parameters
    for definition in model.expected_query_params:
        field = fields.get(definition.field_name)
        known[definition.field_alias] = (
            Parameter(definition.is_sequence)
            if field is None
            else parameter_of(field.annotation, repeated=definition.is_sequence)
        )
    return query_checker(known)
