"""What every operation may answer: problem details, headers, the two ways to show who you are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    "WWW-Authenticate": {
        "description": "How to show who you are (RFC 6750, RFC 9728).",
        "schema": {"type": "string", "maxLength": 1000},
    },
    "Allow": {
        "description": "What is served at this path.",
        "schema": {"type": "string", "maxLength": 200},
    },
    "Deprecation": {
        "description": "Since when this version is deprecated: `@` and seconds since 1970 (RFC 9745).",
        "schema": {"type": "string", "pattern": "^@[0-9]{1,12}$", "maxLength": 13},
    },
    "Link": {
        "description": "What to read about the end of this version, and its successor (RFC 8288, RFC 5829).",
        "schema": {"type": "string", "maxLength": 1000},
    },
    "Sunset": {
        "description": "When this version ends, as an HTTP date (RFC 8594).",
        "schema": {"type": "string", "maxLength": 40},
    },
    "Idempotent-Replayed": {
        "description": "`true` when this is the stored answer of an earlier request with the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}

ALWAYS: Final = ("X-Request-Id",)
LIMITED: Final = ("RateLimit-Policy", "RateLimit")
DATED: Final = ("Deprecation", "Link", "Sunset")
# The language that `policies.idempotency.key` reads: a bare key, or a structured-field string with its parameters.
_KEY: Final = (
    r"^(?:[!#-\[\]-~]{1,255}"
    r'|"(?:[ !#-\[\]-~]|\\["\\]){1,255}"(?:; *[a-z*][a-z0-9_.*-]*(?:=[A-Za-z0-9?*.-][A-Za-z0-9:/.%*-]*)?)*)$(?!\n)'
)
# As RFC 9110 names them; Python does from 3.13 on.
_RENAMED: Final = {
    413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"
}  # fmt: skip
PHRASES: Final = {status.value: status.phrase for status in HTTPStatus} | _RENAMED
_WAITS: Final = ("Retry-After",)
_BY_STATUS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    409: _WAITS,
    429: _WAITS,
    503: _WAITS,
    504: _WAITS,
}
_SERVER_ERROR: Final = 500
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


def headers(*names: str) -> dict[str, Any]:
    """References to the headers that the components describe."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _problem(code: int) -> dict[str, Any]:
    return {
        "description": PHRASES[code],
        "headers": headers(*ALWAYS, *(LIMITED if code < _SERVER_ERROR else ()), *_BY_STATUS.get(code, ())),
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
            "content is answered from the record. Quoted (a structured-field string, RFC 9651) or bare; parameters of "
            "the string are ignored."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": _KEY},
        "example": '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
    }


def security_schemes(scopes: Sequence[str]) -> dict[str, Any]:
    """OAuth2 client credentials, or an API key: exactly one of them."""
    return {
        "oauth2": {
            "type": "oauth2",
            "description": "Access tokens in JWT form (RFC9068, RFC8725), issued for client credentials.",
            "flows": {
                "clientCredentials": {
                    "tokenUrl": "/oauth2/token",
                    "scopes": {scope: f"Allows {scope.replace(':', ': ')}." for scope in scopes},
                }
            },
        },
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key of yours."},
    }
