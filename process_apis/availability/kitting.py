"""Kits: what can be made of components, where lines of kits are served from, what handling consumes of them. Pure.

A kit is its own stock and, for the rest, as many as can be made of its components. Each physical item is sold under its
own terms: the kit's say how many kits as such and where a kit may be sold at all, each component's how much of it. A
kit is put together whole at one location; the kits of one line may come from several.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Final, NamedTuple

from gateway.canonical.kit import Kit
from gateway.canonical.stock import Fill
from process_apis.availability.models import ChannelTerms, Handled, Need, OpenClaim, Portion, Progress
from process_apis.availability.rules import attributed, consumption, usable
from process_apis.availability.selling import Offer
from process_apis.availability.sourcing import fitting, lacking, source

_ZERO: Final = Decimal(0)
_MOST_COMBINED: Final = 12
_MOST_SPLITS: Final = 3
_Amounts = dict[str, Decimal]


class Makeable(NamedTuple):
    """What can be made of components: at each location, with the component that limits it there, and in all.

    `limit` is the component that limits the whole: None where it is what the locations have between them.
    """

    places: Mapping[str, Decimal]
    limits: Mapping[str, str]
    most: Decimal
    limit: str | None


def makeable(kit: Kit, offers: Mapping[str, Offer], terms: ChannelTerms) -> Makeable:
    """How many of `kit` a channel may sell put together, by what it may take of each component (`offers`).

    `terms` are the channel's for the kit: a location that it may not sell the kit at makes none.
    """
    places: dict[str, Decimal] = {}
    limits: dict[str, str] = {}
    stocked = {place for offer in offers.values() for place in offer.places}
    for place in sorted(stocked):
        if usable(place, terms) is None:
            continue
        counts = {part.item: offers[part.item].places.get(place, _ZERO) // part.amount for part in kit.components}
        limits[place] = min(counts, key=lambda item: (counts[item], item))
        places[place] = max(_ZERO, counts[limits[place]])
    caps = {part.item: offers[part.item].sellable // part.amount for part in kit.components}
    tightest = min(caps, key=lambda item: (caps[item], item))
    together = sum(places.values(), _ZERO)
    return Makeable(places, limits, min(together, caps[tightest]), tightest if caps[tightest] < together else None)


# --- which locations serve lines of kits ------------------------------------------------------------------------------


class Shelves:
    """What is left while the lines of one order are served: by item and location, and of each item in all (`cap`)."""

    def __init__(self, stock: Mapping[str, Mapping[str, Decimal]], cap: Mapping[str, Decimal]) -> None:
        self.stock = {item: dict(places) for item, places in stock.items()}
        self.cap = dict(cap)

    def at(self, places: Sequence[str]) -> Shelves:
        """The same, of these locations alone."""
        return Shelves(
            {item: {place: some[place] for place in places if place in some} for item, some in self.stock.items()},
            self.cap,
        )

    def left(self, item: str, place: str) -> Decimal:
        """What may be taken of an item at a location."""
        return max(_ZERO, min(self.stock.get(item, {}).get(place, _ZERO), self.cap.get(item, _ZERO)))

    def kits_left(self, kit: Kit, place: str) -> Decimal:
        """How many kits can be made at a location."""
        return min(self.left(part.item, place) // part.amount for part in kit.components)

    def take(self, item: str, place: str, amount: Decimal) -> None:
        """Take what `left` allows."""
        self.stock[item][place] -= amount
        self.cap[item] -= amount


class Counter(NamedTuple):
    """The kits of an order, and at which locations each may be sold."""

    kits: Mapping[str, Kit]
    sold_at: Mapping[str, frozenset[str]]


def serve(
    needs: Sequence[Need], counter: Counter, shelves: Shelves, order: Sequence[str], fill: Fill
) -> tuple[list[Portion], list[Need]]:
    """Portions for `needs`, some of them of kits, and the lines that do not fit (all of them promise nothing then).

    One location, else two, else three, as for other orders; `order` has the preferred first. What `fill` lets go
    does not count as not fitting. Where several kits share components, lines are served by their number:
    another order of them might fit where this one does not, which is then refused, and never promised twice.
    """
    all_over, missing = _serve(needs, counter, shelves.at(order), order, "complete")
    if missing and fill == "complete":
        return [], missing
    if missing:
        portions, missing = _serve(needs, counter, shelves.at(order), order, fill)
        return portions, [] if portions else missing
    for places in _choices(needs, counter, shelves, order):
        portions, missing = _serve(needs, counter, shelves.at(places), places, "complete")
        if not missing:
            return portions, []
    return all_over, []


def _choices(
    needs: Sequence[Need], counter: Counter, shelves: Shelves, order: Sequence[str]
) -> Iterable[Sequence[str]]:
    items = {need.item for need in needs}
    items |= {part.item for item in items & counter.kits.keys() for part in counter.kits[item].components}
    useful = [place for place in order if any(shelves.left(item, place) > 0 for item in items)]
    for size in range(1, _MOST_SPLITS + 1):
        yield from combinations(useful if size == 1 else useful[:_MOST_COMBINED], size)


def _serve(
    needs: Sequence[Need], counter: Counter, shelves: Shelves, order: Sequence[str], fill: Fill
) -> tuple[list[Portion], list[Need]]:
    portions: list[Portion] = []
    missing: list[Need] = []
    kitted = [need for need in needs if need.item in counter.kits]
    for need in sorted(kitted, key=lambda need: (need.location is None, need.line)):
        places = [place for place in order if need.location in (None, place)]
        served, lacks = _serve_kit(need, counter, shelves, places)
        if lacks and fill != "partial":
            missing.append(need)
            continue
        for portion in served:
            shelves.take(portion.item, portion.location, portion.amount)
        portions += served
        if lacks and not served:
            missing.append(need)
    others = [need for need in needs if need.item not in counter.kits]
    lacked = lacking(others, shelves.stock, shelves.cap)
    fits = fitting(others, shelves.stock, shelves.cap, fill) if lacked else others
    return sorted([*portions, *source(fits, shelves.stock, order)]), [*missing, *lacked]


def _serve_kit(need: Need, counter: Counter, shelves: Shelves, places: Sequence[str]) -> tuple[list[Portion], Decimal]:
    """Portions for one line of kits, kits as such before components, and what is left of it. Takes nothing."""
    kit, sold_at = counter.kits[need.item], counter.sold_at[need.item]
    whole = next((place for place in places if _at(need, kit, shelves, sold_at, place) >= need.amount), None)
    chosen = places if whole is None else [whole]
    trial, rest, portions = shelves.at(places), need.amount, []
    for place in chosen:
        part = min(rest, trial.left(need.item, place))
        if part > 0:
            trial.take(need.item, place, part)
            portions.append(Portion(need.line, need.item, place, part))
            rest -= part
    for place in (place for place in chosen if place in sold_at):
        made = min(rest // 1, trial.kits_left(kit, place))
        if made > 0:
            for item, each in kit.components:
                trial.take(item, place, made * each)
                portions.append(Portion(need.line, item, place, made * each, need.item, each))
            rest -= made
    return portions, rest


def _at(need: Need, kit: Kit, shelves: Shelves, sold_at: frozenset[str], place: str) -> Decimal:
    return shelves.left(need.item, place) + (shelves.kits_left(kit, place) if place in sold_at else _ZERO)


# --- what handling consumes of them -----------------------------------------------------------------------------------


def kit_consumption(claims: Sequence[OpenClaim], handled: Iterable[Handled]) -> dict[str, tuple[Decimal, Decimal]]:
    """As `consumption`, for an order line that holds components: each item's handling consumes its own claims.

    A warehouse that tells the kit says so much of each component, beyond the kits as such that the line holds. What
    names another item is matched to nothing: it cannot tell which component it stood for.
    """
    by_item: dict[str, list[OpenClaim]] = defaultdict(list)
    for claim in claims:
        by_item[claim.item].append(claim)
    progress: dict[str, dict[str, Progress]] = defaultdict(dict)
    kit = next((claim.kit for claim in claims if claim.kit is not None), "")
    for each in handled:
        _add(progress[each.item or kit], each.progress)
    amounts = {claim.item: claim.per_kit for claim in claims if claim.kit is not None}
    for beyond in _beyond(by_item.get(kit, ()), progress.get(kit, {}).values()):
        for item, per_kit in amounts.items():
            factor = per_kit or _ZERO
            _add(progress[item], Progress(beyond.location, beyond.picked * factor, beyond.shipped * factor))
    return {
        claim: shares
        for item, some in by_item.items()
        for claim, shares in consumption(some, list(progress.get(item, {}).values())).items()
    }


def items_handled(claims: Iterable[OpenClaim], handled: Iterable[Handled]) -> dict[tuple[str, int], list[Handled]]:
    """What was handled of each (order, line), with its item."""
    found: dict[tuple[str, int], list[Handled]] = defaultdict(list)
    for key, each in attributed(claims, handled):
        found[key].append(each)
    return found


def _beyond(own: Sequence[OpenClaim], progress: Iterable[Progress]) -> list[Progress]:
    """The handling of kits that the claims on kits as such don't cover, at the locations that told it."""
    picks = ships = sum((_room(claim) for claim in own), _ZERO)
    left = []
    for each in sorted(progress, key=lambda each: each.location):
        picked, shipped = min(max(each.picked, _ZERO), picks), min(max(each.shipped, _ZERO), ships)
        picks, ships = picks - picked, ships - shipped
        left.append(Progress(each.location, each.picked - picked, each.shipped - shipped))
    return left


def _room(claim: OpenClaim) -> Decimal:
    # As in `consumption`: what was released may be consumed after all.
    return claim.amount if claim.state == "released" else claim.amount - claim.released


def _add(places: dict[str, Progress], each: Progress) -> None:
    before = places.get(each.location, Progress(each.location, _ZERO, _ZERO))
    places[each.location] = Progress(each.location, before.picked + each.picked, before.shipped + each.shipped)
