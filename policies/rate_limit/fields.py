"""What callers are told: RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10).

The draft has lapsed: if its syntax moves, only this module does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

MODE_FIELD: Final = b"crossdock-ratelimit-mode"


def policy_field(quotas: Sequence[tuple[str, int, float]]) -> bytes:
    """``"burst";q=60;w=6, "rate";q=600;w=60`` from (name, quota in cost units, window in seconds)."""
    return ", ".join(f'"{name}";q={quota};w={max(1, math.ceil(window))}' for name, quota, window in quotas).encode()


def limit_field(name: bytes, remaining: float, reset: float) -> bytes:
    """``"burst";r=50;t=3``: units left, and seconds until the whole quota is there again."""
    return b'"%b";r=%d;t=%d' % (name, max(0, remaining), -int(-reset // 1) if reset > 0 else 0)
