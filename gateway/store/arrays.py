"""Arrays for hot statements, as PostgreSQL's array literals in parameters of type text.

asyncpg looks at every element of an array twice to see whether it is an array itself, and that costs more than
everything else about it. A statement that takes `$1::text::text[]` is given one string instead, made at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

_encoder: Final = msgspec.json.Encoder(decimal_format="string")
_encode: Final = _encoder.encode
_encode_into: Final = _encoder.encode_into
_OPENS: Final = ord("{")
_CLOSES: Final = ord("}")
_ESCAPES: Final = ord("\\")
# JSON and array literals (postgresql.org/docs/current/arrays.html, 8.15.6) write strings alike but for these.
_differs: Final = re.compile(rb'\\[^"\\]').search

Element = str | int | bool | Decimal | datetime | None


def array(values: Sequence[Element]) -> str:
    """The literal of a one-dimensional array; datetimes are aware."""
    encoded = bytearray()
    _encode_into(values, encoded)
    if _ESCAPES in encoded and _differs(encoded):
        return "{" + ",".join(_element(value) for value in values) + "}"
    encoded[0], encoded[-1] = _OPENS, _CLOSES
    return encoded.decode()


def column_arrays(rows: Iterable[Sequence[Element]]) -> list[str]:
    """The literals of the columns of `rows`, of which there is at least one and all have as many values."""
    return [array(column) for column in zip(*rows, strict=True)]


def _element(value: Element) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return _encode(value).decode()
