"""The vendor's leaky bucket: each call is a drop, the bucket leaks at a steady rate, and a full one refuses."""

from __future__ import annotations

import math
import time


class Bucket:
    """Holds `size` calls and leaks `rate` a second; a rate of 0 never refuses."""

    def __init__(self, *, size: int, rate: float) -> None:
        self.size = size
        self.rate = rate
        self._level = 0.0
        self._at = time.monotonic()

    def drop(self) -> int | None:
        """Take a call in: None, or the whole seconds after which there is room again."""
        if self.rate <= 0:
            return None
        now = time.monotonic()
        self._level = max(0.0, self._level - (now - self._at) * self.rate)
        self._at = now
        if self._level + 1 > self.size:
            return max(1, math.ceil((self._level + 1 - self.size) / self.rate))
        self._level += 1
        return None

    @property
    def standing(self) -> str:
        """As the vendor's header has it: ``12/40``."""
        return f"{math.ceil(self._level)}/{self.size}"
