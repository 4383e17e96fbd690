"""Geometry of the small pictures: what a template draws as SVG, by classes only (no inline style passes the CSP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct

_ZERO: Final = Decimal(0)


class Sparkline(Struct, frozen=True):
    """`line` and `area` are SVG paths in a box of `width` by `height`; `highest` is the largest count drawn."""

    line: str
    area: str
    width: int
    height: int
    highest: int


def sparkline(counts: Sequence[int], *, width: int = 240, height: int = 40) -> Sparkline | None:
    """A line through `counts`, oldest first; None where there is nothing to see."""
    if len(counts) < 2 or not any(counts):  # noqa: PLR2004 - a line needs two points
        return None
    highest = max(counts)
    step = width / (len(counts) - 1)
    points = [
        f"{index * step:.1f} {height - 2 - count / highest * (height - 4):.1f}" for index, count in enumerate(counts)
    ]
    line = "M" + "L".join(points)
    return Sparkline(line, f"{line}L{width} {height}L0 {height}Z", width, height, highest)


class Segment(Struct, frozen=True):
    """One part of a bar that is 100 wide."""

    name: str
    amount: Decimal | int
    x: float
    width: float


def bar(parts: Sequence[tuple[str, Decimal | int]]) -> tuple[Segment, ...]:
    """`parts` side by side in proportion; those that are not above zero are left out."""
    kept = [(name, amount) for name, amount in parts if amount > 0]
    whole = sum((Decimal(amount) for _, amount in kept), _ZERO)
    segments: list[Segment] = []
    x = 0.0
    for name, amount in kept:
        width = float(Decimal(amount) / whole * 100)
        segments.append(Segment(name, amount, round(x, 2), round(width, 2)))
        x += width
    return tuple(segments)


class Tick(Struct, frozen=True):
    """One instant on a strip that is 1,000 wide."""

    x: float
    tone: str
    title: str


def strip(instants: Sequence[tuple[datetime, str, str]]) -> tuple[Tick, ...]:
    """Instants (with tone and title) spread over a strip by the time between them."""
    if not instants:
        return ()
    first = min(at for at, _, _ in instants)
    span = (max(at for at, _, _ in instants) - first).total_seconds() or 1.0
    return tuple(
        Tick(round(10 + (at - first).total_seconds() / span * 980, 1), tone, title) for at, tone, title in instants
    )


def slots(counts: Mapping[int, int], *, newest: int, oldest: int) -> list[int]:
    """Counts by slot number as a row without gaps, from `oldest` to `newest`, both included."""
    return [counts.get(slot, 0) for slot in range(oldest, newest + 1)]
