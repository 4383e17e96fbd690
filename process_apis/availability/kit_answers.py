"""Answers for kits: what their components add to their own stock, and which of them is the limit. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.kit import Kit
from gateway.canonical.stock import ItemAvailability, LocationAvailability
from process_apis.availability.kitting import Makeable, makeable
from process_apis.availability.models import ChannelRule
from process_apis.availability.projecting import ItemStock
from process_apis.availability.selling import Offer, offer, terms_at

_ZERO: Final = Decimal(0)
_EMPTY: Final = ItemStock(lines=[], channels={})


class ComponentAccount(Struct, frozen=True):
    """What one component allows: so much of it may be taken, which is enough for so many kits."""

    item: str
    per_kit: Decimal
    sellable: Decimal
    kits: Decimal


class KitPlace(Struct, frozen=True):
    """How many kits can be made at a location, and the component that limits them there."""

    location: str
    kits: Decimal
    limited_by: str


class KitAccount(Struct, frozen=True):
    """How many kits the components make: what the places have between them, or what `limited_by` allows in all."""

    components: Sequence[ComponentAccount]
    places: Sequence[KitPlace]
    kits: Decimal
    limited_by: str | None


def with_made(
    answer: ItemAvailability,
    kit: Kit,
    stocks: Mapping[str, ItemStock],
    rule: ChannelRule,
    fencing: Sequence[ChannelRule],
    *,
    locations: bool,
) -> ItemAvailability:
    """The answer for the kit's own stock, with what can be made of its components added to it."""
    made, _ = _made(kit, stocks, rule, fencing)
    own = {place.location: place for place in answer.locations}
    places = [
        replace(
            place,
            available_to_sell=place.available_to_sell + made.places.get(place.location, _ZERO),
            from_components=made.places.get(place.location, _ZERO),
        )
        for place in answer.locations
    ]
    if locations:
        places += [_bare(place, amount) for place, amount in made.places.items() if place not in own]
    return replace(
        answer,
        available_to_sell=answer.available_to_sell + made.most,
        from_components=made.most,
        version=answer.version
        + sum(line.version for part in kit.components for line in stocks.get(part.item, _EMPTY).lines),
        locations=tuple(sorted(places, key=_location)),
    )


def kit_account(
    kit: Kit, stocks: Mapping[str, ItemStock], rule: ChannelRule, fencing: Sequence[ChannelRule]
) -> KitAccount:
    """The same, taken apart."""
    made, offers = _made(kit, stocks, rule, fencing)
    return KitAccount(
        components=[
            ComponentAccount(
                part.item, part.amount, offers[part.item].sellable, offers[part.item].sellable // part.amount
            )
            for part in kit.components
        ],
        places=[KitPlace(place, kits, made.limits[place]) for place, kits in made.places.items()],
        kits=made.most,
        limited_by=made.limit or _one(made),
    )


def _made(
    kit: Kit, stocks: Mapping[str, ItemStock], rule: ChannelRule, fencing: Sequence[ChannelRule]
) -> tuple[Makeable, Mapping[str, Offer]]:
    offers = {
        part.item: offer(part.item, stock.lines, rule, fencing, stock.channels)
        for part in kit.components
        for stock in [stocks.get(part.item, _EMPTY)]
    }
    return makeable(kit, offers, terms_at(rule, kit.item)), offers


def _one(made: Makeable) -> str | None:
    """The component that is the limit everywhere, if there is one."""
    limits = set(made.limits.values())
    return limits.pop() if len(limits) == 1 else None


def _bare(place: str, amount: Decimal) -> LocationAvailability:
    return LocationAvailability(
        location=place,
        on_hand=_ZERO,
        sellable=_ZERO,
        reserved=_ZERO,
        allocated=_ZERO,
        external=_ZERO,
        available=_ZERO,
        available_to_sell=amount,
        from_components=amount,
    )


def _location(place: LocationAvailability) -> str:
    return place.location
