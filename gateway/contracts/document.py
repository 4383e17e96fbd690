"""OpenAPI 3.1 documents, built from Litestar's handlers and msgspec's own JSON Schema of the types they decode.

Litestar's generator loses constraints of nullable and nested types and adds responses that the door never gives
(`standards.md`); the decoder's schema cannot differ from what the decoder accepts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import (
    BodyKwarg,
    CookieParameter,
    HeaderParameter,
    ParameterKwarg,
    PathParameter,
    QueryParameter,
)
from litestar.types import Empty

from gateway.contracts import answers
from gateway.contracts.api import Api
from gateway.contracts.description import SECURITY, SERVERS, dated_names, ownership
from gateway.contracts.formats import name_number_formats
from gateway.contracts.webhooks import webhooks_section
from gateway.contracts.wording import dedent_descriptions
from gateway.contracts.wrapped import wrapped_document
from gateway.kernel.lifecycle import Lifecycle

_REF: Final = "#/components/schemas/{name}"
_CONSTRAINTS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_items": "minItems",
    "max_items": "maxItems",
    "pattern": "pattern",
}
_PLACES: Final = {PathParameter: "path", QueryParameter: "query", HeaderParameter: "header", CookieParameter: "cookie"}
_WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PATH_TYPE: Final = re.compile(r"\{([a-z_]+):[a-z]+\}")


def build_document(api: Api) -> dict[str, Any]:
    """The whole document of one API version."""
    if api.wrapped is not None:
        return wrapped_document(api, api.wrapped)
    handlers = sorted(api.handlers, key=lambda handler: (min(handler.paths), min(handler.http_methods)))
    schemas, components = _schemas(handlers, [webhook.payload for webhook in api.webhooks])
    paths: dict[str, dict[str, Any]] = {}
    for handler in handlers:
        for path in sorted(handler.paths):
            item = paths.setdefault(_PATH_TYPE.sub(r"{\1}", path), {})
            for method in sorted(handler.http_methods):
                item[method.lower()] = _operation(handler, schemas, api.lifecycle)
    tags = sorted({tag for item in paths.values() for operation in item.values() for tag in operation["tags"]})
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": api.title,
            "version": f"{api.version[1:]}.0.0",
            "summary": api.description.splitlines()[0],
            "description": api.description,
            "contact": {"name": api.technical_owner},
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            **ownership(api),
        },
        "servers": SERVERS,
        "security": SECURITY,
        "tags": [{"name": tag, "description": f"Operations on {tag.lower()}."} for tag in tags],
        "paths": paths,
        **({"webhooks": webhooks_section(api.webhooks, schemas)} if api.webhooks else {}),
        "components": {
            "schemas": {**components, **answers.SCHEMAS},
            "responses": _used(answers.RESPONSES, paths),
            "headers": {
                name: header for name, header in answers.HEADERS.items() if name in _header_names(api, handlers)
            },
            "securitySchemes": answers.security_schemes(_all_scopes(handlers)),
        },
    }


def _header_names(api: Api, handlers: list[HTTPRouteHandler]) -> set[str]:
    keyed = any(handler.opt.get("idempotency", "none") != "none" for handler in handlers)
    used = {*dated_names(api.lifecycle), *({"Idempotent-Replayed"} if keyed else ())}
    return set(answers.HEADERS) - {"Idempotent-Replayed", *answers.DATED} | used


def _used(responses: Mapping[str, Any], paths: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The shared answers that some operation refers to."""
    operations = [operation for item in paths.values() for operation in item.values()]
    names = {
        answer["$ref"].rpartition("/")[2]
        for operation in operations
        for answer in operation["responses"].values()
        if "$ref" in answer
    }
    return {name: response for name, response in responses.items() if name in names}


