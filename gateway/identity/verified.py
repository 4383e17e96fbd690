"""Credentials that were verified a moment ago: bounded, by their exact bytes, for at most a minute."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Generic, TypeVar

from gateway.kernel.clock import Clock

Verified = TypeVar("Verified")
_KEY: Final = 64  # bytes


class VerifiedCache(Generic[Verified]):
    """What was verified, by credential. An entry lives for `seconds` and never longer than its credential.

    When it is full the oldest entry goes: a flood of fresh credentials costs verifications, not memory. Entries stand
    by the end of their credential, a token's signature: hashing the whole of it would cost more than comparing it.
    """

    def __init__(self, clock: Clock, *, seconds: float, size: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._size = size
        self._entries: dict[bytes, tuple[bytes, float, Verified, str]] = {}

    def get(self, credential: bytes, now: float) -> Verified | None:
        """Who it is, or None. `now` is a monotonic reading."""
        entry = self._entries.get(credential[-_KEY:])
        if entry is None or entry[0] != credential:
            return None
        if now >= entry[1]:
            del self._entries[credential[-_KEY:]]
            return None
        return entry[2]

    def put(self, credential: bytes, verified: Verified, now: float, *, expires_at: float, token_id: str = "") -> None:
        """Remember a verification; `expires_at` is a Unix time."""
        if len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        left = expires_at - self._clock.now().timestamp()
        self._entries[credential[-_KEY:]] = (credential, now + min(self._seconds, left), verified, token_id)

    def forget(self, token_ids: Collection[str]) -> None:
        """Forget the tokens of these ids."""
        gone = [key for key, entry in self._entries.items() if entry[3] in token_ids]
        for key in gone:
            del self._entries[key]

    def clear(self) -> None:
        """Forget everything: a right was taken away somewhere."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
