"""Promising by date: what stock, supply and waiting promises come to over time. Pure: no I/O, no clock.

One stock line over time starts at what is available there less what the channel keeps back, unclipped; supply adds
from its date on, and what was promised and has not come yet (waiting) takes from its date on. What may be promised for
a date is the lowest that this falls to from then until the horizon, so that no promise made before is broken.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Final, NamedTuple

from msgspec import Struct

from process_apis.availability.models import ChannelTerms, Need, Portion
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


class Waiting(NamedTuple):
    """What is open of a promise on supply, promised for `due`; without a date it is wanted at once.

    Higher priorities go first. `wanted` is when it is wanted, where that is sooner than it could be promised.
    """

    claim: str
    amount: Decimal
    due: date | None
    priority: int
    wanted: date | None = None

    @property
    def by(self) -> date:
        """When it is late."""
        return self.wanted or self.due or date.min


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
    # `received` is what a person wrote off: on its way for the movements, and for nobody else.
    left = max(lines[0].opened - lines[0].closed - sum((line.received for line in lines), _ZERO), _ZERO)
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
        self._steps = tuple(steps)
        self._until = until
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for on, amount in self._steps:
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

    def less(self, amount: Decimal, on: date) -> Outlook:
        """The place after `amount` was promised for `on`."""
        return Outlook(self.location, self.at_hand, [*self._steps, Step(on, -amount)], self._until)


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


class Seen(Struct, frozen=True):
    """One item over time, for one channel: its places, its terms, and all that the channel holds, dated or not."""

    places: Sequence[Outlook]
    terms: ChannelTerms
    held: Decimal

    def promisable(self, on: date) -> Decimal:
        """What may be promised for a date."""
        return promisable(self.places, self.terms, self.held, on)

    def earliest(self, amount: Decimal, today: date) -> date | None:
        """When first so much may be promised."""
        return earliest(self.places, self.terms, self.held, amount, today)

    def at(self, location: str | None) -> Seen:
        """The same, by one place alone."""
        places = [each for each in self.places if location in (None, each.location)]
        return Seen(places, self.terms, self.held)


def from_supply(
    needs: Sequence[Need], places: Mapping[str, Sequence[Outlook]], on: date
) -> tuple[list[Portion], list[Need]]:
    """Cover `needs` by supply until `on`, as far as it does: what is promised where, and what is left of each need.

    `places` are those of each item, the preferred first: one that covers all of a need, else each what it can.
    """
    left = {item: list(some) for item, some in places.items()}
    portions: list[Portion] = []
    rest: list[Need] = []
    for need in needs:
        some, wanted = left.get(need.item, []), need.amount
        can = [each.from_supply(on) if need.location in (None, each.location) else _ZERO for each in some]
        whole = next((number for number, amount in enumerate(can) if amount >= wanted), None)
        for number in range(len(some)) if whole is None else [whole]:
            if part := min(can[number], wanted):
                portions.append(Portion(need.line, need.item, some[number].location, part))
                some[number] = some[number].less(part, on)
                wanted -= part
        if wanted:
            rest.append(need._replace(amount=wanted))
    return portions, rest


def service_order(waiting: Iterable[Waiting], arrivals: Sequence[Step], free: Decimal) -> list[Waiting]:
    """Who is served first by what is free now and by what comes.

    While every promise can be kept, by date, those last that nobody promised a date they could be kept at. As soon as
    one cannot, by priority and then by date.
    """
    by_date = sorted(waiting, key=lambda each: (each.due or date.min, -each.priority, each.claim))
    kept, last = by_date, list[Waiting]()
    while not _all_kept(kept, arrivals, free):
        latest = next((each for each in reversed(kept) if each.by != (each.due or date.min)), None)
        if latest is None:
            return sorted(by_date, key=lambda each: (-each.priority, each.due or date.min, each.claim))
        kept = [each for each in kept if each is not latest]
        last.append(latest)
    return [*kept, *reversed(last)]


def _all_kept(by_date: Sequence[Waiting], arrivals: Sequence[Step], free: Decimal) -> bool:
    wanted = _ZERO
    for each in by_date:
        wanted += each.amount
        if wanted > free + sum((step.amount for step in arrivals if step.on <= (each.due or date.min)), _ZERO):
            return False
    return True


def serve(
    waiting: Sequence[Waiting], arrivals: Sequence[Step], free: Decimal, arrived: Decimal
) -> tuple[dict[str, Decimal], dict[str, date | None]]:
    """By claim: what each is given of what is free now, and when what comes will cover the rest.

    Goods that just `arrived` go to whoever waits; other free stock was left to whoever wants it today, and goes only to
    promises that would be late.
    """
    ordered = service_order(waiting, arrivals, free)
    given = allot(ordered, min(free, arrived))
    left = free - sum(given.values(), _ZERO)
    rest = _less(ordered, given)
    dates = expected_dates(rest, arrivals, left)
    late = [each for each in rest if (on := dates[each.claim]) is None or on > each.by]
    if more := allot(late, left):
        given = {claim: given.get(claim, _ZERO) + more.get(claim, _ZERO) for claim in given | more}
        dates = expected_dates(_less(ordered, given), arrivals, left - sum(more.values(), _ZERO))
    return given, dates


def _less(ordered: Sequence[Waiting], given: Mapping[str, Decimal]) -> list[Waiting]:
    left = (each._replace(amount=each.amount - given.get(each.claim, _ZERO)) for each in ordered)
    return [each for each in left if each.amount > 0]


def allot(ordered: Sequence[Waiting], free: Decimal) -> dict[str, Decimal]:
    """By claim, how much of what is free now each is given, in their order; those that get nothing are left out."""
    given: dict[str, Decimal] = {}
    for each in ordered:
        if free <= 0:
            break
        given[each.claim] = min(each.amount, free)
        free -= given[each.claim]
    return given


def expected_dates(ordered: Sequence[Waiting], arrivals: Iterable[Step], free: Decimal) -> dict[str, date | None]:
    """By claim, when what comes will have covered it after all those before it; None when nothing known will.

    `free` below zero is a hole that is filled first.
    """
    coming = sorted(arrivals)
    covered, number, found = min(free, _ZERO), 0, {}
    for each in ordered:
        covered -= each.amount
        while covered < 0 and number < len(coming):
            covered += coming[number].amount
            number += 1
        found[each.claim] = coming[number - 1].on if covered >= 0 and number else None
    return found
