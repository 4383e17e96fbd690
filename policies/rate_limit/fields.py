"""What callers are told: RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10).

The draft has lapsed: if its syntax moves, only this module does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

POLICY_FIELD: Final = b"ratelimit-policy"
MODE_FIELD: Final = b"crossdock-ratelimit-mode"


def policy_field(quotas: Sequence[tuple[str, int, float]]) -> bytes:
    """``"burst";q=60;w=6, "rate";q=600;w=60`` from (name, quota in cost units, window in seconds)."""
    return ", ".join(f'"{name}";q={quota};w={max(1, math.ceil(window))}' for name, quota, window in quotas).encode()


def limit_field(name: str, remaining: float, reset: float) -> bytes:
    """``"burst";r=50;t=3``: units left, and seconds until the whole quota is there again."""
    left = int(remaining) if remaining > 0 else 0  # a call of max() costs as much as all the rest
    return f'"{name}";r={left};t={-int(-reset // 1) if reset > 0 else 0}'.encode()
