"""Proves the caller's credential and puts the principal into the exchange."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Protocol
from urllib.parse import parse_qsl

from gateway.kernel.context import Caller, Principal
from gateway.kernel.errors import Invalid, NotAuthenticated, Problem
from gateway.kernel.exchange import Exchange
from gateway.kernel.passage import AdmitsOnly
from policies.authenticate.options import AuthenticateOptions

_MISSING: Final = "credential.missing"
_IN_QUERY: Final = b"access_token"
_DPOP_WORDS: Final = {
    "dpop.invalid": "invalid_dpop_proof",
    "dpop.replayed": "invalid_dpop_proof",
    "dpop.nonce": "use_dpop_nonce",
}


class Authenticates(Protocol):
    """What proves credentials: `gateway.identity.identity.Identity`."""

    def authenticate(self, headers: dict[bytes, bytes], exchange: Exchange) -> Principal | Awaitable[Principal]:
        """The caller behind these headers of this exchange, at once where it is known."""
        ...


class Authenticate(AdmitsOnly):
    """Every route with a zone needs a credential. Credentials sent where none is needed are not looked at."""

    name = "authenticate"

    def __init__(self, identity: Authenticates, options: AuthenticateOptions | None = None) -> None:
        self._prove = identity.authenticate
        options = options or AuthenticateOptions()
        self._realm = options.realm
        self._resource_metadata = options.resource_metadata
        self._dpop_algorithms = options.dpop_algorithms

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Set the exchange's principal and caller, or raise `NotAuthenticated` with its challenge."""
        route = exchange.route
        if route is None or route.zone is None:
            return None
        try:
            if exchange.query and _IN_QUERY in exchange.query:
                _refuse_in_query(exchange)
            found = self._prove(exchange.headers, exchange)
        except NotAuthenticated as error:
            raise self._challenged(error, exchange) from None
        if type(found) is Principal:
            _accept(exchange, found)
            return None
        return self._wait(exchange, found)  # type: ignore[arg-type]

    async def _wait(self, exchange: Exchange, found: Awaitable[Principal]) -> None:
        try:
            principal = await found
        except NotAuthenticated as error:
            raise self._challenged(error, exchange) from None
        _accept(exchange, principal)

    def _challenged(self, error: NotAuthenticated, exchange: Exchange) -> NotAuthenticated:
        """RFC 6750 section 3.1: a request without a credential is told no error code. RFC 9449 section 7.1 and 9."""
        scheme, word = ("DPoP", _DPOP_WORDS[error.code]) if error.code in _DPOP_WORDS else ("Bearer", "invalid_token")
        challenge = f'{scheme} realm="{self._realm}"'
        if self._resource_metadata is not None:
            challenge += f', resource_metadata="{self._resource_metadata}"'  # RFC 9728 section 5.1
        if error.code != _MISSING:
            challenge += f', error="{word}", error_description="{_quotable(error.detail)}"'
        if scheme == "DPoP":
            challenge += f', algs="{" ".join(self._dpop_algorithms)}"'
        nonce = error.context.get("dpop_nonce")
        if nonce is not None:
            exchange.reply_headers.append((b"dpop-nonce", str(nonce).encode("ascii")))
            exchange.reply_headers.append((b"cache-control", b"no-store"))
        return NotAuthenticated(error.detail, code=error.code, context={**error.context, "www_authenticate": challenge})


def _accept(exchange: Exchange, principal: Principal) -> None:
    exchange.principal = principal
    exchange.caller = Caller(principal, exchange.request_id, exchange.correlation_id, exchange.deadline)


def _quotable(text: str) -> str:
    return text.replace("\\", "").replace('"', "'")


def _refuse_in_query(exchange: Exchange) -> None:
    """A token in the address ends up in logs (RFC 6750 section 5.3): refused, beside another credential or alone."""
    if any(name == "access_token" for name, _ in parse_qsl(exchange.query.decode("latin-1"), keep_blank_values=True)):
        raise Invalid(
            "send the access token in the Authorization header, and nowhere else",
            syntax=True,
            code="credential.in_query",
            problems=[Problem("a credential in the address", parameter="access_token")],
        )
