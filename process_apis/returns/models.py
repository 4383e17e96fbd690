"""What returns are made of: commands, facts, states. Amounts are in base units of the item."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct

from gateway.canonical.task import Task

WORKFLOW: Final = "returns.turn"
QUEUE: Final = "returns"
DISPOSITION_PREFIX: Final = "dsp"
"""Of the ids of dispositions: the document that the movement of one names."""
_ZERO: Final = Decimal(0)

Target = Literal["sellable", "damaged", "quality_hold", "out"]
"""Where a disposition puts goods; `out`: scrapped, sent back, given away."""
Freight = Literal["buyer", "seller"]
"""Who pays for the way back."""


class ReturnState(StrEnum):
    """Derived from what people decided, from counters and from what the ERP confirmed; never set by hand."""

    REQUESTED = "requested"
    REFUSED = "refused"
    AUTHORISED = "authorised"
    CANCELLED = "cancelled"
    RECEIVING = "receiving"
    RECEIVED = "received"
    DISPOSITIONED = "dispositioned"
    CREDITED = "credited"
    CLOSED = "closed"


# --- commands ---------------------------------------------------------------------------------------------------------


class AskedBack(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """So much of one order line is to come back, and why (a reason code of the settings).

    `amount` is in `uom`: the unit the line was ordered in, or its base unit, which it is without.
    """

    line: int
    amount: Decimal
    reason: str
    uom: str | None = None


class AskReturn(Struct, frozen=True, kw_only=True):
    """Goods of an order are to come back. Without `location` to where they left from; `freight` None is by the rule."""

    action: str
    order: str
    lines: tuple[AskedBack, ...]
    location: str | None = None
    freight: Freight | None = None
    note: str | None = None


class Dispose(Struct, frozen=True, kw_only=True):
    """What becomes of a received quantity of one line."""

    action: str
    line: int
    amount: Decimal
    target: Target
    lot: str | None = None


# --- facts ------------------------------------------------------------------------------------------------------------


class Moved(Struct, frozen=True, kw_only=True):
    """What came back of one item, and what became of it, by its movements."""

    item: str
    received: Decimal = _ZERO
    sellable: Decimal = _ZERO
    damaged: Decimal = _ZERO
    quality_hold: Decimal = _ZERO
    out: Decimal = _ZERO


class ReturnLine(Struct, frozen=True, kw_only=True):
    """One order line that comes back. `amount` is authorised, or asked for while a person has to decide.

    `refused` was received and is not credited; `credited` is on credits asked of the ERP or issued by it.
    """

    line: int
    item: str
    sku: str
    uom: str
    unit_price: Decimal
    amount: Decimal
    reason: str
    fee_percent: Decimal
    received: Decimal = _ZERO
    sellable: Decimal = _ZERO
    damaged: Decimal = _ZERO
    quality_hold: Decimal = _ZERO
    out: Decimal = _ZERO
    refused: Decimal = _ZERO
    credited: Decimal = _ZERO

    @property
    def kept(self) -> Decimal:
        """What lies in stock again, in whatever state."""
        return self.sellable + self.damaged + self.quality_hold

    @property
    def dispositioned(self) -> Decimal:
        """What was decided about."""
        return self.kept + self.out


class DispositionState(StrEnum):
    """How far a disposition is that a person asked for."""

    REQUESTED = "requested"
    ASKED = "asked"
    MADE = "made"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Disposition(Struct, frozen=True, kw_only=True):
    """A disposition as it was asked of who holds the goods; its movement makes it."""

    disposition: str
    return_id: str
    tenant: str
    line: int
    item: str
    sku: str
    uom: str
    amount: Decimal
    target: Target
    location: str
    asked_by: str
    correlation_id: str
    created_at: datetime
    task: Task
    lot: str | None = None
    state: DispositionState = DispositionState.REQUESTED
    movement: str | None = None


class CreditState(StrEnum):
    """How far a credit is."""

    REQUESTED = "requested"
    ISSUED = "issued"
    REFUSED = "refused"
    BY_HAND = "by_hand"


class CreditedLine(Struct, frozen=True, kw_only=True):
    """What a credit gives back for one line, and how much of it lies in stock again."""

    line: int
    amount: Decimal
    restocked: Decimal


class Credit(Struct, frozen=True, kw_only=True):
    """A credit note as it is asked of the ERP: its content never changes. `total`, with tax, is what the ERP issued."""

    credit: str
    return_id: str
    tenant: str
    system: str | None
    lines: tuple[CreditedLine, ...]
    net: Decimal
    fee: Decimal
    created_at: datetime
    task: Task
    state: CreditState = CreditState.REQUESTED
    number: str | None = None
    issued_on: date | None = None
    total: Decimal | None = None


class Return(Struct, frozen=True, kw_only=True):
    """Everything the record knows about one return. `over` says which rules it breaks, None where none.

    `reference` is its partner's own number of it, None where somebody else asked for it.
    """

    return_id: str
    tenant: str
    order_id: str
    partner: str | None
    channel: str
    sold_to: str
    currency: str
    system: str | None
    location: str
    freight: Freight
    asked_by: str
    correlation_id: str
    created_at: datetime
    changed_at: datetime
    lines: tuple[ReturnLine, ...]
    moved: tuple[Moved, ...] = ()
    dispositions: tuple[Disposition, ...] = ()
    credits: tuple[Credit, ...] = ()
    state: ReturnState = ReturnState.REQUESTED
    version: int = 1
    reference: str | None = None
    note: str | None = None
    over: str | None = None
    decision: Literal["authorised", "refused"] | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = None
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    close_reason: str | None = None


class Stray(Struct, frozen=True, kw_only=True):
    """Returned goods that name no return that has them: they are in the books, and wait for a person."""

    movement: str
    tenant: str
    document: str | None
    item: str
    location: str
    source: str
    code: str
    heard_at: datetime
    figures: Moved


class Need(Struct, frozen=True, kw_only=True):
    """What a person should do about a return."""

    code: str
    detail: str
