"""The vendor's shapes in the vendor's names, as README.md publishes them. Quantities are whole selling units."""

from __future__ import annotations

from datetime import date, datetime

from msgspec import Struct


class Level(Struct, frozen=True):
    """What the shop shows of one SKU; `version` counts every change of it, the shop's own sales too."""

    sku: str
    quantity: int
    version: int


class Levels(Struct, frozen=True):
    """``POST /levels/query``: unknown SKUs are left out."""

    levels: tuple[Level, ...]


class NewLevel(Struct, frozen=True):
    """One level of ``POST /levels/set``."""

    sku: str
    quantity: int
    if_version: int


class FeedLevel(Struct, frozen=True):
    """One level of ``POST /feeds/levels``."""

    sku: str
    quantity: int


class SetResult(Struct, frozen=True):
    """What became of one level; `status` is applied, version_mismatch or unknown_sku."""

    sku: str
    status: str
    quantity: int | None = None
    version: int | None = None


class SetResults(Struct, frozen=True):
    """``POST /levels/set``: one result for each level, in their order."""

    results: tuple[SetResult, ...]


class FeedTaken(Struct, frozen=True):
    """``POST /feeds/levels``: how many lines were read, known or not."""

    feed: str
    accepted: int


class EventLine(Struct, frozen=True, kw_only=True):
    """One line; `level_version` is the version that its change made."""

    line: int
    sku: str
    quantity: int
    level_version: int
    price: str | None = None


class ShipTo(Struct, frozen=True, kw_only=True):
    """Where a shopper wants it; `country` is ISO 3166-1 alpha-2."""

    name: str
    street: str
    city: str
    postal_code: str
    country: str


class OrderEvent(Struct, frozen=True, kw_only=True):
    """An order was ``placed`` or ``cancelled`` (its goods are in the shop's figure again)."""

    sequence: int
    order: str
    type: str
    at: datetime
    lines: tuple[EventLine, ...]
    currency: str | None = None
    ship_to: ShipTo | None = None


class OrderEventPage(Struct, frozen=True):
    """``GET /order-events``; `next` continues, an empty page repeats it."""

    events: tuple[OrderEvent, ...]
    next: int


class FulfilledLine(Struct, frozen=True, kw_only=True):
    """So much of a line, in whole units."""

    line: int
    quantity: int


class OrderUpdate(Struct, frozen=True, kw_only=True):
    """``POST /orders/{order}/updates``; `update` is the caller's own id of it and counts once."""

    update: str
    promised_on: date | None
    fulfilled: tuple[FulfilledLine, ...]
    cancelled: tuple[FulfilledLine, ...]
    tracking: tuple[str, ...]


class UpdateTaken(Struct, frozen=True):
    """What the shop answers to one; `repeated`: it knew it already."""

    update: str
    repeated: bool


class Problem(Struct, frozen=True):
    """One error."""

    code: str
    message: str


class ProblemAnswer(Struct, frozen=True):
    """An error answer."""

    errors: tuple[Problem, ...]
