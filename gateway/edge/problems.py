"""The only place where errors become HTTP: problem details (RFC 9457), statuses and the headers that go with them.

`type` is ``/problems/<code>``, stable and relative to the API's own origin; `code` repeats it for programs. A status
comes from the code where the protocol has its own word for it (405, 413, 415, ...), else from the sort of error:

    Invalid 422 (400 for broken syntax) · Rejected 422 (400 for what the door refuses, ``request.*``)
    NotAuthenticated 401 · NotAllowed 403 · NotFound 404 · Conflict 409 · Throttled 429
    BrokenUpstream 502 · Unavailable 503 · OutcomeUnknown 504 · everything else 500, without its text

`OutcomeUnknown` is 504 (RFC 9110, 15.6.5: no timely answer from a server further in) and not 503, because 503 with
`Retry-After` invites a blind retry; its detail says to look first. So is a commit whose answer was lost.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    CrossdockError,
    Invalid,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from gateway.kernel.exchange import Exchange, Reply

MEDIA_TYPE: Final = b"application/problem+json"
INTERNAL: Final = 500
_BAD_REQUEST: Final = 400
_METHOD_NOT_ALLOWED: Final = 405
_LONGEST_INSTANCE: Final = 200
_MOST_PROBLEMS: Final = 100

_BY_CODE: Final = {
    "request.method_not_allowed": 405,
    "request.not_acceptable": 406,
    "request.body_timeout": 408,
    "request.body_too_large": 413,
    "request.uri_too_long": 414,
    "request.media_type": 415,
    "request.content_encoding": 415,
    "request.misdirected": 421,
    "request.header_fields_too_large": 431,
    "request.parameters": 400,
    "precondition.failed": 412,
    "precondition.required": 428,
    "version.sunset": 410,
    "stock.history_gone": 410,
    "store.commit_unknown": 504,
    "outbound.timeout": 504,
    "proxied.loop": 508,
}
_BY_KIND: Final[tuple[tuple[type[CrossdockError], int], ...]] = (
    (Rejected, 422),
    (NotAuthenticated, 401),
    (NotAllowed, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Throttled, 429),
    (BrokenUpstream, 502),
    (Unavailable, 503),
    (OutcomeUnknown, 504),
)
TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    508: "Loop Detected",
}
_encode: Final = msgspec.json.Encoder().encode


def status_of(error: BaseException) -> int:
    """The status that `error` is told with."""
    if not isinstance(error, CrossdockError):
        return INTERNAL
    by_code = _BY_CODE.get(error.code)
    if by_code is not None:
        return by_code
    broken_syntax = isinstance(error, Invalid) and error.syntax
    if broken_syntax or (isinstance(error, Rejected) and error.code.startswith("request.") and type(error) is Rejected):
        return _BAD_REQUEST
    return next((status for kind, status in _BY_KIND if isinstance(error, kind)), INTERNAL)


def problem_reply(error: BaseException, exchange: Exchange) -> Reply:
    """`error` as a complete response; anything that is not ours, or says 500, keeps its text to the log."""
    status = status_of(error)
    known = isinstance(error, CrossdockError) and status != INTERNAL
    code = error.code if known and isinstance(error, CrossdockError) else "internal"
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": error.detail
        if known and isinstance(error, CrossdockError)
        else "Something failed on our side. Quote the request id when you report it.",
        "instance": (exchange.path or "/")[:_LONGEST_INSTANCE],
        "code": code,
        "request_id": exchange.request_id,
    }
    if isinstance(error, Invalid | Conflict) and error.problems:
        body["errors"] = [
            {key: value for key, value in _members(problem) if value is not None}
            for problem in error.problems[:_MOST_PROBLEMS]
        ]
    encoded = _encode(body)
    headers = [
        (b"content-type", MEDIA_TYPE),
        (b"content-length", b"%d" % len(encoded)),
        *_headers_of(error, status, exchange),
    ]
    return Reply(status, headers, encoded)


def _members(problem: Any) -> tuple[tuple[str, str | None], ...]:
    return (("detail", problem.detail), ("pointer", problem.pointer), ("parameter", problem.parameter))


def _headers_of(error: BaseException, status: int, exchange: Exchange) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, Throttled | Unavailable):
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    elif isinstance(error, Conflict | OutcomeUnknown) and "retry_after" in error.context:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(float(str(error.context["retry_after"]))))))
    if isinstance(error, NotAuthenticated):
        challenge = str(error.context.get("www_authenticate", 'Bearer realm="crossdock"'))
        headers.append((b"www-authenticate", _printable(challenge)))
    if status == _METHOD_NOT_ALLOWED:
        headers.append((b"allow", ", ".join(exchange.allowed_methods).encode("ascii", "replace")))
    return headers


def _printable(value: str) -> bytes:
    return "".join(character for character in value if " " <= character <= "~").encode("ascii")
