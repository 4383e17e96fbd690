"""Public keys of others (RFC 7517): read for pinned algorithms only, and named by their thumbprint (RFC 7638)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import AllowedPublicKeys
from msgspec import Struct

FITS: Final[Mapping[str, tuple[str, str | None]]] = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "EdDSA": ("OKP", "Ed25519"),
    "PS256": ("RSA", None),
    "RS256": ("RSA", None),
}
_SHORTEST_RSA: Final = 2_048
_MOST_KEYS: Final = 100
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_REQUIRED: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


class PublicKey(Struct, frozen=True, eq=False):
    """A key by the algorithms it may verify."""

    by_algorithm: Mapping[str, AllowedPublicKeys]


def public_key(jwk: Mapping[str, Any], algorithms: Collection[str]) -> PublicKey:
    """The key in `jwk` for those of `algorithms` that fit it.

    Raises ValueError for a private or symmetric key, RSA below 2048 bits, a key for encryption, or when none fits.
    """
    if _PRIVATE & jwk.keys():
        raise ValueError("it is not a public key")
    if jwk.get("use", "sig") != "sig":
        raise ValueError("it is not for signatures")
    named = jwk.get("alg")
    found: dict[str, AllowedPublicKeys] = {}
    for algorithm in algorithms:
        kty, curve = FITS[algorithm]
        if jwk.get("kty") != kty or (curve is not None and jwk.get("crv") != curve) or named not in (None, algorithm):
            continue
        try:
            key = jwt.PyJWK(dict(jwk), algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            raise ValueError("it cannot be read") from error
        if isinstance(key, RSAPublicKey) and key.key_size < _SHORTEST_RSA:
            raise ValueError(f"it is shorter than {_SHORTEST_RSA} bits")
        found[algorithm] = key
    if not found:
        raise ValueError(f"it fits none of {', '.join(algorithms)}")
    return PublicKey(found)


def key_set(document: object, algorithms: Collection[str]) -> Mapping[str, PublicKey]:
    """The usable keys of a JWK set, by `kid`; those without a `kid` or for other uses are left out.

    Raises ValueError when it is not a key set.
    """
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or len(keys) > _MOST_KEYS:
        raise ValueError("it is not a JWK set")
    found: dict[str, PublicKey] = {}
    for jwk in keys:
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        if not isinstance(kid, str) or kid in found:
            continue
        try:
            found[kid] = public_key(jwk, algorithms)
        except ValueError:
            continue  # a set may hold keys for others
    return found


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """RFC 7638: SHA-256 of the required members in lexical order, base64url. Raises ValueError."""
    names = _REQUIRED.get(str(jwk.get("kty")), ())
    members = {name: jwk.get(name) for name in names}
    if not members or not all(isinstance(value, str) for value in members.values()):
        raise ValueError("it is not a public key")
    return base64url(hashlib.sha256(msgspec.json.encode(members)).digest())


def base64url(data: bytes) -> str:
    """Without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
