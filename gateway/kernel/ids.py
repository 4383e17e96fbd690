"""Opaque ids: a prefix that tells the kind and 128 bits that sort by time (RFC 9562, UUID version 7).

``ord_01jd6q3v0we4t8y5r2n7k9m1pz`` is safe in a path, in a log and in a spreadsheet: Crockford base32,
lower case, 26 characters after the prefix.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from datetime import UTC, datetime
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_RANDOM: Final = 16
"""Letters behind those of the time: 80 bits."""
_LETTERS: Final = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))
"""By a random byte, one of the letters: each by eight of them."""
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_REQUEST: Final = re.compile(r"req_(?:([0-9a-f]{8})[0-9a-f]{24}|([0-9a-hjkmnp-tv-z]{26}))")
ID_PATTERN: Final = r"^[a-z]{2,8}_[0-9a-hjkmnp-tv-z]{26}$(?!\n)"


def new_id(prefix: str) -> str:
    """A fresh id of one kind, for example ``new_id("ord")``."""
    return new_ids(prefix, 1)[0]


def new_ids(prefix: str, count: int) -> list[str]:
    """As many fresh ids at once."""
    at_ms, pairs = time.time_ns() // 1_000_000, _PAIRS
    # Spelled out: going through the pairs of letters costs twice as much.
    head = (
        f"{prefix}_{pairs[at_ms >> 40]}{pairs[at_ms >> 30 & 1023]}{pairs[at_ms >> 20 & 1023]}"
        f"{pairs[at_ms >> 10 & 1023]}{pairs[at_ms & 1023]}"
    )
    random = os.urandom(_RANDOM * count).translate(_LETTERS).decode()
    return [head + random[at : at + _RANDOM] for at in range(0, _RANDOM * count, _RANDOM)]


def named_id(prefix: str, *names: str) -> str:
    """The id of one kind that always goes with `names`: 128 bits of their digest, in the shape of the others."""
    told = b"".join(len(name.encode()).to_bytes(4) + name.encode() for name in names)
    return f"{prefix}_{_base32(int.from_bytes(hashlib.blake2b(told, digest_size=16).digest()))}"


def first_id_at(prefix: str, at: datetime) -> str:
    """The lowest id that could have been made at `at` or later: where a range of ids by time begins."""
    return f"{prefix}_{_base32(int(at.timestamp() * 1000) << 80)}"


def request_named_at(request_id: str) -> datetime | None:
    """When a request got its id, to the second; None for what is no request id of ours.

    The door's ids begin with the second in hexadecimal (`policies/trace`), those of what is refused before it is
    traced are as `new_id` makes them.
    """
    match = _REQUEST.fullmatch(request_id)
    if match is None:
        return None
    if match[1] is not None:
        return datetime.fromtimestamp(int(match[1], 16), UTC)
    number = 0
    for letter in match[2]:
        number = number << 5 | _VALUES[letter]
    try:
        return datetime.fromtimestamp((number >> 80) // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _base32(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
