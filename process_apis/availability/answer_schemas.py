"""The shapes of answers, and of why a figure is what it is. Amounts are exact decimals, as strings, in base units."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from gateway.canonical.stock import ItemAvailability
from gateway.kernel.quantity import plain
from process_apis.availability.answering import Explained
from process_apis.availability.explaining import PlaceAccount, Step
from process_apis.availability.schemas import Figure, LocationView, SilentSourceView, silent_view

_MORE = "/process/availability/v1/explain"


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


class AccountView(Struct, kw_only=True):
    """How the figure comes about under this version of the channel's rule.

    The parts of `places` are `pool`; `pool` plus all `steps` is what may be sold.
    """

    channel: str
    rule_version: int
    places: list[PlaceAccountView]
    pool: Figure
    steps: list[StepView]


class AvailabilityView(Struct, kw_only=True):
    """What a channel may sell of one item, in base units, with how sure that is.

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
    explanation: AccountView | None = None


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
                **{name: plain(getattr(place, name)) for name in LocationView.__struct_fields__ if name != "location"},
            )
            for place in answer.locations
        ],
        silent_sources=[silent_view(each) for each in answer.silent],
    )


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


def _steps(steps: Sequence[Step]) -> list[StepView]:
    return [StepView(name=each.name, amount=plain(each.amount), of=each.of) for each in steps]
