"""How our credentials look, and how they are kept: as keyed digests, never as themselves.

An API key is ``cdk_<environment>_<key id>_<secret>``: the prefix lets secret scanners and people recognise it, the key
id finds its row, and the secret (200 random bits) is compared in constant time with its HMAC-SHA-256.
"""

from __future__ import annotations

import base64
import os
import re
from typing import Final

from msgspec import Struct

from gateway.kernel.errors import NotAuthenticated
from gateway.kernel.keyring import KeyRing

# The purposes of the derived keys, not credentials.
CLIENT_SECRET: Final = "client secret"  # noqa: S105
API_KEY: Final = "api key"
_API_KEY: Final = re.compile(rb"cdk_([a-z0-9]{1,16})_([a-z2-7]{16})_([a-z2-7]{40})")


class Digest(Struct, frozen=True):
    """A keyed digest and the version of the master key (the pepper) it was made with."""

    value: bytes
    pepper_version: int


class ApiKey(Struct, frozen=True):
    """A presented API key, taken apart."""

    environment: str
    key_id: str
    secret: bytes


def random_text(octets: int) -> str:
    """Random lower-case base32 (RFC 4648); a multiple of five octets needs no padding."""
    return base64.b32encode(os.urandom(octets)).decode().lower()


def new_client_secret() -> str:
    """A fresh OAuth2 client secret, 200 random bits behind a visible prefix."""
    return f"cds_{random_text(25)}"


def new_api_key(environment: str) -> tuple[str, ApiKey]:
    """A fresh API key as its owner sees it, and its parts."""
    key_id, secret = random_text(10), random_text(25)
    return f"cdk_{environment}_{key_id}_{secret}", ApiKey(environment, key_id, secret.encode())


def new_webhook_secret() -> str:
    """A fresh Standard Webhooks secret: ``whsec_`` and 32 random bytes in base64."""
    return f"whsec_{base64.b64encode(os.urandom(32)).decode()}"


def parse_api_key(presented: bytes) -> ApiKey:
    """The parts of a presented key. Raises `NotAuthenticated` (code ``api_key.malformed``)."""
    match = _API_KEY.fullmatch(presented)
    if match is None:
        raise NotAuthenticated(
            "this is not an API key of ours: it looks like cdk_live_<id>_<secret>", code="api_key.malformed"
        )
    environment, key_id, secret = match.groups()
    return ApiKey(environment.decode(), key_id.decode(), secret)


def digest_of(ring: KeyRing, purpose: str, secret: bytes) -> Digest:
    """What is stored of a secret."""
    return Digest(ring.digest(purpose, secret), ring.newest)
