"""What a channel may sell of one item: the one decision behind every answer and every claim. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from process_apis.availability.freshness import fallen_back
from process_apis.availability.models import (
    Allotment,
    ChannelRule,
    ChannelTerms,
    Held,
    ItemTerms,
    LocationTerms,
    StockLine,
)
from process_apis.availability.rules import available, sell_of_pool, supply, usable

_ZERO: Final = Decimal(0)
_NOTHING: Final = Held()
_Reason = Literal["allotment", "protection"]

Holdings = Mapping[tuple[str, str], Held]
"""What channels hold of one item, by channel and stock owner."""

Sells = Callable[[str, Sequence[StockLine], Holdings], Decimal]
"""What a channel may sell of an item, from its stock lines and what channels hold of it."""


class Kept(NamedTuple):
    """What is kept for `channel` in places that the asking channel could use too."""

    channel: str
    reason: _Reason
    amount: Decimal


class Offer(NamedTuple):
    """`places`: what may be taken at each location; `pool`: what that would be if nothing were kept for others.

    `sellable`, over all places, is what is left of them after buffer and share.
    """

    places: Mapping[str, Decimal]
    pool: Decimal
    kept: Sequence[Kept]
    sellable: Decimal


class _Fence(NamedTuple):
    channel: str
    reason: _Reason
    terms: ChannelTerms
    amount: Decimal


def offer(
    item: str,
    lines: Sequence[StockLine],
    rule: ChannelRule,
    fencing: Sequence[ChannelRule] = (),
    held: Holdings = {},  # noqa: B006 - never written to
) -> Offer:
    """What the channel of `rule` may sell of `item`, over its stock `lines`.

    `fencing` are the rules in force that keep something from other channels (`ChannelTerms.fences`), that of this
    channel among them, in the order of `by_priority`.
    """
    terms = rule.terms
    if terms.items or rule.doubtful:
        terms = terms_at(rule, item)
    owner, lines = terms.owner, fit(lines, terms)
    places, pool = {}, _ZERO
    for line in lines:
        if line.owner == owner:
            places[line.location] = part = supply(line, terms)
            pool += part
    own = held.get((rule.channel, owner), _NOTHING)[0]
    fences = list(_fences(item, rule, fencing, held)) if fencing else ()
    if not fences:
        return Offer(places, pool, (), sell_of_pool(pool, terms, own))
    shares = _Shares([line for line in lines if line.owner == owner], rule.channel, terms)
    taken = [Kept(fence.channel, fence.reason, shares.set_aside(fence)) for fence in fences]
    left = shares.places()
    kept = [each for each in taken if each.amount]
    return Offer(left, pool, kept, sell_of_pool(pool, terms, own, sum(left.values(), _ZERO)))


def sellable(
    item: str, lines: Sequence[StockLine], rule: ChannelRule, fencing: Sequence[ChannelRule], held: Holdings
) -> Decimal:
    """The `sellable` of `offer`, without the rest of it."""
    return selling_by(rule, fencing)(item, lines, held)


def selling_by(rule: ChannelRule, fencing: Sequence[ChannelRule]) -> Sells:
    """The `sellable` of `offer` under one rule, for many items.

    Where no more than the channel's own terms has a say, what they say of locations is looked up once.
    """
    terms = rule.terms
    if fencing or rule.doubtful or terms.items:
        return lambda item, lines, held: offer(item, lines, rule, fencing, held).sellable
    owner, key = terms.owner, (rule.channel, terms.owner)
    others = None if terms.only_named else _ZERO
    kept_back: dict[str, Decimal | None] = {}
    for place in terms.locations:
        kept_back.setdefault(place.location, place.safety_stock if place.eligible else None)

    def sells(item: str, lines: Sequence[StockLine], held: Holdings) -> Decimal:
        # `supply`, summed up in place: a call of it for each line costs as much as its arithmetic.
        pool = _ZERO
        for line in lines:
            if line.lots:
                return offer(item, lines, rule, fencing, held).sellable
            if line.owner == owner and (safety := kept_back.get(line.location, others)) is not None:
                left = line.sellable - line.reserved - line.allocated - line.external - safety
                if left > _ZERO:
                    pool += left
        return sell_of_pool(pool, terms, held.get(key, _NOTHING)[0])

    return sells


def fit(lines: Sequence[StockLine], terms: ChannelTerms) -> Sequence[StockLine]:
    """The lines without the stock of lots that are over, or too near their end for this channel.

    Promises name no lot. They are taken to be on fit stock, so that what is left is never too much.
    """
    for line in lines:
        if line.lots:
            break
    else:
        return lines
    return [replace(line, sellable=line.sellable - unfit(line, terms)) if line.lots else line for line in lines]


def unfit(line: StockLine, terms: ChannelTerms) -> Decimal:
    """What of a line's sellable stock its lots keep from this channel."""
    needed = max(0, terms.min_life_days)
    return sum((lot.amount for lot in line.lots if lot.days < needed), _ZERO)


def by_priority(rule: ChannelRule) -> tuple[int, str]:
    """The order in which channels have what they keep set aside, which every channel's figures must agree on."""
    return (rule.terms.priority, rule.channel)


