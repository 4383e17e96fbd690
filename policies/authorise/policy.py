"""Compares what a route asks with what the principal has. What a caller may see inside is each process's business."""

from __future__ import annotations

from collections.abc import Awaitable

from gateway.kernel.context import Principal
from gateway.kernel.errors import NotAllowed
from gateway.kernel.exchange import Exchange, Route
from gateway.kernel.passage import AdmitsOnly
from policies.authorise.options import AuthoriseOptions


class Authorise(AdmitsOnly):
    """Zone, then tenant, then scopes.

    A route that is not tenant-aware is the gateway's own tenant's; a tenant named in the path must be the caller's own.
    """

    name = "authorise"

    def __init__(self, options: AuthoriseOptions) -> None:
        self._tenant = options.tenant

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Raise `NotAllowed` unless zone, tenant and scopes fit."""
        route = exchange.route
        if route is None or route.zone is None:
            return None
        principal = exchange.principal
        if principal is None:
            raise NotAllowed("no caller is known here", code="authorise.no_principal")
        if route.zone not in principal.zones:
            raise _wrong_zone(route, principal)
        if principal.tenant != self._tenant and not route.tenant_aware:
            raise NotAllowed(
                "this API works on the systems of another tenant than yours: ask at a gateway of your own",
                code="authorise.tenant",
            )
        if exchange.path_params and exchange.path_params.get("tenant", principal.tenant) != principal.tenant:
            raise NotAllowed("this belongs to another tenant", code="authorise.tenant")
        if not route.scopes <= principal.scopes:
            _challenge(exchange, route)
            missing = " ".join(sorted(route.scopes - principal.scopes))
            raise NotAllowed(f"this needs the scope {missing}, which your credential lacks", code="authorise.scope")
        return None


def _wrong_zone(route: Route, principal: Principal) -> NotAllowed:
    zones = " and ".join(sorted(principal.zones)) or "no"
    return NotAllowed(f"this is a {route.zone} API and your credential opens {zones} APIs", code="authorise.zone")


def _challenge(exchange: Exchange, route: Route) -> None:
    """RFC 6750 section 3.1: which scopes would do."""
    scopes = " ".join(sorted(route.scopes))
    challenge = f'Bearer error="insufficient_scope", scope="{scopes}"'
    exchange.reply_headers.append((b"www-authenticate", challenge.encode("ascii", "replace")))
