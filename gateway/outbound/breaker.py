"""A half-open circuit breaker per system: after repeated failures it refuses at once, then lets one trial through.

States: closed → (``failures`` in a row) → open for ``open_for`` seconds → half open: one trial at a time; a success
closes it, a failure opens it again for twice as long, up to ``_LONGEST`` seconds.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from gateway.kernel.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.kernel.clock import Clock

_LONGEST: Final = 60.0


class Trial:
    """One admitted request. Say `succeeded` or `failed`; saying neither counts for nothing."""

    __slots__ = ("verdict",)

    def __init__(self) -> None:
        self.verdict: bool | None = None

    def succeeded(self) -> None:
        """The system answered."""
        self.verdict = True

    def failed(self) -> None:
        """The system did not answer, or answered that it is broken."""
        self.verdict = False


class Breaker:
    """Counts failures in a row of one system. Not thread-safe: one event loop owns it."""

    def __init__(self, name: str, clock: Clock, *, failures: int, open_for: float) -> None:
        self.name = name
        self._clock = clock
        self._threshold = failures
        self._first_open_for = open_for
        self._open_for = open_for
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False
        self.calm = True  # nothing failed of late: a success has nothing to tell

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        if self._opened_at is None:
            return "closed"
        return "half_open" if self._remaining() <= 0 else "open"

    @contextmanager
    def admit(self) -> Iterator[Trial]:
        """Admit one request or raise `Unavailable` (code ``outbound.breaker_open``)."""
        probe = self.enter()
        trial = Trial()
        try:
            yield trial
        finally:
            self.leave(trial.verdict, probe=probe)

    def leave(self, verdict: bool | None, *, probe: bool) -> None:
        """End what `enter` admitted: True for a success, False for a failure, None for what tells nothing."""
        if probe:
            self._probing = False
        if verdict is None or (verdict and not self._failures):
            return
        self._learn(succeeded=verdict)

    def enter(self) -> bool:
        """As `admit`, for who calls `leave` himself; returns whether this request is the trial."""
        if self._opened_at is None:
            return False
        remaining = self._remaining()
        if remaining > 0 or self._probing:
            raise Unavailable(
                f"{self.name} failed {self._failures} times in a row: it is left alone for now, nothing was sent",
                code="outbound.breaker_open",
                retry_after=max(remaining, 0.5),
            )
        self._probing = True
        return True

    def _learn(self, *, succeeded: bool) -> None:
        if succeeded:
            self._failures = 0
            self.calm = True
            self._opened_at = None
            self._open_for = self._first_open_for
            return
        self._failures += 1
        self.calm = False
        if self._opened_at is not None and self._remaining() <= 0:
            self._open_for = min(self._open_for * 2, _LONGEST)
            self._opened_at = self._clock.monotonic()
        elif self._opened_at is None and self._failures >= self._threshold:
            self._opened_at = self._clock.monotonic()

    def _remaining(self) -> float:
        if self._opened_at is None:
            return 0.0
        return self._opened_at + self._open_for - self._clock.monotonic()
