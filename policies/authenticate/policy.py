"""Proves the caller's credential and puts the principal into the exchange."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Final, Protocol

from gateway.kernel.context import Caller, Principal
from gateway.kernel.errors import NotAuthenticated
from gateway.kernel.exchange import Exchange, passes
from policies.authenticate.options import AuthenticateOptions

_MISSING: Final = "credential.missing"


class Authenticates(Protocol):
    """What proves credentials: `gateway.identity.identity.Identity`."""

    def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal | Awaitable[Principal]:
        """The caller behind these headers, at once where it is known."""
        ...


class Authenticate:
    """Every route with a zone needs a credential. Credentials sent where none is needed are not looked at."""

    name = "authenticate"

    def __init__(self, identity: Authenticates, options: AuthenticateOptions | None = None) -> None:
        self._identity = identity
        self._realm = (options or AuthenticateOptions()).realm

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Set the exchange's principal and caller, or raise `NotAuthenticated` with its challenge."""
        route = exchange.route
        if route is None or route.zone is None:
            return None
        try:
            found = self._identity.authenticate(exchange.headers)
        except NotAuthenticated as error:
            raise self._challenged(error) from None
        if type(found) is Principal:
            _accept(exchange, found)
            return None
        return self._wait(exchange, found)  # type: ignore[arg-type]

    conclude = passes

    async def _wait(self, exchange: Exchange, found: Awaitable[Principal]) -> None:
        try:
            principal = await found
        except NotAuthenticated as error:
            raise self._challenged(error) from None
        _accept(exchange, principal)

    def _challenged(self, error: NotAuthenticated) -> NotAuthenticated:
        """RFC 6750 section 3.1: a request without a credential is told no error code."""
        challenge = f'Bearer realm="{self._realm}"'
        if error.code != _MISSING:
            challenge += f', error="invalid_token", error_description="{_quotable(error.detail)}"'
        return NotAuthenticated(error.detail, code=error.code, context={**error.context, "www_authenticate": challenge})


def _accept(exchange: Exchange, principal: Principal) -> None:
    exchange.principal = principal
    exchange.caller = Caller(principal, exchange.request_id, exchange.correlation_id, exchange.deadline)


def _quotable(text: str) -> str:
    return text.replace("\\", "").replace('"', "'")
