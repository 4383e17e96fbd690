"""Canonical request: a path has one spelling, and the same bytes are matched, authorised and logged.

Percent escapes are decoded once (RFC 3986, 6.2.2), repeated slashes and dot segments are taken out, a trailing slash
is dropped. What two readers decode differently is refused with 400: an encoded slash, backslash or percent sign,
control characters, broken escapes and invalid UTF-8. TRACE and CONNECT are refused with 405.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from gateway.kernel.errors import Rejected
from gateway.kernel.exchange import Exchange
from gateway.kernel.passage import AdmitsOnly
from policies.canonical_request.options import CanonicalRequestOptions

_CANONICAL: Final = re.compile(rb"/|(?:/[A-Za-z0-9_~:@!$&'()*+,;=-][A-Za-z0-9._~:@!$&'()*+,;=-]*)+")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_TWO_READINGS: Final = re.compile(rb"%(?:2[fF]|5[cC]|25|[01][0-9A-Fa-f]|7[fF])|[\x00-\x20\\\x7f]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_SAFE_RAW: Final = "/:@!$&'()*+,;=~-._"
_MOST_REMEMBERED: Final = 2048
_LONGEST_REMEMBERED: Final = 256
_NEVER_SERVED: Final = frozenset({"TRACE", "CONNECT"})


class CanonicalRequest(AdmitsOnly):
    """See the module."""

    name = "canonical_request"

    def __init__(self, options: CanonicalRequestOptions | None = None) -> None:
        options = options or CanonicalRequestOptions()
        self._longest_path, self._longest_query = options.longest_path, options.longest_query
        self._folders: set[bytes] = set()

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Set `exchange.path` and rewrite the scope's own path with it."""
        scope = exchange.scope
        raw: bytes = scope.get("raw_path") or quote(scope["path"], safe=_SAFE_RAW + "%").encode()
        if exchange.method in _NEVER_SERVED:
            raise Rejected(f"{exchange.method} is never served", code="request.method_not_allowed")
        if len(raw) > self._longest_path or len(exchange.query) > self._longest_query:
            raise Rejected("the path or query is too long: send less in it", code="request.uri_too_long")
        folder, _, last = raw.rpartition(b"/")
        if folder in self._folders and last.replace(b"_", b"").isalnum():  # our ids: what a regular expression costs
            path = raw.decode("ascii")
        elif _CANONICAL.fullmatch(raw):
            path = raw.decode("ascii")
            self._remember(folder)
        else:
            path = canonical_path(raw)
            raw = quote(path, safe=_SAFE_RAW).encode()
        exchange.path = path
        scope["path"] = path
        scope["raw_path"] = raw
        scope["root_path"] = ""
        return None

    def _remember(self, folder: bytes) -> None:
        """Everything before the last slash of a canonical path."""
        if folder and len(folder) <= _LONGEST_REMEMBERED:
            if len(self._folders) >= _MOST_REMEMBERED:
                self._folders.clear()
            self._folders.add(folder)


def canonical_path(raw: bytes) -> str:
    """The one spelling of `raw`; `Rejected` (400) when it could be read in two ways."""
    if not raw.startswith(b"/"):
        raise Rejected("the request target must be a path that starts with a slash", code="request.path")
    if _BAD_ESCAPE.search(raw):
        raise Rejected("the path holds a percent sign without two hexadecimal digits", code="request.path")
    if _TWO_READINGS.search(raw):
        raise Rejected(
            "the path holds an encoded slash, backslash, percent sign or control character: "
            "put such values into the query or the body",
            code="request.path",
        )
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise Rejected("the path is not valid UTF-8", code="request.path") from None
    if _CONTROL.search(text):
        raise Rejected("the path holds a control character", code="request.path")
    segments: list[str] = []
    for segment in text.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "/".join(segments)
