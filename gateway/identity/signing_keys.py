"""The keys that sign our tokens: RSA 2048 (RS256), sealed in PostgreSQL, rotated with overlap.

A key is published as ``next`` long before it signs, signs as ``current``, and verifies as ``previous`` until the last
token it signed has expired: verifiers that cache our key set never meet a token whose key they do not know.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from jwt.algorithms import RSAAlgorithm
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.kernel.errors import Misconfigured
from gateway.kernel.keyring import KeyRing
from gateway.store.queries import queries_beside

ALGORITHM: Final = "RS256"
_PURPOSE: Final = "signing key"
_OVERLAP: Final = 300
_sql = queries_beside(__file__)


class SigningKey(Struct, frozen=True, eq=False):
    """The key in use. It does not print."""

    kid: str
    private: RSAPrivateKey
    current_since: float

    def __repr__(self) -> str:
        return f"SigningKey({self.kid})"


class KeySet(Struct, frozen=True, eq=False):
    """What verifies (by `kid`), what signs, and what is published (RFC 7517)."""

    verifying: Mapping[str, RSAPublicKey]
    current: SigningKey
    jwks: Sequence[Mapping[str, Any]]


async def ensure_signing_keys(connection: Connection, ring: KeyRing) -> None:
    """Make a current and a next key where there is none. In the caller's transaction; safe with many workers."""
    await connection.execute(_sql.lock_signing_keys)
    states = {row["state"] for row in await connection.fetch(_sql.signing_keys)}
    for state in ("current", "next"):
        if state not in states:
            await _add_key(connection, ring, state)


async def rotate_signing_keys(
    connection: Connection, ring: KeyRing, *, token_lifetime: int, younger_than: float = 0.0
) -> bool:
    """Promote the next key and make another; the old one verifies until its tokens have expired.

    Does nothing and returns False when the current key is younger than `younger_than` seconds: another worker was
    first. In the caller's transaction.
    """
    await connection.execute(_sql.lock_signing_keys)
    age = await connection.fetchval(
        "select extract(epoch from clock_timestamp() - current_since)::float8 from identity.signing_key "
        "where state = 'current'"
    )
    if age is not None and age < younger_than:
        return False
    await connection.execute(_sql.drop_retired_keys)
    await connection.execute(_sql.retire_current_key, float(token_lifetime + _OVERLAP))
    await connection.execute(_sql.promote_next_key)
    await _add_key(connection, ring, "next")
    await connection.execute(_sql.bump_epoch)
    return True


async def withdraw_signing_key(connection: Connection, ring: KeyRing, kid: str) -> None:
    """A key that leaked: forget it at once, with every token it signed. In the caller's transaction."""
    await connection.execute(_sql.lock_signing_keys)
    await connection.execute(_sql.drop_signing_key, kid)
    states = {row["state"] for row in await connection.fetch(_sql.signing_keys)}
    if "current" not in states and "next" in states:
        await connection.execute(_sql.promote_next_key)
    await ensure_signing_keys(connection, ring)
    await connection.execute(_sql.bump_epoch)


async def load_key_set(connection: Connection, ring: KeyRing, known: KeySet | None = None) -> KeySet:
    """The keys in force. `known` spares unsealing a current key that has not changed."""
    rows = await connection.fetch(_sql.signing_keys)
    current = next((row for row in rows if row["state"] == "current"), None)
    if current is None:
        raise Misconfigured("there is no signing key: run crossdock migrate, then start again")
    if known is not None and known.current.kid == current["kid"]:
        signing = known.current
    else:
        der = ring.unseal(_PURPOSE, current["private_key"], bound_to=current["kid"].encode())
        private = load_der_private_key(der, None)
        if not isinstance(private, RSAPrivateKey):
            raise Misconfigured("the stored signing key is not an RSA key")
        signing = SigningKey(current["kid"], private, current["current_since"])
    jwks = tuple(msgspec.json.decode(row["public_jwk"]) for row in rows)
    return KeySet({jwk["kid"]: _public_key(jwk) for jwk in jwks}, signing, jwks)


def _public_key(jwk: Mapping[str, Any]) -> RSAPublicKey:
    key = RSAAlgorithm.from_jwk(dict(jwk))
    if not isinstance(key, RSAPublicKey):
        raise Misconfigured("a published signing key holds a private one")
    return key


async def _add_key(connection: Connection, ring: KeyRing, state: str) -> None:
    private = await asyncio.to_thread(generate_private_key, 65537, 2048)
    jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    kid = _thumbprint(jwk)
    public = {"kty": "RSA", "use": "sig", "alg": ALGORITHM, "kid": kid, "n": jwk["n"], "e": jwk["e"]}
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    sealed = ring.seal(_PURPOSE, der, bound_to=kid.encode())
    await connection.execute(_sql.add_signing_key, kid, state, ALGORITHM, sealed, msgspec.json.encode(public).decode())


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    """RFC 7638: SHA-256 of the required members in lexical order."""
    canonical = msgspec.json.encode({"e": jwk["e"], "kty": "RSA", "n": jwk["n"]})
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
