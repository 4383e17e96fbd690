"""The vendor's shapes in the vendor's names, as README.md publishes them. Whole grams, whole cents."""

from __future__ import annotations

from datetime import date, datetime

from msgspec import Struct


class To(Struct, frozen=True):
    """The consignee; `country` is ISO 3166-1 alpha-2."""

    name: str
    street: str
    city: str
    postcode: str
    country: str


class RateRequest(Struct, frozen=True):
    """``POST /v3/rates``."""

    depot: str
    to: To
    grams: int
    ready_on: date


class Rate(Struct, frozen=True):
    """One service that serves the address."""

    service: str
    name: str
    cents: int
    currency: str
    arrives_on: date


class Rates(Struct, frozen=True):
    """The services of one rate request; none where the address is not served."""

    rates: tuple[Rate, ...]


class NewShipment(Struct, frozen=True):
    """``POST /v3/shipments``."""

    reference: str
    service: str
    depot: str
    to: To
    grams: int
    ready_on: date


class Parcel(Struct, frozen=True):
    """One parcel of a shipment."""

    tracking_number: str


class Shipment(Struct, frozen=True):
    """A shipment that the carrier took on. `status`: BOOKED, COLLECTED, DELIVERED, VOID, or one that is new to us."""

    number: str
    reference: str
    service: str
    depot: str
    to: To
    grams: int
    status: str
    cents: int
    currency: str
    arrives_on: date
    parcels: tuple[Parcel, ...]
    tracking_url: str | None = None
    label_url: str | None = None


class ShipmentList(Struct, frozen=True):
    """``GET /v3/shipments?reference=``: none or one."""

    shipments: tuple[Shipment, ...]


class TrackingEvent(Struct, frozen=True):
    """Something that happened to a parcel. `code` is one of README.md's, or one that is new to us."""

    event_id: str
    reference: str
    tracking_number: str
    code: str
    at: datetime
    place: str | None = None
    note: str | None = None


class EventPage(Struct, frozen=True):
    """``GET /v3/tracking-events``."""

    events: tuple[TrackingEvent, ...]
    next: str


class Problem(Struct, frozen=True):
    """Why a request is refused."""

    code: str
    message: str
