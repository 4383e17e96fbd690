"""Settings of the OpenID provider at which the console's people sign in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from gateway.identity.addresses import is_guarded
from gateway.identity.console_users import ROLES
from gateway.identity.public_keys import FITS
from gateway.kernel.errors import Misconfigured


class OpenIdOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenID provider (authorization code with PKCE). `name` is on the button; durations are seconds.

    `client_secret` is a secret reference, none for a public client; it is sent as `client_authentication` says.
    `roles` leads from values of the claim `roles_claim` (a text or a list) to roles here: view, repair, approve,
    administer. Who has none of the values is not let in. Claims come from the ID token, else from userinfo. With
    `end_session` who signs out of the console signs out at the provider too, where it has a place for that.
    """

    issuer: str
    client_id: str
    roles: Mapping[str, tuple[str, ...]]
    client_secret: str | None = None
    client_authentication: Literal["basic", "post"] = "basic"
    name: str = "the company account"
    roles_claim: str = "groups"
    name_claim: str = "preferred_username"
    scopes: tuple[str, ...] = ("openid", "profile")
    algorithms: tuple[str, ...] = ("RS256",)
    jwks_uri: str | None = None
    refresh_every: float = 300.0
    refetch_every: float = 10.0
    stale_for: float = 3_600.0
    end_session: bool = True

    def __post_init__(self) -> None:
        if not is_guarded(self.issuer):
            raise Misconfigured("console.openid: issuer must be an https URL")
        if "openid" not in self.scopes:
            raise Misconfigured("console.openid: scopes must have openid")
        if not self.algorithms or not set(self.algorithms) <= FITS.keys():
            raise Misconfigured(f"console.openid: algorithms must be some of {', '.join(FITS)}")
        given = {role for roles in self.roles.values() for role in roles}
        if not given or not given <= ROLES:
            raise Misconfigured(f"console.openid: roles must lead to some of {', '.join(sorted(ROLES))}")

    def roles_of(self, claim: object) -> frozenset[str]:
        """Our roles for the values of the claim; everybody who has one may view."""
        held = (claim,) if isinstance(claim, str) else claim if isinstance(claim, list) else ()
        found = {role for value in held if isinstance(value, str) for role in self.roles.get(value, ())}
        return frozenset(found | {"view"}) if found else frozenset()

    def name_of(self, claims: Mapping[str, Any]) -> str:
        """What people call them, as far as it can be printed; the subject where the claim says nothing."""
        told = claims.get(self.name_claim)
        text = "".join(letter for letter in told if letter.isprintable()).strip() if isinstance(told, str) else ""
        return (text or str(claims["sub"]))[:80]
