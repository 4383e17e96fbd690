"""Addresses in one spelling, to compare those that others name with our own."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlsplit

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def normal_url(url: object) -> str:
    """`url` without query and fragment, in one spelling (RFC 3986 section 6.2.2 and 6.2.3); "" where it is none."""
    if not isinstance(url, str) or not url.isascii():
        return ""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    host = (parts.hostname or "").lower()
    if not host or parts.username is not None:
        return ""
    host = f"[{host}]" if ":" in host else host
    at = "" if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{port}"
    return f"{parts.scheme}://{host}{at}{unquote(parts.path) or '/'}"


def is_guarded(url: str) -> bool:
    """Whether nobody in between can read or change what is sent to `url`: https, or http on loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))
