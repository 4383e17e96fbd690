"""Which locations serve the lines of one order: all from one, else the fewest splits, by location priority. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Final

from process_apis.availability.models import Need, Portion

_ZERO: Final = Decimal(0)
_MOST_SPLITS: Final = 3
_MOST_COMBINED: Final = 24

Stock = Mapping[str, Mapping[str, Decimal]]
"""What may be taken, in base units: item → location → amount."""


def lacking(needs: Sequence[Need], stock: Stock, sellable: Mapping[str, Decimal]) -> list[Need]:
    """The lines that do not fit: in their order, counting several lines of one item together.

    `sellable` caps each item over all its locations (buffer and share of the channel).
    """
    left = {item: dict(places) for item, places in stock.items()}
    cap = dict(sellable)
    missing = []
    for need in sorted(needs, key=lambda need: need.location is None):
        places = left.get(need.item, {})
        can = places.get(need.location, _ZERO) if need.location else sum(places.values(), _ZERO)
        if need.amount > min(can, cap.get(need.item, _ZERO)):
            missing.append(need)
            continue
        cap[need.item] -= need.amount
        _take(places, need, [need.location] if need.location else sorted(places))
    return sorted(missing, key=lambda need: need.line)


def whole(
    needs: Sequence[Need], stock: Stock, sellable: Mapping[str, Decimal], order: Sequence[str]
) -> list[Portion] | None:
    """What `lacking` and `source` come to where one location has everything, as most orders find; else None.

    Lines that name their location or share an item are left to them.
    """
    if len({need.item for need in needs}) < len(needs) or any(need.location is not None for need in needs):
        return None
    if any(need.amount > sellable.get(need.item, _ZERO) for need in needs):
        return None
    for place in order:
        if all(stock[need.item].get(place, _ZERO) >= need.amount for need in needs):
            return [Portion(need.line, need.item, place, need.amount) for need in needs]
    return None


def source(needs: Sequence[Need], stock: Stock, order: Sequence[str]) -> list[Portion]:
    """Portions for lines that fit (`lacking` is empty). `order` lists the locations, the preferred one first.

    Tries one location, then pairs, then triples; where even three do not do, every line is filled by priority.
    """
    pinned = [need for need in needs if need.location is not None]
    free = [need for need in needs if need.location is None]
    left = {item: dict(places) for item, places in stock.items()}
    portions = [portion for need in pinned for portion in _take(left.get(need.item, {}), need, [need.location or ""])]
    chosen = _fewest(free, left, order)
    for need in sorted(free, key=lambda need: (need.item, need.line)):
        places = left.get(need.item, {})
        whole = next((place for place in chosen if places.get(place, _ZERO) >= need.amount), None)
        portions += _take(places, need, [whole] if whole else chosen)
    return sorted(portions)


def _fewest(needs: Sequence[Need], left: Stock, order: Sequence[str]) -> Sequence[str]:
    total: dict[str, Decimal] = defaultdict(Decimal)
    for need in needs:
        total[need.item] += need.amount
    useful = [place for place in order if any(left.get(item, {}).get(place, _ZERO) > 0 for item in total)]
    for size in range(1, _MOST_SPLITS + 1):
        for places in combinations(useful[:_MOST_COMBINED], size):
            if all(_held(left, item, places) >= amount for item, amount in total.items()):
                return places
    return useful


def _held(left: Stock, item: str, places: Iterable[str]) -> Decimal:
    held = left.get(item, {})
    return sum((held.get(place, _ZERO) for place in places), _ZERO)


def _take(places: dict[str, Decimal], need: Need, order: Iterable[str]) -> list[Portion]:
    portions, rest = [], need.amount
    for place in order:
        part = min(rest, places.get(place, _ZERO))
        if part > 0:
            places[place] -= part
            portions.append(Portion(need.line, need.item, place, part))
            rest -= part
    return portions
