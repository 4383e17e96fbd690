"""How many calls the ERP takes: so many in any second, and not one more."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

_WINDOW_S: Final = 1.0


class Window:
    """A sliding window of one second over `calls` (0: no limit). Refused calls are not counted."""

    def __init__(self, calls: int, now: Callable[[], float] = time.monotonic) -> None:
        self.calls = calls
        self._now = now
        self._taken: deque[float] = deque()

    def take(self) -> float | None:
        """None when the call is taken, else the seconds until the next one would be."""
        if not self.calls:
            return None
        now = self._now()
        while self._taken and now - self._taken[0] >= _WINDOW_S:
            self._taken.popleft()
        if len(self._taken) >= self.calls:
            return _WINDOW_S - (now - self._taken[0])
        self._taken.append(now)
        return None
