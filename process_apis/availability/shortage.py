"""The shortage rule: whose promise gives way where less is there than was promised, and who is served elsewhere. Pure.

Claims stand. Soft reservations fall, the newest first; then allocations that nobody works on are marked short, the
least important and the latest needed first; then those that are handed over, which only a person touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import Struct

from process_apis.availability.models import OpenClaim

_ZERO: Final = Decimal(0)


class Promised(Struct, frozen=True, kw_only=True):
    """A claim on the short stock line. Of two, the one of the higher `priority` is served first.

    `soft`: it would expire. `pinned`: its buyer named the location.
    """

    claim: OpenClaim
    made_at: datetime
    soft: bool
    priority: int = 0
    need_by: date | None = None
    pinned: bool = False

    @property
    def newest(self) -> tuple[datetime, str]:
        """What the newest is the largest of."""
        return (self.made_at, self.claim.claim)


class Relief(Struct, frozen=True, kw_only=True):
    """Which claims fall whole, and how much of which others is not covered, in the order in which they give way."""

    fallen: tuple[Promised, ...]
    marks: Mapping[str, Decimal]


class Move(NamedTuple):
    """So much of a claim is served by another location."""

    claim: OpenClaim
    location: str
    amount: Decimal


def relieve(short: Decimal, claims: Sequence[Promised]) -> Relief:
    """Decide about `claims`, which are all on one line, of which `short` (base units) is promised and not there.

    Of those that fall, the last was still needed; the others give way to the unit. What is left uncovered beyond all
    claims is other systems' demand, and their affair.
    """
    rest = short
    fallen = []
    for each in sorted((each for each in claims if each.soft), key=lambda each: each.newest, reverse=True):
        if rest <= 0:
            break
        fallen.append(each)
        rest -= each.claim.open
    marks: dict[str, Decimal] = {}
    for each in giving_way([each for each in claims if not each.soft]):
        mark = min(each.claim.open, rest)
        if mark <= 0:
            break
        marks[each.claim.claim] = mark
        rest -= mark
    return Relief(fallen=tuple(fallen), marks=marks)


def giving_way(claims: Sequence[Promised]) -> list[Promised]:
    """Allocations in the order in which they give way; one without a date is needed last."""
    newest_first = sorted(claims, key=lambda each: each.newest, reverse=True)
    return sorted(
        newest_first, key=lambda each: (each.claim.worked_on, each.priority, -(each.need_by or date.max).toordinal())
    )


def served_elsewhere(
    claims: Sequence[Promised], marks: Mapping[str, Decimal], stock: Mapping[str, Decimal]
) -> list[Move]:
    """Where marked claims can be served instead, the most important first.

    `stock` is what may be taken at the other locations, in base units, the preferred location first. A mark goes whole
    to one location where one has it, else as far as it goes.
    """
    left = dict(stock)
    moves = []
    for each in reversed(giving_way(claims)):
        rest = marks.get(each.claim.claim, _ZERO)
        if each.claim.worked_on or each.pinned or rest <= 0:
            continue
        whole = [place for place, amount in left.items() if amount >= rest][:1]
        for place in whole or list(left):
            part = min(rest, left[place])
            if part > 0:
                moves.append(Move(each.claim, place, part))
                left[place] -= part
                rest -= part
    return moves
