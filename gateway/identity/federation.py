"""Access tokens of outside issuers: verified under that issuer's keys alone, and worth what our settings say.

No claim grants anything by itself: settings lead from claims to tenant, kind, partner and scopes. There is no record of
revocation at this side, so `exp` is the bound (published in docs/partner.md); disabling the partner ends them at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.identity.confirmation import confirmation_of
from gateway.identity.federated_issuer import FederatedGrant, FederatedIssuer
from gateway.identity.grants import ZONES
from gateway.identity.issuer_keys import IssuerKeys
from gateway.identity.tokens import VerifiedToken, checked_kid, read_claims, read_header
from gateway.kernel.clock import Clock
from gateway.kernel.context import Principal
from gateway.kernel.errors import NotAuthenticated
from gateway.outbound.door import Outbound
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_REQUIRED: Final = ["iss", "aud", "exp", "sub"]
_sql = queries_beside(__file__)


class Federation:
    """The outside issuers of one worker."""

    def __init__(self, issuers: Sequence[FederatedIssuer], outbound: Outbound, store: Store, clock: Clock) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._store = store
        self.keys: Mapping[str, IssuerKeys] = {issuer.issuer: IssuerKeys(issuer, outbound, clock) for issuer in issuers}

    def knows(self, issuer: str | None) -> bool:
        """Whether `issuer` is one of them, to the letter."""
        return issuer in self._issuers

    async def close(self) -> None:
        """Stop the fetches under way."""
        await asyncio.gather(*(keys.close() for keys in self.keys.values()))

    async def verify(self, token: bytes, issuer: str, *, leeway: int) -> VerifiedToken:
        """Check a token that claims to come from `issuer`.

        Raises `NotAuthenticated` with a code under ``token.``, and `Unavailable` (code ``issuer.unavailable``) when
        the issuer does not give its keys.
        """
        outside = self._issuers[issuer]
        header = read_header(token)
        kid = checked_kid(header, algorithms=outside.algorithms, types=outside.types)
        algorithm: str = header["alg"]
        key = (await self.keys[issuer].find(kid)).by_algorithm.get(algorithm)
        if key is None:
            raise NotAuthenticated("the access token's key is not for its algorithm", code="token.algorithm")
        claims = read_claims(
            token, key, algorithm, audience=outside.audience, issuer=issuer, leeway=leeway, required=_REQUIRED
        )
        if float(claims["exp"]) > time.time() + outside.longest_lifetime + leeway:
            raise NotAuthenticated(
                f"the access token lives longer than {outside.longest_lifetime} s: have its issuer shorten it",
                code="token.lifetime",
            )
        grant = outside.grant_for(claims)
        if grant is None:
            raise NotAuthenticated(
                "the access token's claims grant nothing here: ask for a grant", code="token.no_grant"
            )
        principal = await self._principal(outside, grant, claims)
        confirmation = confirmation_of(claims.get("cnf")) if "cnf" in claims else None
        return VerifiedToken(principal, principal.subject, "", 0, 0, confirmation)

    async def _principal(self, outside: FederatedIssuer, grant: FederatedGrant, claims: Mapping[str, Any]) -> Principal:
        plan, channel = grant.plan, None
        if grant.partner is not None:
            row = await self._store.fetchrow(_sql.partner_in_force, grant.tenant, grant.partner)
            if row is None:
                raise NotAuthenticated("the partner behind this access token is not in force", code="token.no_grant")
            plan, channel = row["plan"], row["channel"]
        subject = f"{outside.name}:{claims['sub']}"
        return Principal(
            tenant=grant.tenant,
            subject=subject,
            credential=f"issuer:{subject}",
            zones=ZONES[grant.kind],
            scopes=grant.scopes_of(claims.get(outside.scope_claim)),
            plan=plan,
            partner=grant.partner,
            channel=channel,
            expires_at=float(claims["exp"]),
        )
