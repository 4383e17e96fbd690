"""What each movement does: the one table of effects (`semantics.md` 2), the README's too; a test holds them together.

Which bucket goods leave and reach (none: they come from or go outside), what the source may say of that, what it adds
to the net picks and shipments of its order line, and which side of a document's balance it moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from gateway.canonical.stock import Bucket, MovementType


class Side(NamedTuple):
    """One side of the balance of a document."""

    kind: Literal["transfer", "return", "receipt"]
    column: Literal["opened", "closed"]


class MovementEffect(Struct, frozen=True, kw_only=True):
    """A row of the table. `said`: which of its buckets the source may name instead; `named`: it must name both.

    `signed`: its amount may be below zero. `absolute`: it states a figure instead of changing it. `settles`: without a
    bucket of its own it takes what was picked for its order line or document, then the rest.
    """

    origin: Bucket | None = None
    target: Bucket | None = None
    said: Literal["", "origin", "target"] = ""
    named: bool = False
    signed: bool = False
    absolute: bool = False
    picks: int = 0
    ships: int = 0
    settles: bool = False
    balance: Side | None = None


EFFECTS: Final[Mapping[MovementType, MovementEffect]] = {
    MovementType.RECEIPT_POSTED: MovementEffect(
        target=Bucket.RECEIVING, said="target", balance=Side("receipt", "closed")
    ),
    MovementType.PUT_AWAY: MovementEffect(origin=Bucket.RECEIVING, target=Bucket.SELLABLE),
    MovementType.PICK_CONFIRMED: MovementEffect(origin=Bucket.SELLABLE, target=Bucket.PICKED, picks=1),
    MovementType.UNPICKED: MovementEffect(origin=Bucket.PICKED, target=Bucket.SELLABLE, picks=-1),
    MovementType.SHIPMENT_CONFIRMED: MovementEffect(origin=Bucket.SELLABLE, said="origin", ships=1, settles=True),
    MovementType.STOCK_ADJUSTED: MovementEffect(target=Bucket.SELLABLE, said="target", signed=True),
    MovementType.CYCLE_COUNTED: MovementEffect(target=Bucket.SELLABLE, said="target", signed=True, absolute=True),
    MovementType.TRANSFER_DISPATCHED: MovementEffect(
        origin=Bucket.SELLABLE, said="origin", ships=1, balance=Side("transfer", "opened")
    ),
    MovementType.TRANSFER_RECEIVED: MovementEffect(
        target=Bucket.RECEIVING, said="target", balance=Side("transfer", "closed")
    ),
    MovementType.RETURN_RECEIVED: MovementEffect(
        target=Bucket.RETURNED, said="target", balance=Side("return", "opened")
    ),
    MovementType.RETURN_DISPOSITIONED: MovementEffect(
        origin=Bucket.RETURNED, said="target", balance=Side("return", "closed")
    ),
    MovementType.STATUS_CHANGED: MovementEffect(named=True),
}
