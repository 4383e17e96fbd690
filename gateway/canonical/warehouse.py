"""What a warehouse is asked to do with stock besides shipping orders: send it elsewhere, hold it, believe a count."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.canonical.stock import Bucket, OrderKey

TRANSFER_PREFIX: Final = "trf"
"""Of the ids of transfers: the document that dispatches and receipts name, and the order that claims are made for."""


class TransferOrderLine(Struct, frozen=True, kw_only=True):
    """One line: `amount` in base units of `item`, of one `lot` where that is asked for."""

    line: int
    item: str
    sku: str
    amount: Decimal
    uom: str
    lot: str | None = None


class TransferOrder(Struct, frozen=True, kw_only=True):
    """Goods to be sent from one location of ours to another. `transfer` is our id and the reference everywhere."""

    transfer: str
    origin: str
    destination: str
    lines: tuple[TransferOrderLine, ...]
    ship_on: date | None = None


class StatusOrder(Struct, frozen=True, kw_only=True):
    """Goods at `location` to be moved from one bucket to another. `change` is our id and the reference everywhere."""

    change: str
    location: str
    item: str
    sku: str
    amount: Decimal
    uom: str
    from_bucket: Bucket
    to_bucket: Bucket
    lot: str | None = None
    reason: str | None = None


class CountOrderLine(Struct, frozen=True, kw_only=True):
    """What was found of one item, or of one `lot` of it, in base units."""

    line: int
    item: str
    sku: str
    amount: Decimal
    uom: str
    lot: str | None = None


class CountOrder(Struct, frozen=True, kw_only=True):
    """Figures that were counted and agreed on, true after event `cut_off` of the warehouse's own order.

    `count` is our id and the reference everywhere.
    """

    count: str
    location: str
    bucket: Bucket
    cut_off: OrderKey
    lines: tuple[CountOrderLine, ...]
    reason: str | None = None
