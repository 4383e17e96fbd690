"""Which locations serve the lines of one order: in time, by fewest splits, by priority. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from heapq import nlargest
from typing import Final

from gateway.canonical.stock import Fill
from process_apis.availability.models import Need, Portion

_ZERO: Final = Decimal(0)
_MOST_SPLITS: Final = 3
_MOST_COMBINED: Final = 64

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


def fitting(needs: Sequence[Need], stock: Stock, sellable: Mapping[str, Decimal], fill: Fill) -> list[Need]:
    """What of `needs` is promised under the policy `fill`: all or nothing, whole lines, or as much as there is."""
    if fill == "partial":
        return _as_far_as(needs, stock, sellable)
    missing = {need.line for need in lacking(needs, stock, sellable)}
    if missing and fill == "complete":
        return []
    return [need for need in needs if need.line not in missing]


def _as_far_as(needs: Sequence[Need], stock: Stock, sellable: Mapping[str, Decimal]) -> list[Need]:
    left = {item: dict(places) for item, places in stock.items()}
    cap = dict(sellable)
    fits = []
    for need in sorted(needs, key=lambda need: need.location is None):
        places = left.get(need.item, {})
        can = places.get(need.location, _ZERO) if need.location else sum(places.values(), _ZERO)
        part = min(need.amount, can, cap.get(need.item, _ZERO))
        if part > 0:
            fits.append(need._replace(amount=part))
            cap[need.item] -= part
            _take(places, fits[-1], [need.location] if need.location else sorted(places))
    return sorted(fits)


def whole(
    needs: Sequence[Need], stock: Stock, sellable: Mapping[str, Decimal], order: Sequence[str]
) -> list[Portion] | None:
    """What `lacking` and `source` come to where one location has everything, as most orders find; else None.

    Lines that name their location or share an item are left to them.
    """
    items = set()
    for _, item, amount, location in needs:
        if location is not None or item in items or amount > sellable.get(item, _ZERO):
            return None
        items.add(item)
    for place in order:
        for _, item, amount, _ in needs:
            if stock[item].get(place, _ZERO) < amount:
                break
        else:
            return [Portion(line, item, place, amount) for line, item, amount, _ in needs]
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


def source_in_time(needs: Sequence[Need], stock: Stock, order: Sequence[str], late: Collection[str]) -> list[Portion]:
    """As `source`, but no place of `late` serves a line that the others have wholly, after lines before it.

    Lines that cannot be in time take what is left, wherever it is: by fewest splits and priority, as if time were none.
    """
    if not late:
        return source(needs, stock, order)
    left = {item: dict(places) for item, places in stock.items()}
    pinned = [need for need in needs if need.location is not None]
    portions = [portion for need in pinned for portion in _take(left.get(need.item, {}), need, [need.location or ""])]
    free = [need for need in needs if need.location is None]
    early = {item: {place: some[place] for place in some if place not in late} for item, some in left.items()}
    slow = lacking(free, early, {item: sum(some.values(), _ZERO) for item, some in early.items()})
    halves = {(need.line, need.item) for need in slow}  # of a line, where a substitute serves the rest of it
    prompt = source(
        [need for need in free if (need.line, need.item) not in halves],
        early,
        [place for place in order if place not in late],
    )
    for part in prompt:
        left[part.item][part.location] -= part.amount
    return sorted([*portions, *prompt, *source(slow, left, order)])


def _fewest(needs: Sequence[Need], left: Stock, order: Sequence[str]) -> Sequence[str]:
    total: dict[str, Decimal] = defaultdict(Decimal)
    for need in needs:
        total[need.item] += need.amount
    useful = [place for place in order if any(left.get(item, {}).get(place, _ZERO) > 0 for item in total)]
    for size in range(1, _MOST_SPLITS + 1):
        places = useful if size == 1 else useful[:_MOST_COMBINED]
        if (found := _covering(total, left, places, size)) is not None:
            return found
    return useful


def _covering(wanted: Mapping[str, Decimal], stock: Stock, places: Sequence[str], size: int) -> tuple[str, ...] | None:
    """The first `size` of `places`, in their order, that have all of `wanted` between them; None if none have."""
    held = {item: stock.get(item, {}) for item in wanted}
    if size == 1:
        for place in places:
            if all(held[item].get(place, _ZERO) >= amount for item, amount in wanted.items()):
                return (place,)
        return None
    best = {item: nlargest(size, held[item].values()) for item in wanted}
    if any(sum(best[item]) < amount for item, amount in wanted.items()):
        return None
    for number, place in enumerate(places):
        rest = {item: amount - held[item].get(place, _ZERO) for item, amount in wanted.items()}
        rest = {item: amount for item, amount in rest.items() if amount > 0}
        if any(sum(best[item][: size - 1]) < amount for item, amount in rest.items()):
            continue
        if (others := _covering(rest, stock, places[number + 1 :], size - 1)) is not None:
            return (place, *others)
    return None


def _take(places: dict[str, Decimal], need: Need, order: Iterable[str]) -> list[Portion]:
    portions, rest = [], need.amount
    for place in order:
        part = min(rest, places.get(place, _ZERO))
        if part > 0:
            places[place] -= part
            portions.append(Portion(need.line, need.item, place, part))
            rest -= part
    return portions
