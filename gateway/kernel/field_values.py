"""What no header field's value may hold. A module of its own because it is compiled (docs/decisions/0068)."""

from __future__ import annotations

from typing import Final

_LF: Final = 10  # numbers: looking for one byte is then one memchr(3)
_CR: Final = 13
_NUL: Final = 0


def is_dangerous(value: bytes) -> bool:
    """Whether `value`, or one of many joined, holds CR, LF or NUL (RFC 9110 section 5.5).

    Whoever wrote it could write fields, or a whole message, of his own.
    """
    return _LF in value or _CR in value or _NUL in value
