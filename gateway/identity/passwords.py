"""Passwords of people: Argon2id (RFC 9106, its second recommended choice), and scrypt records of before.

A hash takes 64 MiB and some 50 ms of a core: at most two run at once and few wait, whatever arrives.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

from gateway.kernel.errors import Throttled

_SCRYPT: Final = "scrypt15."
# RFC 7914 with one of OWASP's choices: 32 MiB and about 0.3 s a hash. Only read; the next sign-in replaces it.
_SCRYPT_COST: Final = {"n": 2**15, "r": 8, "p": 3, "maxmem": 64 << 20, "dklen": 32}
_AT_ONCE: Final = 2
_WAITING: Final = 20


class Checked(Struct, frozen=True):
    """Whether the password was right, and what to keep from now on when what is kept is of an older kind."""

    right: bool
    renewed: str | None = None


class Passwords:
    """Makes and checks records of passwords, off the event loop."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = _record_of_nobody(self._hasher)
        self._running = asyncio.Semaphore(_AT_ONCE)
        self._present = 0

    async def make(self, password: str) -> str:
        """The record to keep of a new password."""
        async with self._turn():
            return await asyncio.to_thread(self._hasher.hash, password)

    async def check(self, password: str, kept: str | None) -> Checked:
        """Compare; None for `kept` (nobody of that name, or no password) costs what a wrong password costs."""
        async with self._turn():
            return await asyncio.to_thread(self._check, password, kept)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._present >= _AT_ONCE + _WAITING:
            raise Throttled("too many people sign in at once: try again", code="console.busy", retry_after=2)
        self._present += 1
        try:
            async with self._running:
                yield
        finally:
            self._present -= 1

    def _check(self, password: str, kept: str | None) -> Checked:
        if kept is not None and kept.startswith(_SCRYPT):
            right = _scrypt_fits(password, kept)
            return Checked(right, self._hasher.hash(password) if right else None)
        try:
            self._hasher.verify(kept or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return Checked(right=False)
        if kept is None:
            return Checked(right=False)
        stale = self._hasher.check_needs_rehash(kept)
        return Checked(right=True, renewed=self._hasher.hash(password) if stale else None)


def _scrypt_fits(password: str, kept: str) -> bool:
    salt, expected = (base64.b64decode(part) for part in kept.removeprefix(_SCRYPT).split("."))
    return hmac.compare_digest(hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT_COST), expected)


def _record_of_nobody(hasher: PasswordHasher) -> str:
    """A record that nothing fits, at the hasher's own cost."""
    salt, digest = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (16, 32))
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"
