"""The shapes of answers, and of why a figure is what it is. Amounts are exact decimals, as strings, in base units."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from gateway.canonical.stock import ItemAvailability
from gateway.kernel.quantity import UnitConversion, plain
from process_apis.availability.answering import Explained
from process_apis.availability.explaining import PlaceAccount, Step
from process_apis.availability.kit_answers import KitAccount
from process_apis.availability.narrowing import decided_by
from process_apis.availability.schemas import Figure, LocationView, SilentSourceView, silent_view
from process_apis.availability.substitute_answers import Alternative

_FIGURES = tuple(name for name in LocationView.__struct_fields__ if name not in ("location", "leaving"))
_MORE = "/process/availability/v1/explain"
_ANSWER = "/process/availability/v1/availability"


class StepView(Struct, kw_only=True):
    """One amount taken off (below zero) or put back. `of` is the channel it is kept for, where that is the reason."""

    name: str
    amount: Figure
    of: str | None


class LatestMovementView(Struct, kw_only=True):
    """A movement that the figures of a location rest on."""

    id: str
    source: str
    event_id: str
    type: str
    amount: Figure
    from_bucket: str | None
    to_bucket: str | None
    occurred_at: datetime
    recorded_at: datetime


class PlaceAccountView(Struct, kw_only=True):
    """How a location comes to its part: `sellable` plus all `steps` is `part`. `more` has all movements and claims."""

    location: str
    sellable: Figure
    steps: list[StepView]
    part: Figure
    movements: list[LatestMovementView]
    more: str


class ComponentAccountView(Struct, kw_only=True):
    """What one component allows: `sellable` of it is enough for `kits`. `more` explains that figure."""

    item: str
    per_kit: Figure
    sellable: Figure
    kits: Figure
    more: str


class KitPlaceView(Struct, kw_only=True):
    """How many kits can be made at a location, and the component that limits them there."""

    location: str
    kits: Figure
    limited_by: str


class KitAccountView(Struct, kw_only=True):
    """What the components of a kit add to its own stock: `kits`, which `limited_by` allows (null: several do)."""

    components: list[ComponentAccountView]
    places: list[KitPlaceView]
    kits: Figure
    limited_by: str | None


class DecidedByView(Struct, kw_only=True):
    """Whose terms say what holds for this item: ``item``, ``class_group``, ``group``, ``class`` or ``channel``."""

    excluded: str
    buffer: str
    share: str
    protected: str
    min_life_days: str
    allotment: str


class AccountView(Struct, kw_only=True):
    """How the figure comes about under this version of the channel's rule.

    The parts of `places` are `pool`; `pool` plus all `steps` is what may be sold, and for a kit what `kit` adds.
    """

    channel: str
    rule_version: int
    places: list[PlaceAccountView]
    pool: Figure
    steps: list[StepView]
    kit: KitAccountView | None = None
    item_group: str | None = None
    customer_class: str | None = None
    decided_by: DecidedByView


class UnitFigureView(Struct, kw_only=True):
    """How many whole `uom` may be sold, each of `factor` base units."""

    uom: str
    factor: Figure
    available_to_sell: Figure


class SubstituteView(Struct, kw_only=True):
    """What may stand in for the item: `factor` base units of it serve one, and what there is serves so many."""

    item: str
    factor: Figure
    available_to_sell: Figure
    uom: str
    serves: Figure
    confidence: str


class AvailabilityView(Struct, kw_only=True):
    """What a channel may sell of one item, in base units, with how sure that is.

    `from_components` is the part of a kit's figure that is put together when it is sold. `substitutes`, where they were
    asked for, are not part of it: the preferred first, each counted by itself.
    Where `silent_sources` is not empty the answer is partial: it rests on what was not heard in time.
    """

    item: str
    available_to_sell: Figure
    uom: str
    as_of: datetime
    confidence: str
    version: int
    locations: list[LocationView]
    silent_sources: list[SilentSourceView]
    from_components: Figure = "0"
    in_unit: UnitFigureView | None = None
    explanation: AccountView | None = None
    substitutes: list[SubstituteView] | None = None


class AvailabilityList(Struct, kw_only=True):
    """One entry per known item, in the order asked."""

    items: list[AvailabilityView]


def availability_view(answer: ItemAvailability) -> AvailabilityView:
    """An answer on the wire."""
    return AvailabilityView(
        item=answer.item,
        available_to_sell=plain(answer.available_to_sell),
        uom=answer.uom,
        as_of=answer.as_of,
        confidence=answer.confidence,
        version=answer.version,
        locations=[
            LocationView(
                location=place.location,
                **dict[str, Any]({name: plain(getattr(place, name)) for name in _FIGURES}),
            )
            for place in answer.locations
        ],
        silent_sources=[silent_view(each) for each in answer.silent],
        from_components=plain(answer.from_components),
    )


def in_unit(view: AvailabilityView, unit: UnitConversion | None) -> UnitFigureView | None:
    """The figure of an answer in another unit of its item, floored; None where the item has no such unit."""
    if unit is None:
        return None
    whole = unit.from_base_floor(Decimal(view.available_to_sell))
    return UnitFigureView(uom=unit.uom, factor=plain(unit.factor), available_to_sell=plain(whole))


def substitute_views(found: Sequence[Alternative]) -> list[SubstituteView]:
    """Substitutes on the wire."""
    return [
        SubstituteView(
            item=each.substitute.item,
            factor=plain(each.substitute.factor),
            available_to_sell=plain(each.answer.available_to_sell),
            uom=each.answer.uom,
            serves=plain(each.serves),
            confidence=each.answer.confidence,
        )
        for each in found
    ]


def explained_view(found: Explained) -> AvailabilityView:
    """An answer on the wire, with how it comes about."""
    view = availability_view(found.answer)
    view.explanation = account_view(found)
    return view


def account_view(found: Explained) -> AccountView:
    """An account on the wire."""
    item = found.answer.item
    return AccountView(
        channel=found.rule.channel,
        rule_version=found.rule.version,
        places=[_place(item, each, found.movements.get(each.location, ())) for each in found.account.places],
        pool=plain(found.account.pool),
        steps=_steps(found.account.steps),
        kit=None if found.kit is None else _kit(found.kit, found.rule.channel),
        item_group=found.group,
        customer_class=found.rule.customer_class,
        decided_by=DecidedByView(**decided_by(found.rule, item, found.group)),
    )


def _place(item: str, place: PlaceAccount, movements: Sequence[Any]) -> PlaceAccountView:
    names = ("source", "event_id", "type", "from_bucket", "to_bucket", "occurred_at", "recorded_at")
    return PlaceAccountView(
        location=place.location,
        sellable=plain(place.sellable),
        steps=_steps(place.steps),
        part=plain(place.part),
        movements=[
            LatestMovementView(id=row["movement"], amount=plain(row["amount"]), **{name: row[name] for name in names})
            for row in movements
        ],
        more=f"{_MORE}?{urlencode({'item': item, 'location': place.location})}",
    )


def _kit(found: KitAccount, channel: str) -> KitAccountView:
    return KitAccountView(
        components=[
            ComponentAccountView(
                item=part.item,
                per_kit=plain(part.per_kit),
                sellable=plain(part.sellable),
                kits=plain(part.kits),
                more=f"{_ANSWER}?{urlencode({'item': part.item, 'channel': channel, 'explain': 'true'})}",
            )
            for part in found.components
        ],
        places=[
            KitPlaceView(location=place.location, kits=plain(place.kits), limited_by=place.limited_by)
            for place in found.places
        ],
        kits=plain(found.kits),
        limited_by=found.limited_by,
    )


def _steps(steps: Sequence[Step]) -> list[StepView]:
    return [StepView(name=each.name, amount=plain(each.amount), of=each.of) for each in steps]
