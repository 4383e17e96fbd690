"""Credentials that were verified a moment ago: bounded, by their exact bytes, for at most a minute."""

from __future__ import annotations

from gateway.kernel.clock import Clock
from gateway.kernel.context import Principal


class VerifiedCache:
    """Principals by credential. An entry lives for `seconds` and never longer than its credential.

    When it is full the oldest entry goes: a flood of fresh credentials costs verifications, not memory.
    """

    def __init__(self, clock: Clock, *, seconds: float, size: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._size = size
        self._entries: dict[bytes, tuple[float, Principal]] = {}

    def get(self, credential: bytes, now: float) -> Principal | None:
        """Who it is, or None. `now` is a monotonic reading."""
        entry = self._entries.get(credential)
        if entry is None:
            return None
        until, principal = entry
        if now >= until:
            del self._entries[credential]
            return None
        return principal

    def put(self, credential: bytes, principal: Principal, now: float) -> None:
        """Remember a verification."""
        if len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        left = principal.expires_at - self._clock.now().timestamp()
        self._entries[credential] = (now + min(self._seconds, left), principal)

    def clear(self) -> None:
        """Forget everything: a right was taken away somewhere."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
