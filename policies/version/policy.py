"""Route and version: finds the operation, by the path or by the path and a header, and refuses what has ended.

The major version stands in the path (``/storefront/v1/orders``). A client that leaves it out may name it in
``Api-Version: v1`` (or ``1``); path and header that disagree are refused. After its sunset a version answers 410,
during a brownout 503 with the time of its end.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Final

from gateway.kernel.clock import Clock
from gateway.kernel.errors import Rejected, Unavailable
from gateway.kernel.exchange import Exchange, LocatesRoutes, Route
from gateway.kernel.lifecycle import Lifecycle
from policies.version.options import VersionOptions
from policies.version.usage import Usage

_VERSION: Final = re.compile(rb"v?([1-9][0-9]{0,3})")
_DEEPEST_PREFIX: Final = 3
_VARIES: Final = (b"vary", b"api-version")


class Version:
    """See the module."""

    name = "version"

    def __init__(
        self, routes: LocatesRoutes, clock: Clock, options: VersionOptions | None = None, usage: Usage | None = None
    ) -> None:
        self.concludes = usage is not None
        self._count = None if usage is None else usage.count
        self._routes = routes
        self._locate = routes.locate
        self._clock = clock
        self._spelled: dict[str, bytes] = {}
        self._ending_of: dict[Route, Lifecycle | None] = {}
        lifecycles = (options or VersionOptions()).lifecycles
        # The others are looked at no more: nothing about them depends on the time.
        self._ending = {
            (lifecycle.api, lifecycle.version): lifecycle
            for lifecycle in lifecycles
            if lifecycle.sunset_at is not None or lifecycle.brownouts
        }

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Set the route, its path parameters and the methods its path knows."""
        route, exchange.path_params, exchange.allowed_methods = self._locate(exchange.method, exchange.path)
        exchange.route = route
        asked = exchange.headers.get(b"api-version")
        if asked is not None and not (route.matched and asked == self._spelled.get(route.version)):
            route = self._choose(exchange, route, asked)
        try:
            ending = self._ending_of[route]
        except KeyError:
            ending = self._ending_of[route] = self._ending.get((route.api, route.version))
        if ending is not None:
            self._refuse_ended(ending)
        return None

    def conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """Count who called which version."""
        if self._count is not None:
            self._count(exchange)
        return None

    def _choose(self, exchange: Exchange, route: Route, asked: bytes) -> Route:
        if route.matched and asked == route.version.encode():
            self._spelled[route.version] = asked
            return route
        match = _VERSION.fullmatch(asked)
        if match is None:
            raise Rejected("Api-Version must be a major version such as v1", code="request.version")
        version = "v" + match[1].decode("ascii")
        if route.matched or exchange.allowed_methods:
            if route.version not in ("", version):
                raise Rejected("the path and Api-Version name different versions", code="request.version")
            return route
        segments = exchange.path.split("/")
        for position in range(2, min(len(segments), _DEEPEST_PREFIX) + 1):
            path = "/".join([*segments[:position], version, *segments[position:]])
            found, params, allowed = self._routes.locate(exchange.method, path)
            if (found.matched or allowed) and found.version == version:
                exchange.route, exchange.path_params, exchange.allowed_methods = found, params, allowed
                exchange.path = path
                exchange.scope["path"] = path
                exchange.scope["raw_path"] = path.encode()
                exchange.reply_headers.append(_VARIES)
                return found
        return route

    def _refuse_ended(self, lifecycle: Lifecycle) -> None:
        now = self._clock.now()
        if lifecycle.sunset_at is not None and now >= lifecycle.sunset_at:
            instead = f": use {lifecycle.successor}" if lifecycle.successor else ""
            raise Rejected(f"{lifecycle.api} {lifecycle.version} has ended{instead}", code="version.sunset")
        for brownout in lifecycle.brownouts:
            if brownout.begins <= now < brownout.ends:
                raise Unavailable(
                    f"{lifecycle.api} {lifecycle.version} is deprecated and paused until {brownout.ends.isoformat()}: "
                    f"move to {lifecycle.successor or 'its successor'}",
                    retry_after=(brownout.ends - now).total_seconds(),
                    code="version.brownout",
                )
