"""A name that nothing bears, told with the one that was probably meant."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def with_nearest(name: str, known: Collection[str]) -> str:
    """`name` as a sentence tells it, with the nearest of `known`, or else an example of how they are written."""
    if nearest := get_close_matches(name, known, n=1):
        return f"{name!r} (nearest: {nearest[0]!r})"
    return f"{name!r} (they are written like {min(known)!r})" if known else f"{name!r} (there are none)"
