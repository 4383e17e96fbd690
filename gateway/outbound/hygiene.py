"""What may leave in a request line and in headers, and what a Retry-After means."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from gateway.kernel.errors import Misconfigured, Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_BASE: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:_]+(/[A-Za-z0-9._~/\-]*)?")
_PATH: Final = re.compile(r"/(?!/)[\x21-\x22\x24-\x5b\x5d-\x7e]*")
_DOTS: Final = re.compile(r"/(\.|%2e){1,2}(/|$)", re.IGNORECASE)
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LONGEST_WAIT: Final = 3600.0
_DEFAULT_WAIT: Final = 1.0


def checked_base(base_url: str, *, setting: str) -> str:
    """A base URL without user, query or fragment; raises `Misconfigured` naming `setting`."""
    if not _BASE.fullmatch(base_url):
        raise Misconfigured(f"{setting} must be an http or https URL without user, query or fragment")
    return base_url.rstrip("/")


def checked_target(base_url: str, path: str) -> str:
    """`path` below `base_url`; refuses what could lead elsewhere (dot segments, authority, fragment, controls)."""
    if not _PATH.fullmatch(path) or _DOTS.search(path.partition("?")[0]):
        raise Rejected(
            "a path to another system must be absolute, percent-encoded and without dot segments or fragment",
            code="outbound.bad_path",
        )
    return base_url + path


def checked_headers(headers: Mapping[str, str], correlation_id: str) -> dict[str, str]:
    """`headers` with the correlation id and, inside a span, a W3C ``traceparent`` added; refuses CR, LF and NUL."""
    out = {**headers, "x-correlation-id": correlation_id}
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        out["traceparent"] = f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"
    for name, value in out.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Rejected(f"the header {name[:40]!r} holds characters that no header may hold", code="outbound.header")
    return out


def retry_after_seconds(value: str | None, now: datetime) -> float:
    """Seconds that a Retry-After (RFC 9110, 10.2.3: seconds or a date) asks for, at most an hour."""
    if value is None:
        return _DEFAULT_WAIT
    if value.strip().isdigit():
        return min(_LONGEST_WAIT, float(value))
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return _DEFAULT_WAIT
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(_LONGEST_WAIT, max(0.0, (until - now).total_seconds()))
