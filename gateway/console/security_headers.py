"""Headers that every answer of the console carries, errors included (`semantics.md` 7, "Console")."""

from __future__ import annotations

from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
)
_ALWAYS: Final = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_NO_STORE: Final = (b"cache-control", b"no-store")


def with_security_headers(app: ASGIApp, *, https: bool) -> ASGIApp:
    """`app` with the headers added outside of it, where no error page can forget them. `https` adds HSTS."""
    always = (*_ALWAYS, (b"strict-transport-security", b"max-age=31536000")) if https else _ALWAYS
    ours = frozenset(name for name, _ in always)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message["headers"] if name.lower() not in ours]
                if not any(name.lower() == _NO_STORE[0] for name, _ in headers):
                    headers.append(_NO_STORE)
                message["headers"] = [*headers, *always]
            await send(message)

        await app(scope, receive, send_with_headers)

    return guarded
