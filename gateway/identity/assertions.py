"""Client assertions (`private_key_jwt`): RFC 7523 section 3, with the audience as strict as RFC 7523bis asks."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

import jwt
from msgspec import Struct

from gateway.identity.public_keys import PublicKey, key_set
from gateway.identity.tokens import read_claims, read_header
from gateway.kernel.errors import NotAuthenticated

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHMS: Final = ("ES256", "EdDSA", "PS256", "RS256")
LONGEST_LIFETIME: Final = 300
_LONGEST_ID: Final = 255
_TYPES: Final = frozenset({None, "jwt", "client-authentication+jwt"})
_REQUIRED: Final = ["iss", "sub", "aud", "exp", "jti"]


class Assertion(Struct, frozen=True):
    """A verified assertion. `digest` names it among those that were used; `expires_at` is a Unix time."""

    client_id: str
    digest: bytes
    expires_at: float


def claimed_client(assertion: bytes) -> str | None:
    """The client that an assertion claims to come from, before anything of it is believed."""
    try:
        claims: Mapping[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    subject = claims.get("sub")
    return subject if isinstance(subject, str) else None


def verify_assertion(
    assertion: bytes, client_id: str, jwks: Collection[Any], audiences: Collection[str], *, leeway: int
) -> Assertion:
    """Check an assertion of `client_id` under its registered keys. Raises `NotAuthenticated`.

    Whether it was used before is asked elsewhere, of the record.
    """
    header = read_header(assertion)
    typ = header.get("typ")
    if (typ.lower() if isinstance(typ, str) else typ) not in _TYPES:
        raise _bad("its typ is not that of a client assertion")
    key, algorithm = _key_for(header, key_set({"keys": list(jwks)}, ASSERTION_ALGORITHMS))
    claims = read_claims(
        assertion, key, algorithm, audience=_audience(assertion, audiences), issuer=client_id, leeway=leeway,
        required=_REQUIRED,
    )  # fmt: skip
    identifier = claims["jti"]
    if claims["sub"] != client_id:
        raise _bad("iss and sub must both be the client id")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= _LONGEST_ID:
        raise _bad("jti must be a text of up to 255 characters")
    expires_at = float(claims["exp"])
    if expires_at > time.time() + LONGEST_LIFETIME + leeway:
        raise _bad(f"it may live for {LONGEST_LIFETIME} seconds at most")
    digest = hashlib.sha256(f"{client_id}\0{identifier}".encode()).digest()
    return Assertion(client_id, digest, expires_at + leeway)


def _audience(assertion: bytes, audiences: Collection[str]) -> str:
    """The one accepted audience that an assertion names, alone."""
    claimed = jwt.decode(assertion, options={"verify_signature": False}).get("aud")
    if isinstance(claimed, list) and len(claimed) == 1:
        claimed = claimed[0]
    if not isinstance(claimed, str) or claimed not in audiences:
        raise _bad("aud must be our issuer or the endpoint, alone")
    return claimed


def _key_for(header: Mapping[str, Any], keys: Mapping[str, PublicKey]) -> tuple[Any, str]:
    kid, algorithm = header.get("kid"), header.get("alg")
    found = keys.get(kid) if isinstance(kid, str) else None
    if found is None and kid is None and len(keys) == 1:
        found = next(iter(keys.values()))
    if found is None or not isinstance(algorithm, str) or algorithm not in found.by_algorithm:
        raise _bad("it is not signed by a registered key with one of its algorithms")
    return found.by_algorithm[algorithm], algorithm


def _bad(why: str) -> NotAuthenticated:
    return NotAuthenticated(f"the client assertion is refused: {why}", code="client.assertion")
