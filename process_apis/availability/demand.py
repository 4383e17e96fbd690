"""Open demand of another system: which of its words counts, whatever order they come in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import Struct

from gateway.canonical.stock import DemandLine, OrderKey

NEVER: Final = OrderKey(-1, -1)
_ZERO: Final = Decimal(0)


class DemandKey(NamedTuple):
    """What one line of demand is told apart by, within its source."""

    reference: str
    location: str
    item: str
    owner: str


class Word(NamedTuple):
    """What the source said last of one line, and when in its own order. Nothing open is a word too."""

    amount: Decimal
    due: date | None
    at: OrderKey


class ParkedDemand(Struct, frozen=True, kw_only=True):
    """A line that could not be mapped, with its place in the source's order; `full`: it was part of a full feed."""

    order_key: OrderKey
    full: bool
    line: DemandLine


class Standing(NamedTuple):
    """What is known of a source's demand, and its latest full feed's place in its order."""

    words: Mapping[DemandKey, Word]
    cut: OrderKey = NEVER


class Told(NamedTuple):
    """What a feed comes to: words to write and to forget, where the cut is then, and which lines were too old."""

    written: Mapping[DemandKey, Word]
    forgotten: frozenset[DemandKey]
    cut: OrderKey
    late: frozenset[DemandKey]


def tell(standing: Standing, lines: Mapping[DemandKey, Word], at: OrderKey, *, full: bool) -> Told:
    """Take a feed at its place in the source's order: the newest word of each line counts, however late it comes.

    A full feed speaks of every line, so what it leaves out is nothing, unless a later delta says otherwise. A delta at
    its cut-off or before is in it already.
    """
    if at <= standing.cut:
        return Told({}, frozenset(), standing.cut, frozenset(lines))
    late = frozenset(key for key in lines if _is_later(standing, key, at, full=full))
    written = {key: word for key, word in lines.items() if key not in late and standing.words.get(key) != word}
    if not full:
        return Told(written, frozenset(), standing.cut, late)
    older = {key for key, word in standing.words.items() if word.at <= at}
    return Told(written, frozenset(older - lines.keys()), at, late)


def _is_later(standing: Standing, key: DemandKey, at: OrderKey, *, full: bool) -> bool:
    known = standing.words.get(key)
    return known is not None and (known.at > at or (known.at == at and not full))


def open_amounts(words: Iterable[tuple[DemandKey, Word]]) -> dict[tuple[str, str, str], Decimal]:
    """The open demand by item, location and owner."""
    sums: dict[tuple[str, str, str], Decimal] = {}
    for key, word in words:
        place = (key.item, key.location, key.owner)
        sums[place] = sums.get(place, _ZERO) + word.amount
    return sums
