"""Access tokens: JWT in the profile of RFC 9068 (``typ: at+jwt``), issued and verified.

A token may be bound to a key (`cnf`, RFC 7800): whoever holds it must prove that key too. Verification pins the
algorithm, takes the key only from our own set, and refuses every header that would name another one (`jku`, `jwk`,
`x5u`, `x5c`) or demand an extension (`crit`), RFC 8725.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

import jwt
import msgspec

from gateway.identity.confirmation import Confirmation, confirmation_of
from gateway.identity.grants import Grant, principal_of
from gateway.identity.options import IdentityOptions
from gateway.identity.signing_keys import ALGORITHM, KeySet, SigningKey
from gateway.kernel.context import Principal
from gateway.kernel.errors import NotAuthenticated

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - RFC 9068 section 2.1
GRANT_CLAIM: Final = "crossdock"
_MAX_TOKEN: Final = 8_192
_REFUSED_HEADERS: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})
_REQUIRED: Final = ["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "client_id"]
_WHAT_PYJWT_RAISES: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


def issue_token(
    key: SigningKey,
    options: IdentityOptions,
    grant: Grant,
    *,
    client_id: str,
    scope: str,
    confirmation: Confirmation | None = None,
) -> str:
    """A signed access token for one client. `scope` is a space-delimited list (RFC 6749 section 3.3)."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": options.issuer,
        "aud": options.accepted_audience,
        "sub": client_id,
        "client_id": client_id,
        "iat": now,
        "nbf": now,
        "exp": now + options.token_lifetime,
        "jti": os.urandom(16).hex(),
        "scope": scope,
        GRANT_CLAIM: msgspec.to_builtins(grant),
    }
    if confirmation is not None:
        claims["cnf"] = confirmation.claim()
    return jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.kid, "typ": TOKEN_TYPE})


class VerifiedToken(msgspec.Struct, frozen=True):
    """A token whose signature and claims hold; whether it was revoked is asked elsewhere."""

    principal: Principal
    client_id: str
    token_id: str
    generation: int
    issued_at: int
    confirmation: Confirmation | None = None


def verify_token(token: bytes, keys: KeySet, options: IdentityOptions) -> VerifiedToken:
    """Check one of our tokens; about 80 µs. Raises `NotAuthenticated` with a code under ``token.``."""
    kid = checked_kid(read_header(token), algorithms=(ALGORITHM,), types=(TOKEN_TYPE,))
    key = keys.verifying.get(kid)
    if key is None:
        raise NotAuthenticated("the access token was signed by a key that is not ours", code="token.unknown_key")
    claims = read_claims(
        token,
        key,
        ALGORITHM,
        audience=options.accepted_audience,
        issuer=options.issuer,
        leeway=options.leeway,
        required=_REQUIRED,
    )
    return _verified(claims)


def read_header(token: bytes, *, most: int = _MAX_TOKEN, allowed: Collection[str] = ()) -> dict[str, Any]:
    """The header of a JWT, not verified, without what would name a key or demand an extension (but for `allowed`)."""
    if len(token) > most:
        raise NotAuthenticated("the access token is too long", code="token.malformed")
    try:
        header = jwt.get_unverified_header(token)
    except _WHAT_PYJWT_RAISES:
        raise NotAuthenticated(
            "the access token is not a JWT: get one from /oauth2/token", code="token.malformed"
        ) from None
    if _REFUSED_HEADERS & header.keys() - set(allowed):
        raise NotAuthenticated("the access token's header carries a parameter we refuse", code="token.refused_header")
    return header


def checked_kid(header: dict[str, Any], *, algorithms: Collection[str], types: Collection[str]) -> str:
    """The key id of a header with one of `algorithms` and, in lower case, one of `types`."""
    if header.get("alg") not in algorithms:
        raise NotAuthenticated(f"access tokens are signed with {' or '.join(algorithms)} here", code="token.algorithm")
    typ = header.get("typ")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in types:
        raise NotAuthenticated("this JWT is not an access token (typ is not at+jwt)", code="token.type")
    kid = header.get("kid")
    return kid if isinstance(kid, str) else ""


def read_claims(
    token: bytes, key: Any, algorithm: str, *, audience: str, issuer: str, leeway: int, required: list[str]
) -> dict[str, Any]:
    """The claims of a JWT under `key` and the one `algorithm`; raises `NotAuthenticated` where they do not hold."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            issuer=issuer,
            leeway=leeway,
            options={"require": required},
        )
    except jwt.ExpiredSignatureError:
        raise NotAuthenticated("the access token has expired: get a new one", code="token.expired") from None
    except _WHAT_PYJWT_RAISES as error:
        raise NotAuthenticated(f"the access token is not valid: {type(error).__name__}", code="token.invalid") from None
    return claims


def claimed_issuer(token: bytes) -> str | None:
    """The `iss` that a token claims, before anything of it is believed; None where it cannot be read."""
    if len(token) > _MAX_TOKEN:
        return None
    try:
        claims: Mapping[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except _WHAT_PYJWT_RAISES:
        return None
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) else None


def _verified(claims: dict[str, Any]) -> VerifiedToken:
    try:
        grant = msgspec.convert(claims.get(GRANT_CLAIM), Grant, strict=True)
    except msgspec.ValidationError:
        raise NotAuthenticated("the access token lacks our claims: get a new one", code="token.invalid") from None
    client_id = str(claims["client_id"])
    principal = principal_of(
        grant,
        subject=client_id,
        credential=f"client:{client_id}",
        scopes=frozenset(str(claims.get("scope", "")).split()),
        expires_at=float(claims["exp"]),
    )
    confirmation = confirmation_of(claims.get("cnf")) if "cnf" in claims else None
    return VerifiedToken(principal, client_id, str(claims["jti"]), grant.generation, int(claims["iat"]), confirmation)
