"""A retry budget per system: retries stay a small share of traffic, so that they never become the load themselves."""

from __future__ import annotations

import random
from typing import Final

_EARNED_PER_REQUEST: Final = 0.1
_MOST: Final = 10.0
_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 2.0


class RetryBudget:
    """Every request earns a tenth of a retry; at most ten are saved up."""

    def __init__(self) -> None:
        self._tokens = _MOST

    def earn(self) -> None:
        """A first attempt was made."""
        if self._tokens < _MOST:
            self._tokens = min(_MOST, self._tokens + _EARNED_PER_REQUEST)

    def spend_on(self, attempt: int, *, left: float) -> float | None:
        """Take retry number `attempt` (0 is the first): seconds before it, None when there are none `left` for it."""
        pause = backoff(attempt)
        return pause if pause < left and self.spend() else None

    def spend(self) -> bool:
        """Take one retry; False when the budget is empty."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def backoff(attempt: int) -> float:
    """Seconds before retry number `attempt` (0 is the first): exponential with full jitter."""
    ceiling = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0**attempt)
    return random.uniform(0.5, 1.0) * ceiling  # noqa: S311 - not a secret
