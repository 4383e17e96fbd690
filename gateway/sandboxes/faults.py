"""Faults on demand, so that a test can see what the real world does."""

from __future__ import annotations

import random
from typing import Final

import msgspec
from msgspec import Struct

ACTIONS: Final = (
    "error_before",
    "error_after",
    "hang_before",
    "hang_after",
    "drop_before",
    "drop_after",
    "garbage",
    "throttle",
)


class Rule(Struct, kw_only=True, forbid_unknown_fields=True):
    """What happens to the next `times` requests whose ``METHOD /path`` starts with `match`.

    ``_before`` means that nothing was done, ``_after`` that it was done and the answer is lost (``hang``: sent after
    `seconds`; ``drop``: the connection is cut; ``error``: answered with `status`).
    """

    match: str
    do: str
    times: int = 1
    seconds: float = 60.0
    status: int = 500

    def __post_init__(self) -> None:
        if self.do not in ACTIONS:
            raise ValueError(f"do must be one of {', '.join(ACTIONS)}")


class Faults(Struct, kw_only=True, forbid_unknown_fields=True):
    """The present faults. Rates are probabilities; `seed` makes them repeatable.

    `webhook_reorder` sends a batch one by one in another order; `webhook_drop_rate` never sends some events at all;
    `webhook_silence` sends nothing until it is lifted.
    """

    seed: int = 1
    latency_ms: float = 0.0
    error_rate: float = 0.0
    rules: list[Rule] = msgspec.field(default_factory=list)
    webhook_silence: bool = False
    webhook_reorder: bool = False
    webhook_duplicate_rate: float = 0.0
    webhook_drop_rate: float = 0.0
    webhook_delay_ms: float = 0.0
    webhook_bad_signatures: int = 0


class FaultBox:
    """Holds the faults and throws the dice."""

    def __init__(self) -> None:
        self.set(Faults())

    def set(self, faults: Faults) -> None:
        """Replace all faults."""
        self.now = faults
        self._dice = random.Random(faults.seed)  # noqa: S311 - repeatable on purpose

    def chance(self, rate: float) -> bool:
        """True with probability `rate`."""
        return rate > 0 and self._dice.random() < rate

    def shuffled(self, things: list[dict[str, object]]) -> list[dict[str, object]]:
        """Another order of the same things."""
        return self._dice.sample(things, len(things))

    def take(self, method: str, path: str) -> Rule | None:
        """The rule for this request, used up by it."""
        for rule in self.now.rules:
            if rule.times > 0 and f"{method} {path}".startswith(rule.match):
                rule.times -= 1
                return rule
        if not path.startswith("/_control") and self.chance(self.now.error_rate):
            return Rule(match="", do="error_before")
        return None
