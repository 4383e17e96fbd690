"""Opaque ids: a prefix that tells the kind and 128 bits that sort by time (RFC 9562, UUID version 7).

``ord_01jd6q3v0we4t8y5r2n7k9m1pz`` is safe in a path, in a log and in a spreadsheet: Crockford base32,
lower case, 26 characters after the prefix.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
ID_PATTERN: Final = r"^[a-z]{2,8}_[0-9a-hjkmnp-tv-z]{26}$(?!\n)"


def new_id(prefix: str) -> str:
    """A fresh id of one kind, for example ``new_id("ord")``."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return f"{prefix}_{_base32(number)}"


def first_id_at(prefix: str, at: datetime) -> str:
    """The lowest id that could have been made at `at` or later: where a range of ids by time begins."""
    return f"{prefix}_{_base32(int(at.timestamp() * 1000) << 80)}"


def _base32(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