def _schemas(handlers: list[HTTPRouteHandler], payloads: list[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    types: list[Any] = [*payloads]
    for handler in handlers:
        types += [kind for kind in (_body_type(handler), _answer_type(handler)) if kind is not None]
        types += _events(handler).values()
        types += handler.opt.get("bodies", {}).values()
    unique = list(dict.fromkeys(types))
    found, told = msgspec.json.schema_components(unique, ref_template=_REF)
    components: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(told))  # defaults that are tuples are arrays
    for schema in components.values():
        name_number_formats(schema)
        dedent_descriptions(schema)
    return dict(zip(unique, found, strict=True)), components


def _operation(handler: HTTPRouteHandler, schemas: Mapping[Any, Any], lifecycle: Lifecycle) -> dict[str, Any]:
    identity = str(handler.operation_id)
    summary, _, description = (handler.fn.__doc__ or _WORD.sub(" ", identity).capitalize()).strip().partition("\n")
    operation: dict[str, Any] = {
        "operationId": identity,
        "summary": summary.rstrip("."),
        "description": " ".join(description.split()) or summary,
        "tags": list(handler.tags or ["Operations"]),
        **({"deprecated": True} if lifecycle.deprecated_at is not None else {}),
        "security": _security(handler),
        "parameters": _parameters(handler),
    }
    body = _body_type(handler)
    if body is not None:
        content_types = handler.opt.get("content_types", ("application/json",))
        bodies = handler.opt.get("bodies", {})
        operation["requestBody"] = {
            "required": True,
            "content": {
                kind: {"schema": schemas[bodies.get(kind, body)], **_example(handler)} for kind in content_types
            },
        }
    success = _success(handler, schemas, dated_names(lifecycle))
    ends = lifecycle.sunset_at is not None
    operation["responses"] = {**success, **_failures(handler, has_body=body is not None, ends=ends)}
    operation["x-cost"] = handler.opt.get("cost", 1)
    return operation


def _success(handler: HTTPRouteHandler, schemas: Mapping[Any, Any], dated: Sequence[str]) -> dict[str, Any]:
    answer = _answer_type(handler)
    limited = answers.LIMITED if handler.opt.get("zone") is not None else ()
    headers = answers.headers(*answers.ALWAYS, *limited, *dated)
    for header in handler.response_headers or ():
        kind = {"format": "uri-reference"} if header.name == "Location" else {}
        headers[header.name] = {
            "description": header.description,
            "schema": {"type": "string", **kind, "maxLength": 400},
        }
    if handler.opt.get("idempotency", "none") != "none":
        headers |= answers.headers("Idempotent-Replayed")
    success: dict[str, Any] = {"description": answers.PHRASES[int(handler.status_code)], "headers": headers}
    if answer is not None:
        success["content"] = {"application/json": {"schema": schemas[answer]}}
    if events := _events(handler):
        success["content"] = {"text/event-stream": {"schema": _event_schema(events, schemas)}}
    if links := handler.opt.get("links"):
        success["links"] = {
            operation: {
                "operationId": operation,
                "description": f"What this answer names is what `{operation}` takes.",
                "parameters": dict(parameters),
            }
            for operation, parameters in links.items()
        }
    return {str(handler.status_code): success}


def _failures(handler: HTTPRouteHandler, *, has_body: bool, ends: bool) -> dict[str, Any]:
    codes = [400, 401, 403, 405, 406, 408, 413, 414, 429, 431, 500, 503]
    if "{" in min(handler.paths) or "cursor" in handler.parsed_fn_signature.parameters:
        codes.append(404)
    if has_body:
        codes += [404, 409, 415, 422]
    if handler.opt.get("idempotency", "none") != "none":
        codes += [409, 422, 504]
    codes += handler.opt.get("failures", ())
    codes += [410] if ends else []
    return {str(code): {"$ref": f"#/components/responses/Problem{code}"} for code in sorted(set(codes))}


def _example(handler: HTTPRouteHandler) -> dict[str, Any]:
    return {"example": handler.opt["example"]} if "example" in handler.opt else {}


def _security(handler: HTTPRouteHandler) -> list[dict[str, list[str]]]:
    if handler.opt.get("zone") is None:
        return []
    scopes = sorted(handler.opt.get("scopes", ()))
    return [{"oauth2": scopes}, {"apiKey": []}]


def _all_scopes(handlers: list[HTTPRouteHandler]) -> list[str]:
    return sorted({scope for handler in handlers for scope in handler.opt.get("scopes", ())})


def _parameters(handler: HTTPRouteHandler) -> list[dict[str, Any]]:
    hints = get_type_hints(handler.fn, include_extras=True)
    found = [
        _parameter(name, field.kwarg_definition, hints[name], field.default)
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, ParameterKwarg)
    ]
    if handler.opt.get("idempotency", "none") != "none":
        found.append(answers.idempotency_key(required=handler.opt["idempotency"] == "required"))
    return sorted(found, key=lambda parameter: (parameter["in"], parameter["name"]))


