"""Why a figure is what it is: from what lies there, by every subtraction, to what may be sold. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import floor
from typing import Final

from msgspec import Struct

from process_apis.availability.models import ChannelRule, Held, StockLine
from process_apis.availability.rules import available, usable
from process_apis.availability.selling import Holdings, offer, terms_at, unfit

_ZERO: Final = Decimal(0)


class Step(Struct, frozen=True):
    """One amount that was taken off, or put back, and why. `of` names a channel or a location where there is one."""

    name: str
    amount: Decimal
    of: str | None = None


class PlaceAccount(Struct, frozen=True):
    """How one location comes to its part of the pool: `sellable` plus all `steps` is `part`."""

    location: str
    sellable: Decimal
    steps: Sequence[Step]
    part: Decimal


class Account(Struct, frozen=True):
    """How the figure comes about: the parts of `places` are `pool`, and `pool` plus all `steps` is `sellable`."""

    places: Sequence[PlaceAccount]
    pool: Decimal
    steps: Sequence[Step]
    sellable: Decimal


def account(
    item: str, lines: Sequence[StockLine], rule: ChannelRule, fencing: Sequence[ChannelRule], held: Holdings
) -> Account:
    """The same decision as `offer`, taken apart."""
    terms, found = terms_at(rule, item), offer(item, lines, rule, fencing, held)
    own = held.get((rule.channel, terms.owner), Held()).open
    steps = [Step(f"{kept.reason}_of_others", -kept.amount, kept.channel) for kept in found.kept]
    steps.append(Step("buffer", -terms.buffer))
    left = found.pool + sum((step.amount for step in steps), _ZERO)
    if terms.share is not None:
        ceiling = Decimal(floor(terms.share * (found.pool + own))) - own
        steps.append(Step("share", min(_ZERO, ceiling - left)))
        left += steps[-1].amount
    steps.append(Step("not_below_zero", found.sellable - left))
    places = [
        _place(line, rule, item) for line in sorted(lines, key=lambda line: line.location) if line.owner == terms.owner
    ]
    return Account(places, found.pool, [step for step in steps if step.amount], found.sellable)


def _place(line: StockLine, rule: ChannelRule, item: str) -> PlaceAccount:
    terms = terms_at(rule, item)
    place, short = usable(line.location, terms), unfit(line, terms)
    left = available(line) - short
    steps = [Step(name, -getattr(line, name)) for name in ("reserved", "allocated", "external")]
    steps.append(Step("lots_too_near_their_end", -short))
    if place is None:
        steps.append(Step("not_eligible", -left))
        return PlaceAccount(line.location, line.sellable, [step for step in steps if step.amount], _ZERO)
    left -= place.safety_stock
    part = max(_ZERO, left)
    steps += [Step("safety_stock", -place.safety_stock), Step("not_below_zero", part - left)]
    return PlaceAccount(line.location, line.sellable, [step for step in steps if step.amount], part)
