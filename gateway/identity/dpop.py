"""DPoP (RFC 9449): a proof, made for one request, that the caller holds the key its token is bound to."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import Any, Final

import jwt
from msgspec import Struct

from gateway.identity.addresses import normal_url
from gateway.identity.public_keys import base64url, public_key, thumbprint
from gateway.identity.tokens import read_header
from gateway.kernel.errors import NotAuthenticated
from gateway.kernel.keyring import KeyRing

ALGORITHMS: Final = ("ES256", "EdDSA", "PS256", "RS256")
PROOF_TYPE: Final = "dpop+jwt"
_MAX_PROOF: Final = 4_096
_LONGEST_ID: Final = 255
_NONCE: Final = "dpop nonce"
_NONCE_SECONDS: Final = 60
_NONCE_FORM: Final = re.compile(r"([0-9]{1,5})\.([0-9]{1,12})\.([0-9a-f]{64})")
_WHAT_PYJWT_RAISES: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class Proof(Struct, frozen=True):
    """A proof that holds, but for having been used before: `jkt` names its key, `digest` the proof itself."""

    jkt: str
    digest: bytes
    nonce: str | None


class Asked(Struct, frozen=True):
    """What a proof must be about.

    `urls` are the request's without its query, `token` the access token beside it and `jkt` the key that it is bound
    to; both are None at the token endpoint.
    """

    method: str
    urls: frozenset[str]
    token: bytes | None = None
    jkt: str | None = None


def verify_proof(proof: bytes, asked: Asked, *, window: int) -> Proof:
    """RFC 9449 section 4.3 but for nonce and replay; what is cheap comes before the signature.

    Raises `NotAuthenticated` (code ``dpop.invalid``). `window` bounds the distance of `iat` in seconds.
    """
    try:
        header = read_header(proof, most=_MAX_PROOF, allowed=("jwk",))
        claims = jwt.decode(proof, options={"verify_signature": False})
    except NotAuthenticated:
        raise bad("it is not a JWT that we take") from None
    except _WHAT_PYJWT_RAISES:
        raise bad("it is not a JWT") from None
    jwk, algorithm = header.get("jwk"), header.get("alg")
    if header.get("typ") != PROOF_TYPE or algorithm not in ALGORITHMS or not isinstance(jwk, dict):
        raise bad(f"typ must be {PROOF_TYPE}, alg one of {' '.join(ALGORITHMS)}, jwk the public key")
    jkt = _thumbprint(jwk)
    if asked.jkt is not None and not hmac.compare_digest(jkt, asked.jkt):
        raise bad("it was made with another key than the token is bound to")
    _check_claims(claims, asked, window)
    _check_signature(proof, jwk, algorithm)
    nonce = claims.get("nonce")
    digest = hashlib.sha256(f"{jkt}\0{claims['jti']}".encode()).digest()
    return Proof(jkt, digest, nonce if isinstance(nonce, str) else None)


def _check_claims(claims: dict[str, Any], asked: Asked, window: int) -> None:
    identifier, issued = claims.get("jti"), claims.get("iat")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= _LONGEST_ID:
        raise bad("jti must be a text of up to 255 characters")
    if claims.get("htm") != asked.method:
        raise bad("htm is not the method of this request")
    if normal_url(claims.get("htu")) not in asked.urls:
        raise bad("htu is not the address of this request, without its query")
    if isinstance(issued, bool) or not isinstance(issued, int | float) or not abs(time.time() - issued) <= window:
        raise bad(f"iat must be within {window} seconds of now: look at your clock")
    if asked.token is not None:
        expected = base64url(hashlib.sha256(asked.token).digest())
        told = claims.get("ath")
        if not isinstance(told, str) or not told.isascii() or not hmac.compare_digest(told, expected):
            raise bad("ath is not the hash of the access token")


def _check_signature(proof: bytes, jwk: dict[str, Any], algorithm: str) -> None:
    try:
        key = public_key(jwk, (algorithm,)).by_algorithm[algorithm]
        # Only the signature is asked here: its times are judged above, and a proof has no exp.
        jwt.PyJWS().decode(proof, key, algorithms=[algorithm])
    except _WHAT_PYJWT_RAISES:
        raise bad("its signature does not hold under its key") from None


def _thumbprint(jwk: dict[str, Any]) -> str:
    try:
        return thumbprint(jwk)
    except ValueError:
        raise bad("its jwk is not a public key") from None


class Nonces:
    """Nonces that need no store: a minute's number under a key that all workers share. One lives for two minutes."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def current(self) -> str:
        """The nonce to use from now on."""
        slot = int(time.time()) // _NONCE_SECONDS
        return f"{self._ring.newest}.{slot}.{self._ring.digest(_NONCE, b'%d' % slot).hex()}"

    def accepts(self, nonce: str | None) -> bool:
        """Whether it is ours and of this minute, the one before, or (another worker's clock) the next."""
        match = _NONCE_FORM.fullmatch(nonce or "")
        if match is None:
            return False
        version, slot, digest = int(match[1]), int(match[2]), bytes.fromhex(match[3])
        near = abs(int(time.time()) // _NONCE_SECONDS - slot) <= 1
        return near and self._ring.matches(_NONCE, b"%d" % slot, digest, version=version)


def bad(why: str) -> NotAuthenticated:
    """A proof that is refused."""
    return NotAuthenticated(f"the DPoP proof is refused: {why}", code="dpop.invalid")
