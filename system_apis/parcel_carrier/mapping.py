"""Wire ⇄ canonical, pure. Depots are the carrier's codes; weights become whole grams, prices come in whole cents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Final

from gateway.canonical.capabilities import Report
from gateway.canonical.freight import Booking, Consignment, FreightOption, MilestoneKind, ReportedMilestone
from gateway.kernel.errors import BrokenUpstream, Rejected
from gateway.kernel.money import Money
from system_apis.parcel_carrier import wire

_GRAMS: Final = Decimal(1000)
_CENTS: Final = Decimal(100)
_HEAVIEST_G: Final = 10**9
_VOID: Final = "VOID"
_KINDS: Final[Mapping[str, MilestoneKind]] = {
    "PU": MilestoneKind.COLLECTED,
    "HUB": MilestoneKind.IN_TRANSIT,
    "OFD": MilestoneKind.OUT_FOR_DELIVERY,
    "DLV": MilestoneKind.DELIVERED,
    "DLY": MilestoneKind.DELAYED,
    "EXC": MilestoneKind.FAILED,
    "RTS": MilestoneKind.RETURNED,
}


def rate_request(consignment: Consignment) -> wire.RateRequest:
    """What rates are asked for."""
    return wire.RateRequest(
        depot=consignment.ship_from, to=_to(consignment), grams=_grams(consignment), ready_on=consignment.ready_on
    )


def new_shipment(consignment: Consignment, service: str) -> wire.NewShipment:
    """A shipment under our reference."""
    return wire.NewShipment(
        reference=consignment.reference,
        service=service,
        depot=consignment.ship_from,
        to=_to(consignment),
        grams=_grams(consignment),
        ready_on=consignment.ready_on,
    )


def is_same(wanted: wire.NewShipment, made: wire.Shipment) -> bool:
    """Whether what was made under a reference is what is wanted. On which day it is ready may differ: days pass."""
    there = (made.service, made.depot, made.to, made.grams)
    return (wanted.service, wanted.depot, wanted.to, wanted.grams) == there


def options(rates: wire.Rates) -> list[FreightOption]:
    """What the carrier offers."""
    return [
        FreightOption(
            service=rate.service,
            name=rate.name,
            price=_money(rate.cents, rate.currency),
            arrives_on=rate.arrives_on,
        )
        for rate in rates.rates
    ]


def booking(shipment: wire.Shipment) -> Booking:
    """A shipment as a booking of ours."""
    return Booking(
        reference=shipment.reference,
        number=shipment.number,
        service=shipment.service,
        price=_money(shipment.cents, shipment.currency),
        arrives_on=shipment.arrives_on,
        tracking=tuple(parcel.tracking_number for parcel in shipment.parcels),
        tracking_url=shipment.tracking_url,
        label_url=shipment.label_url,
        cancelled=shipment.status == _VOID,
    )


def report(source: str, events: Iterable[wire.TrackingEvent]) -> Report:
    """What happened to parcels. A code that is new to us is passed over: the ones that matter are in the contract."""
    return Report(
        milestones=tuple(
            ReportedMilestone(
                source=source,
                event_id=event.event_id,
                reference=event.reference,
                tracking=event.tracking_number,
                kind=_KINDS[event.code],
                occurred_at=event.at,
                place=event.place,
                note=event.note,
            )
            for event in events
            if event.code in _KINDS
        )
    )


def _to(consignment: Consignment) -> wire.To:
    to = consignment.ship_to
    return wire.To(name=to.name, street=to.street, city=to.city, postcode=to.postal_code, country=to.country)


def _grams(consignment: Consignment) -> int:
    weight = consignment.weight
    if weight.uom != "KGM" or not 0 < weight.amount * _GRAMS <= _HEAVIEST_G:
        raise Rejected(
            f"a consignment of {weight} cannot be rated: give its weight in KGM, above 0", code="carrier.bad_weight"
        )
    return int((weight.amount * _GRAMS).to_integral_value(ROUND_CEILING))


def _money(cents: int, currency: str) -> Money:
    if cents < 0:
        raise BrokenUpstream("the carrier asked for a price below zero", code="carrier.broken_contract")
    return Money(Decimal(cents) / _CENTS, currency)
