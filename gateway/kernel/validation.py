"""What validation is told to do, and the bounds of a JSON body: shared by those who check and those who configure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

_DEEPEST: Final = 256


class Mode(StrEnum):
    """OBSERVE checks all, SAMPLE a share, and both only count and report; ENFORCE checks all and refuses misfits."""

    OBSERVE = "observe"
    SAMPLE = "sample"
    ENFORCE = "enforce"


class JsonLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of one JSON body; what is beyond them is 400, with the limit and a JSON pointer.

    `depth` counts open brackets, `items` the elements of one array, `members` those of one object, `string` the
    characters of one string or key, `digits` the characters of one number (whole numbers have 18 digits at most, since
    they must fit 64 bits). `size` is in bytes and can only lower what the operation takes anyway. `duplicate_keys`
    lets the last of two equal keys count, where two readers may understand a body differently: leave it off.
    """

    depth: int = 64
    items: int = 10_000
    members: int = 1_000
    string: int = 65_536
    digits: int = 64
    size: int | None = None
    duplicate_keys: bool = False

    def __post_init__(self) -> None:
        numbers = (self.depth, self.items, self.members, self.string, self.digits)
        if min(numbers) < 1 or (self.size is not None and self.size < 1):
            raise ValueError("the limits of JSON are at least 1")
        if self.depth > _DEEPEST:
            raise ValueError(f"depth is at most {_DEEPEST}: readers run out of stack beyond it")


DEFAULT_LIMITS: Final = JsonLimits()


def check_share(sample: float | None) -> None:
    """Raise `ValueError` unless `sample` is a share."""
    if sample is not None and not 0 <= sample <= 1:
        raise ValueError("sample is a share between 0 and 1")
