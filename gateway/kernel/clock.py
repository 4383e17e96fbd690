"""Time, injected. Instants are aware datetimes in UTC; durations are seconds."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What everything asks for the time, so that a test can hold it still."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards, for deadlines and durations."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The instant by the machine's wall clock."""
        return datetime.now(UTC)

    # The builtin itself, in seconds: it is asked several times per request.
    monotonic = staticmethod(time.monotonic)
