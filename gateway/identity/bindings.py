"""A token bound to a key or certificate is worth nothing without them: asked for at each request, cached or not."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Mapping
from typing import Final

from gateway.identity.certificates import forwarded_certificate, thumbprint_of
from gateway.identity.dpop import Asked, bad
from gateway.identity.options import ClientCertificates, IdentityOptions
from gateway.identity.proofs import Proofs
from gateway.identity.tokens import VerifiedToken
from gateway.kernel.context import Principal
from gateway.kernel.errors import NotAuthenticated
from gateway.kernel.exchange import Exchange

_DPOP: Final = b"dpop"


class Bindings:
    """See the module."""

    def __init__(self, proofs: Proofs, options: IdentityOptions) -> None:
        self._proofs = proofs
        self._options = options

    def prove(
        self,
        token: VerifiedToken,
        authorization: bytes,
        headers: Mapping[bytes, bytes],
        exchange: Exchange | None,
    ) -> Principal | Awaitable[Principal]:
        """The principal of a verified token, once its binding is proved for `exchange`; awaits for a DPoP proof.

        Raises `NotAuthenticated`, also for a bound token under the scheme Bearer and the other way round (RFC 9449
        section 7.1 and 7.2).
        """
        confirmation, with_proof = token.confirmation, authorization[:1] in b"dD"
        bound_to_key = confirmation is not None and confirmation.jkt is not None
        if with_proof != bound_to_key:
            raise NotAuthenticated(
                "use the DPoP scheme for a token bound to a key, and the Bearer scheme for any other",
                code="token.scheme",
            )
        if confirmation is None:
            return token.principal
        if exchange is None:
            raise NotAuthenticated("this token is bound: it needs a request to be proved for", code="token.unproved")
        if confirmation.x5t is not None:
            self._check_certificate(confirmation.x5t, exchange)
        if confirmation.jkt is None:
            return token.principal
        proof = headers.get(_DPOP)
        if proof is None:
            raise bad("there is none: send one in the DPoP header")
        urls = self._options.urls_of(exchange.path)
        bare = authorization.partition(b" ")[2].strip()
        return self._check_proof(proof, Asked(exchange.method, urls, bare, confirmation.jkt), token.principal)

    async def _check_proof(self, proof: bytes, asked: Asked, principal: Principal) -> Principal:
        await self._proofs.check(proof, asked)
        return principal

    def _check_certificate(self, x5t: str, exchange: Exchange) -> None:
        field = forwarded_certificate(exchange.notes)
        ignored = self._options.client_certificates is ClientCertificates.IGNORED
        if field is None or ignored or not hmac.compare_digest(thumbprint_of(field), x5t):
            raise NotAuthenticated(
                "the access token is bound to another client certificate than this connection has",
                code="token.certificate",
            )
