"""Promising by date: what stock, supply and waiting promises come to over time. Pure: no I/O, no clock.

One stock line over time starts at what is available there less what the channel keeps back, unclipped; supply adds
from its date on, and what was promised and has not come yet (waiting) takes from its date on. What may be promised for
a date is the lowest that this falls to from then until the horizon, so that no promise made before is broken.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Final, NamedTuple

from process_apis.availability.models import ChannelTerms
from process_apis.availability.rules import sell_of_pool

HORIZON: Final = timedelta(days=365)
"""How far ahead a promise may be dated."""
_ZERO: Final = Decimal(0)


class Step(NamedTuple):
    """So much more, or less, from this date on; in base units."""

    on: date
    amount: Decimal


class SupplyLine(NamedTuple):
    """A line of a purchase order or transfer, in base units.

    `opened` and `closed` are what movements dispatched and received of the item under the whole document.
    """

    source: str
    document: str
    line: int
    kind: str
    item: str
    location: str
    owner: str
    ordered: Decimal
    cancelled: Decimal
    received: Decimal
    due: date | None
    opened: Decimal
    closed: Decimal


def still_to_come(lines: Sequence[SupplyLine]) -> list[Decimal]:
    """How much of each line is still to come, each unit once; in the order of `lines`.

    Movements name a document and an item and no line of it: what was received is first what each line's own source says
    was, then the rest line by line. Of a transfer that is to come what was dispatched and not received.
    """
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for number, line in enumerate(lines):
        groups[line.kind, line.document, line.item].append(number)
    found = [_ZERO] * len(lines)
    for (kind, _, _), numbers in groups.items():
        some = sorted(numbers, key=lambda number: (lines[number].source, lines[number].line))
        amounts = (_in_transit if kind == "transfer" else _on_order)([lines[number] for number in some])
        for number, amount in zip(some, amounts, strict=True):
            found[number] = amount
    return found


def _on_order(lines: Sequence[SupplyLine]) -> list[Decimal]:
    left = max(lines[0].closed, _ZERO)
    wants = [max(line.ordered - line.cancelled, _ZERO) for line in lines]
    told = []
    for line, wanted in zip(lines, wants, strict=True):
        told.append(min(line.received, wanted, left))
        left -= told[-1]
    found = []
    for line, wanted, own in zip(lines, wants, told, strict=True):
        more = min(wanted - own, left)
        left -= more
        found.append(max(wanted - max(line.received, own + more), _ZERO))
    return found


def _in_transit(lines: Sequence[SupplyLine]) -> list[Decimal]:
    left = max(lines[0].opened - lines[0].closed, _ZERO)
    found = []
    for line in reversed(lines):
        part = min(max(line.ordered - line.cancelled, _ZERO), left)
        left -= part
        found.append(part)
    return found[::-1]


class Outlook:
    """One stock line over time; `at_hand` may be below zero, and supply fills that hole first."""

    def __init__(self, location: str, at_hand: Decimal, steps: Iterable[Step], until: date) -> None:
        self.location = location
        self.at_hand = at_hand
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for on, amount in steps:
            if on <= until:
                sums[on] += amount
        self.dates = sorted(sums)
        levels = list(accumulate((sums[on] for on in self.dates), initial=at_hand))
        self._lows = list(accumulate(reversed(levels), min))[::-1]

    def lowest(self, on: date) -> Decimal:
        """The least that is left from `on` until the horizon, unclipped."""
        return self._lows[bisect_right(self.dates, on)]

    def promisable(self, on: date) -> Decimal:
        """What may be promised here for `on`."""
        return max(_ZERO, self.lowest(on))

    def from_supply(self, on: date) -> Decimal:
        """What of that comes from supply alone: a promise on it leaves today's stock to whoever wants it today."""
        return max(_ZERO, self.lowest(on) - max(_ZERO, self.at_hand))


def promisable(outlooks: Sequence[Outlook], terms: ChannelTerms, held: Decimal, on: date) -> Decimal:
    """`available_to_promise` of one item over its places; `held` is all that the channel holds of it, dated or not."""
    return sell_of_pool(sum((each.promisable(on) for each in outlooks), _ZERO), terms, held)


def earliest(
    outlooks: Sequence[Outlook], terms: ChannelTerms, held: Decimal, amount: Decimal, today: date
) -> date | None:
    """The first date, from `today` to the horizon, for which `amount` may be promised; None where there is none."""
    dates = [today, *sorted({on for each in outlooks for on in each.dates if on > today})]
    # What may be promised never falls as the date moves on, and changes at these dates only.
    first = bisect_left(dates, 1, key=lambda on: int(promisable(outlooks, terms, held, on) >= amount))
    return dates[first] if first < len(dates) else None
