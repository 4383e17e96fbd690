"""What a limit decided about one call."""

from __future__ import annotations

from msgspec import Struct

Key = tuple[str, str, str]


class Charge(Struct, gc=False):
    """One decision. `remaining` units, `reset` seconds until full, `retry_after` seconds when it was refused.

    `mode` is ``shared``, or what is done while the store is down: ``local_share`` or ``open``.
    """

    key: Key
    cost: int
    allowed: bool
    remaining: float
    reset: float
    retry_after: float = 0.0
    mode: str = "shared"
    entry: str = ""
