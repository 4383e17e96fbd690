"""Freight: what a consignment costs by which service, its booking with a carrier, and what happened on its way."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from msgspec import Struct

from gateway.canonical.party import Address
from gateway.kernel.money import Money
from gateway.kernel.quantity import Quantity


class Consignment(Struct, frozen=True, kw_only=True):
    """Goods that go from one location to one address together; `reference` is ours and unique.

    `weight` is gross, in ``KGM``; `ready_on` is the business day at the location on which they can be collected.
    """

    reference: str
    ship_from: str
    ship_to: Address
    weight: Quantity
    ready_on: date


class FreightOption(Struct, frozen=True, kw_only=True):
    """One service of a carrier for one consignment: its whole price and the day on which it delivers."""

    service: str
    name: str
    price: Money
    arrives_on: date


class Booking(Struct, frozen=True, kw_only=True):
    """A consignment as its carrier took it on; `tracking` has a number for each parcel, `price` what is charged."""

    reference: str
    number: str
    service: str
    price: Money
    arrives_on: date | None
    tracking: tuple[str, ...]
    tracking_url: str | None = None
    label_url: str | None = None
    cancelled: bool = False


class MilestoneKind(StrEnum):
    """What a carrier reports of a parcel on its way."""

    COLLECTED = "collected"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    DELAYED = "delayed"
    FAILED = "failed"
    RETURNED = "returned"


class ReportedMilestone(Struct, frozen=True, kw_only=True):
    """One milestone of one parcel. `reference` is that of its booking; `event_id` never repeats within `source`."""

    source: str
    event_id: str
    reference: str
    tracking: str
    kind: MilestoneKind
    occurred_at: datetime
    place: str | None = None
    note: str | None = None
