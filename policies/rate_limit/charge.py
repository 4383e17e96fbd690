"""What a limit decided about one call. A class, because this module is compiled (docs/decisions/0068)."""

from __future__ import annotations

Key = tuple[str, str, str]


class Charge:
    """One decision. `remaining` units, `reset` seconds until full, `retry_after` seconds when it was refused.

    `mode` is ``shared``, or what is done while the store is down: ``local_share`` or ``open``. `entry` names it in the
    log of an exact limit.
    """

    __slots__ = ("allowed", "cost", "entry", "key", "mode", "remaining", "reset", "retry_after")

    def __init__(
        self,
        key: Key,
        cost: int,
        allowed: bool,
        remaining: float,
        reset: float,
        retry_after: float = 0.0,
        mode: str = "shared",
        entry: str = "",
    ) -> None:
        self.key = key
        self.cost = cost
        self.allowed = allowed
        self.remaining = remaining
        self.reset = reset
        self.retry_after = retry_after
        self.mode = mode
        self.entry = entry