def _parameter(name: str, kwarg: ParameterKwarg, hint: Any, default: Any) -> dict[str, Any]:
    place = _PLACES[type(kwarg)]
    schema = _inlined(msgspec.json.schema(_without_null(get_args(hint)[0])))
    schema |= {word: getattr(kwarg, ours) for ours, word in _CONSTRAINTS.items() if getattr(kwarg, ours) is not None}
    schema |= dict(kwarg.schema_extra or {})
    required = default is Empty
    if not required and default is not None:
        schema["default"] = default
    name_number_formats(schema)
    if place == "query":
        _leave_out_null(schema)
    parameter: dict[str, Any] = {"name": kwarg.name or name, "in": place, "required": required, "schema": schema}
    if kwarg.description:
        parameter["description"] = kwarg.description
    if kwarg.examples:
        parameter["example"] = kwarg.examples[0].value
    return parameter


def _inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` without a reference of its own: ``#`` is the whole document here."""
    if "$ref" not in schema:
        return dict(schema)
    return dict(schema["$defs"][schema["$ref"].rpartition("/")[2]])


def _leave_out_null(schema: dict[str, Any]) -> None:
    """Say that the word null is no text here: the door refuses it, because it is always a client's mistake."""
    if schema.get("type") == "array":
        _leave_out_null(schema["items"])
    if schema.get("type") == "string" and not {"enum", "format"} & set(schema):
        schema["not"] = {"pattern": "^[nN][uU][lL][lL]$"}


def _without_null(kind: Any) -> Any:
    kept = [part for part in get_args(kind) if part is not type(None)]
    if type(None) in get_args(kind) and len(kept) == 1:
        return kept[0]
    return kind


def _body_type(handler: HTTPRouteHandler) -> Any | None:
    field = handler.parsed_fn_signature.parameters.get("data")
    if field is None:
        return handler.opt.get("body")
    return field.annotation if isinstance(field.kwarg_definition, BodyKwarg) else None


def _answer_type(handler: HTTPRouteHandler) -> Any | None:
    answer = get_type_hints(handler.fn)["return"]
    if isinstance(get_origin(answer), type) and issubclass(get_origin(answer), Response):
        answer = get_args(answer)[0]
    if isinstance(answer, type) and issubclass(answer, Response):
        return None
    return None if answer in (None, type(None), bytes) else answer


def _event_schema(events: Mapping[str, Any], schemas: Mapping[Any, Any]) -> dict[str, Any]:
    """One event of a stream (HTML Living Standard, section 9.2), as OpenAPI 3.2 describes it in `itemSchema`."""
    return {
        "description": "One server-sent event (HTML Living Standard, section 9.2); its `data` is JSON in one line.",
        "oneOf": [
            {
                "type": "object",
                "required": ["id", "event", "data"],
                "properties": {
                    "id": {"type": "string", "maxLength": 400},
                    "event": {"type": "string", "const": name},
                    "data": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": schemas[payload],
                    },
                },
            }
            for name, payload in sorted(events.items())
        ],
    }


def _events(handler: HTTPRouteHandler) -> Mapping[str, Any]:
    """The type of each event's data, by its name; empty where an operation answers no stream of events."""
    return dict(handler.opt.get("events", {}))
