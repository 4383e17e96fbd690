"""What a sales channel of others shows and sells: a shop or a marketplace with stock figures of its own.

Quantities are whole selling units, which are the items' base units here.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from gateway.canonical.party import Address


class ShownFigure(Struct, frozen=True, kw_only=True):
    """What a channel shows of one SKU. `version` counts every change of it, where the vendor has such a number."""

    sku: str
    quantity: int
    version: int | None = None


class WantedFigure(Struct, frozen=True, kw_only=True):
    """What a channel is to show; with a `version` only while it still shows what it showed then."""

    sku: str
    quantity: int
    version: int | None = None


class Published(StrEnum):
    """What became of one figure.

    CHANGED: the channel shows something else than was compared with, and still does. UNKNOWN: it does not sell this
    SKU. TAKEN: it took the figure and does not say whether it knew the SKU.
    """

    APPLIED = "applied"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    TAKEN = "taken"


class PublishedFigure(Struct, frozen=True, kw_only=True):
    """The answer for one figure, with what the channel shows now where it says so."""

    sku: str
    became: Published
    quantity: int | None = None
    version: int | None = None


class ChannelOrderKind(StrEnum):
    """PLACED took goods from the channel's figure, CANCELLED put them back."""

    PLACED = "placed"
    CANCELLED = "cancelled"


class ChannelOrderLine(Struct, frozen=True, kw_only=True):
    """One line; `version` is the one that its change of the figure made, `unit_price` what its buyer pays for one."""

    line: int
    sku: str
    quantity: int
    version: int
    unit_price: Decimal | None = None


class ChannelOrder(Struct, frozen=True, kw_only=True):
    """Something that happened to an order of the channel's; `event` is its own id of that."""

    event: str
    reference: str
    kind: ChannelOrderKind
    at: datetime
    lines: tuple[ChannelOrderLine, ...]
    currency: str | None = None
    ship_to: Address | None = None


class ChannelOrderPage(Struct, frozen=True):
    """A page of them, oldest first, and the watermark that it reaches."""

    orders: tuple[ChannelOrder, ...]
    cursor: str


class ProgressLine(Struct, frozen=True, kw_only=True):
    """What left of a line, and what of it will not come, in base units."""

    line: int
    fulfilled: Decimal = Decimal(0)
    cancelled: Decimal = Decimal(0)


class ChannelProgress(Struct, frozen=True, kw_only=True):
    """How far an order of a channel is, all told. `reference` is the channel's own number of it.

    `promised_on` is when all of it is expected, None where that is not known.
    """

    reference: str
    promised_on: date | None
    lines: tuple[ProgressLine, ...]
    tracking: tuple[str, ...] = ()


class ChannelUpdate(Struct, frozen=True, kw_only=True):
    """What a channel is told of an order once, by our `update` id: what came since the update before, and the date."""

    update: str
    reference: str
    promised_on: date | None
    lines: tuple[ProgressLine, ...] = ()
    tracking: tuple[str, ...] = ()
