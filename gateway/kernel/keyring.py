"""One ring of master keys for all that is stored under a key: sealed values and keyed digests.

Each purpose gets its own key, derived from the master by HKDF-SHA-256 (RFC 5869), so that no two uses share one.
A sealed value names the master's version, so a new master can be added and the old one read until nothing needs it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.kernel.errors import Misconfigured
from gateway.kernel.secrets import Secret

_SHORTEST: Final = 32
_NONCE: Final = 12
_HEAD: Final = 2


class KeyRing:
    """Master keys by version (1 to 65535); the highest seals, all open.

    Masters are secrets of at least 32 characters, for example ``openssl rand -base64 32``.
    """

    def __init__(self, masters: Mapping[int, Secret]) -> None:
        if not masters:
            raise Misconfigured("secrets.keys is empty: give at least version 1, as env:NAME or file:/path")
        for version, master in masters.items():
            if not 1 <= version < 1 << 16:
                raise Misconfigured(f"secrets.keys has the version {version}: use 1 to 65535")
            if len(master.reveal()) < _SHORTEST:
                raise Misconfigured(
                    f"the master key of version {version} is too short: use at least {_SHORTEST} random characters "
                    "(openssl rand -base64 32)"
                )
        self._masters = dict(masters)
        self._keys: dict[tuple[int, str], bytes] = {}
        self._ciphers: dict[tuple[int, str], AESGCM] = {}
        self.newest: Final = max(masters)
        self.oldest: Final = min(masters)

    def seal(self, purpose: str, plaintext: bytes, *, bound_to: bytes = b"") -> bytes:
        """`plaintext` under AES-256-GCM and the newest master, bound to `bound_to` (the key of its row, say)."""
        nonce = os.urandom(_NONCE)
        head = self.newest.to_bytes(_HEAD)
        return head + nonce + self._cipher(self.newest, purpose).encrypt(nonce, plaintext, bound_to)

    def unseal(self, purpose: str, sealed: bytes, *, bound_to: bytes = b"") -> bytes:
        """The plaintext of `seal`. Raises `Misconfigured` when its master is missing or the value was tampered with."""
        version = int.from_bytes(sealed[:_HEAD])
        nonce, encrypted = sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :]
        try:
            return self._cipher(version, purpose).decrypt(nonce, encrypted, bound_to)
        except (InvalidTag, ValueError) as error:
            raise Misconfigured(
                f"a stored {purpose} does not open with master key version {version}: it was written under another key",
                code="keyring.wrong_key",
            ) from error

    def digest(self, purpose: str, data: bytes, *, version: int | None = None) -> bytes:
        """HMAC-SHA-256 of `data` (32 bytes) under the master of `version`, the newest by default."""
        return hmac.digest(self._key(version or self.newest, purpose), data, hashlib.sha256)

    def matches(self, purpose: str, data: bytes, digest: bytes, *, version: int) -> bool:
        """Whether `digest` is that of `data`, in constant time. False when the master is no longer on the ring."""
        if version not in self._masters:
            return False
        return hmac.compare_digest(self.digest(purpose, data, version=version), digest)

    def _key(self, version: int, purpose: str) -> bytes:
        key = self._keys.get((version, purpose))
        if key is None:
            master = self._masters.get(version)
            if master is None:
                raise Misconfigured(
                    f"master key version {version} is not on the ring: add it to secrets.keys again",
                    code="keyring.missing_key",
                )
            derived = HKDF(SHA256(), 32, salt=None, info=f"crossdock {purpose}".encode())
            key = self._keys[version, purpose] = derived.derive(master.reveal().encode())
        return key

    def _cipher(self, version: int, purpose: str) -> AESGCM:
        cipher = self._ciphers.get((version, purpose))
        if cipher is None:
            cipher = self._ciphers[version, purpose] = AESGCM(self._key(version, purpose))
        return cipher
