"""Deprecation headers: ``Deprecation: @epoch`` (RFC 9745), ``Sunset`` (RFC 8594) and links (RFC 8288, RFC 5829).

What an API behind us says of its own end goes on only where nothing is declared of it here (`upstream.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC
from email.utils import format_datetime

from gateway.kernel.exchange import Exchange, Route
from gateway.kernel.lifecycle import Lifecycle
from gateway.kernel.passage import ConcludesOnly
from policies.deprecation.options import DeprecationOptions
from policies.deprecation.upstream import Contradictions, without_dates


class Deprecation(ConcludesOnly):
    """Adds the headers to whatever a version with dates answers, refusals included.

    `contradictions` is told where an API behind us says something else.
    """

    name = "deprecation"

    def __init__(self, options: DeprecationOptions | None = None, contradictions: Contradictions | None = None) -> None:
        lifecycles = (options or DeprecationOptions()).lifecycles
        self.concludes = bool(lifecycles)
        self._contradictions = contradictions
        self._told = {
            (lifecycle.api, lifecycle.version): (headers, lifecycle)
            for lifecycle in lifecycles
            if (headers := headers_of(lifecycle))
        }

    def concerns(self, route: Route) -> bool:
        """Only versions that have something to tell."""
        return (route.api, route.version) in self._told

    def conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """Append the headers of the route's version, in the place of what its answer says of that itself."""
        route, reply = exchange.route, exchange.reply
        told = None if route is None else self._told.get((route.api, route.version))
        if told is not None:
            headers, lifecycle = told
            if reply is not None and (other := without_dates(reply, lifecycle, self._contradictions)) is not None:
                exchange.reply = other
            exchange.reply_headers.extend(headers)
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
