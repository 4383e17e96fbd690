"""What every operation may answer: problem details, headers, the two ways to show who you are."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

SCHEMAS: Final[dict[str, Any]] = {
    "Problem": {
        "title": "Problem",
        "description": "Problem details (RFC 9457). `code` is stable: programs may decide by it.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "maxLength": 200},
            "title": {"type": "string", "maxLength": 200},
            "status": {"type": "integer", "format": "int32", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "maxLength": 4000},
            "instance": {"type": "string", "maxLength": 2000},
            "code": {"type": "string", "maxLength": 100},
            "request_id": {"type": "string", "maxLength": 64},
            "errors": {
                "type": "array",
                "maxItems": 100,
                "items": {
                    "type": "object",
                    "required": ["detail"],
                    "properties": {
                        "detail": {"type": "string", "maxLength": 1000},
                        "pointer": {"type": "string", "maxLength": 1000},
                        "parameter": {"type": "string", "maxLength": 200},
                    },
                },
            },
        },
    }
}

HEADERS: Final[dict[str, Any]] = {
    "X-Request-Id": {
        "description": "Our id of this request: give it to support.",
        "schema": {"type": "string", "maxLength": 64},
    },
    "RateLimit-Policy": {
        "description": "The limits in force (draft-ietf-httpapi-ratelimit-headers-10).",
        "schema": {"type": "string", "maxLength": 400},
    },
    "RateLimit": {
        "description": "What is left of them (draft-ietf-httpapi-ratelimit-headers-10).",
        "schema": {"type": "string", "maxLength": 400},
    },
    "Retry-After": {
        "description": "Seconds to wait before trying again.",
        "schema": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 86400},
    },
    "Idempotent-Replayed": {
        "description": "`true` when this is the stored answer of an earlier request with the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}

ALWAYS: Final = ("X-Request-Id",)
PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_WAITS: Final = frozenset({409, 429, 503, 504})
_CODES: Final = (
    400,
    401,
    403,
    404,
    405,
    406,
    408,
    409,
    410,
    412,
    413,
    414,
    415,
    422,
    428,
    429,
    431,
    500,
    502,
    503,
    504,
)


def _problem(code: int) -> dict[str, Any]:
    names = [*ALWAYS, *(("Retry-After",) if code in _WAITS else ())]
    return {
        "description": PHRASES[code],
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


RESPONSES: Final = {f"Problem{code}": _problem(code) for code in _CODES}


def idempotency_key(*, required: bool) -> dict[str, Any]:
    """The header that makes a retry safe (draft-ietf-httpapi-idempotency-key-header-07)."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": required,
        "description": (
            "1 to 255 printable characters that name this request for ever: a retry with the same key and the same "
            "content is answered from the record. Quoted (a structured-field string) or bare."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[A-Za-z0-9._~:/+=-]+$(?!\n)"},
    }


def security_schemes(scopes: Sequence[str]) -> dict[str, Any]:
    """OAuth2 client credentials, or an API key: exactly one of them."""
    return {
        "oauth2": {
            "type": "oauth2",
            "description": "Access tokens in JWT form (RFC 9068), issued for client credentials.",
            "flows": {
                "clientCredentials": {
                    "tokenUrl": "/oauth2/token",
                    "scopes": {scope: f"Allows {scope.replace(':', ': ')}." for scope in scopes},
                }
            },
        },
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key of yours."},
    }
