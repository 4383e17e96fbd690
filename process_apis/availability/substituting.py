"""Which lines of an order are served by a substitute, as far as what they ask for does not suffice. Pure.

The item itself comes first; what lacks of it comes from one substitute, the preferred of those that have all of that.
An item that the order asks for itself stands in for nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, NamedTuple

from gateway.canonical.stock import Fill
from gateway.canonical.substitute import Substitute
from process_apis.availability.models import Need, Portion
from process_apis.availability.sourcing import Stock, lacking

_ZERO: Final = Decimal(0)
Allowed = Mapping[int, Sequence[Substitute]]
"""What may stand in for a line, by its number, the preferred first."""


class Chosen(NamedTuple):
    """`substitute` serves so much of what `line` asked for, of which `lacked` is not there; `passed` were asked before.

    Amounts are in base units of the item asked for.
    """

    line: int
    item: str
    substitute: Substitute
    served: Decimal
    lacked: Decimal
    passed: tuple[str, ...]


class Served(NamedTuple):
    """What is to be served once substitutes are chosen, and what there is of it in amounts that may be taken."""

    needs: Sequence[Need]
    chosen: Sequence[Chosen]
    stock: Stock
    sellable: Mapping[str, Decimal]


def substituted(
    needs: Sequence[Need], allowed: Allowed, stock: Stock, sellable: Mapping[str, Decimal], fill: Fill
) -> Served:
    """`needs` with substitutes in the place of what lacks; as they are where nothing lacks, or nothing may stand in."""
    missing = {need.line for need in lacking(needs, stock, sellable)}
    if not any(allowed.get(line) for line in missing):
        return Served(needs, (), stock, sellable)
    left = _Left(stock, sellable)
    asked = {need.item for need in needs}
    for need in sorted(needs, key=lambda need: need.location is None):
        if need.line not in missing:
            left.take(need.item, need.location, need.amount)
    made: list[Need] = []
    chosen: list[Chosen] = []
    for need in needs:
        found = None
        if need.line in missing:
            may = [each for each in allowed.get(need.line, ()) if each.item not in asked and left.fits(each)]
            found = _choose(need, may, left, partly=fill == "partial")
        if found is None:
            made.append(need)
            continue
        own = min(need.amount - found.served, need.amount - found.lacked)
        other = need._replace(item=found.substitute.item, amount=found.served * found.substitute.factor)
        made += [need._replace(amount=own), other] if own > 0 else [other]
        left.take(need.item, need.location, own)
        left.take_steps(found.substitute, need.location, found.served)
        chosen.append(found)
    return Served(made, chosen, *left.in_steps(stock, sellable))


def offers(
    needs: Sequence[Need], allowed: Allowed, stock: Stock, sellable: Mapping[str, Decimal]
) -> dict[int, list[tuple[Substitute, Decimal]]]:
    """How much of each line that lacks something each of its substitutes could serve by itself, in the line's units."""
    left = _Left(stock, sellable)
    return {
        need.line: [(each, left.steps(each, need.location) * each.step) for each in allowed.get(need.line, ())]
        for need in lacking(needs, stock, sellable)
    }


def marked(portions: Sequence[Portion], chosen: Sequence[Chosen]) -> list[Portion]:
    """`portions` that tell of a substitute what it stands in for."""
    found = {(each.line, each.substitute.item): each for each in chosen}
    return [
        portion
        if (each := found.get((portion.line, portion.item))) is None or portion.kit is not None
        else portion._replace(kit=each.item, per_kit=each.substitute.factor)
        for portion in portions
    ]


def _choose(need: Need, may: Sequence[Substitute], left: _Left, *, partly: bool) -> Chosen | None:
    own = min(need.amount, left.of(need.item, need.location))
    lacked = need.amount - own
    best: Chosen | None = None
    passed: list[str] = []
    for each in may:
        steps = (lacked / each.step).to_integral_value(ROUND_CEILING)
        if steps * each.step > need.amount:
            steps -= 1
        served = min(steps, left.steps(each, need.location)) * each.step
        found = Chosen(need.line, need.item, each, served, lacked, tuple(passed))
        if served >= lacked:
            return found
        if served > 0 and partly and best is None:
            best = found
        passed.append(each.item)
    return best


class _Left:
    """What is left while lines choose: by item and location, and of each item in all."""

    def __init__(self, stock: Stock, cap: Mapping[str, Decimal]) -> None:
        self._stock = {item: dict(places) for item, places in stock.items()}
        self._cap = dict(cap)
        self._used: dict[str, Substitute] = {}

    def of(self, item: str, place: str | None) -> Decimal:
        there = self._stock.get(item, {})
        whole = sum(there.values(), _ZERO) if place is None else there.get(place, _ZERO)
        return max(_ZERO, min(whole, self._cap.get(item, _ZERO)))

    def take(self, item: str, place: str | None, amount: Decimal) -> None:
        places = self._stock.get(item, {})
        for each in sorted(places) if place is None else [place]:
            part = min(amount, places.get(each, _ZERO))
            if part > 0:
                places[each] -= part
                self._cap[item] -= part
                amount -= part

    def fits(self, substitute: Substitute) -> bool:
        """Whether no line takes it in other amounts: then its stock cannot be parted so that each gets whole ones."""
        used = self._used.get(substitute.item)
        return used is None or _lump(used) == _lump(substitute)

    def steps(self, substitute: Substitute, place: str | None) -> Decimal:
        """How many steps it could serve, each of them whole at one location."""
        there, lump = self._stock.get(substitute.item, {}), _lump(substitute)
        places = there.values() if place is None else [there.get(place, _ZERO)]
        whole = sum((max(_ZERO, amount) // lump for amount in places), _ZERO)
        return max(_ZERO, min(whole, self._cap.get(substitute.item, _ZERO) // lump))

    def take_steps(self, substitute: Substitute, place: str | None, served: Decimal) -> None:
        item, lump = substitute.item, _lump(substitute)
        self._used[item] = substitute
        rest = served / substitute.step
        for each in sorted(self._stock[item]) if place is None else [place]:
            part = min(rest, max(_ZERO, self._stock[item][each]) // lump)
            self._stock[item][each] -= part * lump
            self._cap[item] -= part * lump
            rest -= part

    def in_steps(self, stock: Stock, cap: Mapping[str, Decimal]) -> tuple[Stock, Mapping[str, Decimal]]:
        """What there was, of substitutes in whole steps, so that whoever takes of it takes whole ones."""
        lumps = {item: _lump(each) for item, each in self._used.items()}
        whole = {
            item: {place: _floor(amount, lumps[item]) for place, amount in places.items()} if item in lumps else places
            for item, places in stock.items()
        }
        return whole, {item: _floor(amount, lumps[item]) if item in lumps else amount for item, amount in cap.items()}


def _lump(substitute: Substitute) -> Decimal:
    return substitute.step * substitute.factor


def _floor(amount: Decimal, lump: Decimal) -> Decimal:
    return (amount / lump).to_integral_value(ROUND_FLOOR) * lump