def terms_at(rule: ChannelRule, item: str) -> ChannelTerms:
    """The terms of a channel for one item, as they hold while some locations are in doubt."""
    terms = terms_for(rule.terms, item)
    return fallen_back(terms, rule.doubtful) if rule.doubtful else terms


def terms_for(terms: ChannelTerms, item: str) -> ChannelTerms:
    """The terms of a channel for one item."""
    own = terms.items.get(item) if terms.items else None
    if own is None:
        return terms
    if own.excluded:
        return replace(terms, locations=(), only_named=True, protected=_ZERO, items={})
    named = {place.location: place for place in (*terms.locations, *own.locations)}
    return replace(
        terms,
        locations=tuple(named.values()),
        buffer=terms.buffer if own.buffer is None else own.buffer,
        share=terms.share if own.share is None else own.share,
        protected=terms.protected if own.protected is None else own.protected,
        min_life_days=terms.min_life_days if own.min_life_days is None else own.min_life_days,
        items={},
    )


def allotment_of(terms: ChannelTerms, item: str) -> Allotment | None:
    """What the channel's own claims on `item` draw from."""
    own = terms.items.get(item) if terms.items else None
    return None if own is None or own.excluded else own.allotment


def unreserved(rule: ChannelRule) -> ChannelRule:
    """The rule without what it keeps back: for an override, which may promise whatever is available."""
    terms = rule.terms
    items = {
        item: ItemTerms(excluded=own.excluded, locations=_bare(own.locations), allotment=own.allotment)
        for item, own in terms.items.items()
    }
    none = {"buffer": _ZERO, "fallback_buffer": _ZERO, "share": None, "min_life_days": 0}
    bare = replace(terms, locations=_bare(terms.locations), items=items, **none)
    return replace(rule, terms=bare)


def drawn_after(held: Held, allotment: Allotment | None, amount: Decimal) -> Held:
    """What a channel holds once `amount` more was promised to it; a new allotment begins at nothing drawn."""
    if allotment is None:
        return Held(held.open + amount, *held[1:])
    before = held.drawn if held.allotment == allotment.name else _ZERO
    return held._replace(open=held.open + amount, allotment=allotment.name, drawn=before + amount)


def _fences(item: str, rule: ChannelRule, fencing: Sequence[ChannelRule], held: Holdings) -> Iterator[_Fence]:
    """Allotments first, this channel's own among them; then the protection of higher priorities."""
    protections = []
    for each in fencing:
        terms = terms_for(each.terms, item)
        if terms.owner != rule.terms.owner:
            continue
        has = held.get((each.channel, terms.owner), _NOTHING)
        allotment = allotment_of(each.terms, item)
        if allotment is not None:
            drawn = has.drawn if has.allotment == allotment.name else _ZERO
            if allotment.amount > drawn:
                yield _Fence(each.channel, "allotment", terms, allotment.amount - drawn)
        elif terms.priority < rule.terms.priority and terms.protected > has.open:
            protections.append(_Fence(each.channel, "protection", terms, terms.protected - has.open))
    yield from protections


class _Shares:
    """How the stock of an item is divided between `channel` and those who have something kept for them.

    A part is backed by the stock of one place: first where this channel may not sell, then where there is most. Below
    what is backed lies the largest safety stock of those who count on the place (`floor`).
    """

    def __init__(self, lines: Sequence[StockLine], channel: str, terms: ChannelTerms) -> None:
        self._channel = channel
        self._safety = {
            line.location: place.safety_stock for line in lines if (place := usable(line.location, terms)) is not None
        }
        self._rest = {line.location: available(line) for line in lines}
        self._floor: dict[str, Decimal] = defaultdict(Decimal)
        self._own: dict[str, Decimal] = defaultdict(Decimal)

    def set_aside(self, fence: _Fence) -> Decimal:
        """Back as much of `fence` as there is stock for; returns what that takes from `channel`."""
        wanted, lost, own = fence.amount, _ZERO, fence.channel == self._channel
        for location in sorted(self._rest, key=self._preferred):
            place = usable(location, fence.terms)
            if place is None or not wanted:
                continue
            floor = max(self._floor[location], place.safety_stock)
            part = min(wanted, self._rest[location] - floor)
            if part <= 0:
                continue
            before = self.left(location)
            self._rest[location] -= part
            self._floor[location] = floor
            self._own[location] += part if own else _ZERO
            lost += before - self.left(location)
            wanted -= part
        return lost

    def places(self) -> dict[str, Decimal]:
        """What `channel` may take at each location."""
        return {location: self.left(location) for location in self._rest}

    def left(self, location: str) -> Decimal:
        """What `channel` may take at `location`: its own part, and what nobody else has."""
        if location not in self._safety:
            return _ZERO
        free = self._rest[location] - max(self._floor[location], self._safety[location])
        return self._own[location] + max(_ZERO, free)

    def _preferred(self, location: str) -> tuple[bool, Decimal, str]:
        return (location in self._safety, -self._rest[location], location)


def _bare(places: Sequence[LocationTerms]) -> tuple[LocationTerms, ...]:
    return tuple(replace(place, safety_stock=_ZERO) for place in places)
