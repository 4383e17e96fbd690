"""Settings of an outside issuer whose access tokens are accepted, and what they grant here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.identity.addresses import is_guarded
from gateway.identity.grants import ClientKind
from gateway.identity.public_keys import FITS
from gateway.kernel.errors import Misconfigured

_LONGEST: Final = 86_400


class FederatedGrant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tokens with certain claims grant: the first grant whose `when` fits a token decides, and nothing else does.

    `when` names claims and the text each must have; a claim that is a list must hold it. `scopes` leads from the
    issuer's scopes to ours: a token brings those that it has, and `always` besides. A `partner` (its id) must be in
    force in the record, which also says its channel and plan; `plan` is for the other kinds.
    """

    when: Mapping[str, str]
    tenant: str
    kind: ClientKind
    partner: str | None = None
    plan: str = "standard"
    scopes: Mapping[str, str] = {}
    always: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.when:
            raise Misconfigured("identity.issuers.grants: `when` must name a claim: an empty one would fit every token")
        if (self.kind is ClientKind.PARTNER) != (self.partner is not None):
            raise Misconfigured("identity.issuers.grants: `partner` goes with kind = partner, and only with it")

    def fits(self, claims: Mapping[str, Any]) -> bool:
        """Whether verified claims are those of `when`."""
        return all(_holds(claims.get(name), text) for name, text in self.when.items())

    def scopes_of(self, claim: object) -> frozenset[str]:
        """Our scopes for the issuer's `scope` claim (a space-delimited text, or a list of texts)."""
        theirs = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else ()
        return frozenset(self.always) | {
            self.scopes[scope] for scope in theirs if isinstance(scope, str) and scope in self.scopes
        }


class FederatedIssuer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An outside issuer. Durations are seconds.

    `issuer` and `audience` must be in its tokens literally, `algorithms` are the only ones taken, `types` are the
    accepted `typ` in lower case (some issuers say ``jwt``). Keys come from `jwks_uri`, or from what OpenID discovery
    names. They are fetched again after `refresh_every`, and for an unknown key id at most once in `refetch_every`;
    while the issuer does not answer its last keys hold for `stale_for`. A token that lives longer than
    `longest_lifetime` is refused: its `exp` is the bound of its revocation. `name` marks its callers in audit and logs.
    """

    name: str
    issuer: str
    audience: str
    grants: tuple[FederatedGrant, ...]
    algorithms: tuple[str, ...] = ("RS256",)
    types: tuple[str, ...] = ("at+jwt",)
    jwks_uri: str | None = None
    scope_claim: str = "scope"
    refresh_every: float = 300.0
    refetch_every: float = 30.0
    stale_for: float = 3_600.0
    longest_lifetime: int = 3_600

    def __post_init__(self) -> None:
        where = f"identity.issuers {self.name}"
        if not (self.name.isascii() and self.name.replace("-", "").replace("_", "").isalnum()):
            raise Misconfigured(f"{where}: name must be letters, digits, - and _")
        for url in (self.issuer, self.jwks_uri or self.issuer):
            if not is_guarded(url):
                raise Misconfigured(f"{where}: issuer and jwks_uri must be https URLs")
        if not self.algorithms or not set(self.algorithms) <= FITS.keys():
            raise Misconfigured(f"{where}: algorithms must be some of {', '.join(FITS)}")
        if not self.audience or not self.types or not self.grants:
            raise Misconfigured(f"{where}: audience, types and grants must not be empty")
        if not 1 <= self.refetch_every <= self.refresh_every <= self.stale_for <= _LONGEST:
            raise Misconfigured(f"{where}: needs refetch_every <= refresh_every <= stale_for, 1 second to one day")

    def grant_for(self, claims: Mapping[str, Any]) -> FederatedGrant | None:
        """The grant of verified claims, None when no rule fits."""
        return next((grant for grant in self.grants if grant.fits(claims)), None)


def _holds(claim: object, text: str) -> bool:
    return claim == text if isinstance(claim, str) else isinstance(claim, list) and text in claim
