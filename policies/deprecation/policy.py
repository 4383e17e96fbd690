"""Deprecation headers: ``Deprecation: @epoch`` (RFC 9745), ``Sunset`` (RFC 8594) and links (RFC 8288, RFC 5829)."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC
from email.utils import format_datetime

from gateway.kernel.exchange import Exchange, Route, passes
from gateway.kernel.lifecycle import Lifecycle
from policies.deprecation.options import DeprecationOptions


class Deprecation:
    """Adds the headers to whatever a version with dates answers, refusals included."""

    name = "deprecation"
    admit = passes

    def __init__(self, options: DeprecationOptions | None = None) -> None:
        lifecycles = (options or DeprecationOptions()).lifecycles
        self.concludes = bool(lifecycles)
        self._headers = {(lifecycle.api, lifecycle.version): headers_of(lifecycle) for lifecycle in lifecycles}

    def concerns(self, route: Route) -> bool:
        """Only versions that have something to tell."""
        return bool(self._headers.get((route.api, route.version)))

    def conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """Append the headers of the route's version."""
        if self._headers and exchange.route is not None:
            exchange.reply_headers.extend(self._headers.get((exchange.route.api, exchange.route.version), ()))
        return None


def headers_of(lifecycle: Lifecycle) -> tuple[tuple[bytes, bytes], ...]:
    """The header fields that tell `lifecycle`; a date in the future announces, one in the past states."""
    headers: list[tuple[bytes, bytes]] = []
    if lifecycle.deprecated_at is not None:
        headers.append((b"deprecation", b"@%d" % int(lifecycle.deprecated_at.timestamp())))
    if lifecycle.sunset_at is not None:
        headers.append((b"sunset", format_datetime(lifecycle.sunset_at.astimezone(UTC), usegmt=True).encode()))
    if lifecycle.documentation and lifecycle.deprecated_at is not None:
        relations = "deprecation sunset" if lifecycle.sunset_at is not None else "deprecation"
        headers.append((b"link", f'<{lifecycle.documentation}>; rel="{relations}"'.encode()))
    if lifecycle.successor:
        headers.append((b"link", f'<{lifecycle.successor}>; rel="successor-version"'.encode()))
    return tuple(headers)
