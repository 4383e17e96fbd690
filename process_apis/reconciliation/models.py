"""What is compared, found and decided."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct

from gateway.canonical.reconciliation import BearingEvent


class What(StrEnum):
    """What is held against each other."""

    STOCK = "stock"
    ORDERS = "orders"
    SHIPMENTS = "shipments"
    INVOICES = "invoices"


class Cause(StrEnum):
    """The class of a difference (`semantics.md` 3)."""

    TIMING = "timing"
    """Told late, or told otherwise later: the books and the source agree by now."""
    MAPPING = "mapping"
    """Told, and not understood: an item, location or unit that is not mapped."""
    LOSS = "loss"
    """Never came; the source's own journal has it."""
    SOURCE_ONLY = "source_only"
    """Only the source knows: it changed without telling anybody."""


class State(StrEnum):
    """What became of a finding. Only an open one waits for a person."""

    OPEN = "open"
    EXPLAINED = "explained"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ADJUSTING = "adjusting"
    ADJUSTED = "adjusted"


class Part(Struct, frozen=True):
    """What one cause explains of a difference, in base units, with the events that show it."""

    cause: Cause
    amount: Decimal
    events: tuple[BearingEvent, ...]


class Scope(Struct, frozen=True, kw_only=True):
    """What a run looks at: everything, or what one source says, or one location."""

    what: What = What.STOCK
    source: str | None = None
    location: str | None = None


class Run(Struct, frozen=True, kw_only=True):
    """One comparison. `in_flight` is what was moving meanwhile and is looked at the next time."""

    run: str
    what: What
    source: str | None
    location: str | None
    asked_by: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    compared: int
    differing: int
    recovered: int
    in_flight: int
    error: str | None


class Finding(Struct, frozen=True, kw_only=True):
    """One cause of one difference. Amounts are in base units; `value` in the currency of the item's list price."""

    finding: str
    run: str
    what: What
    against: str
    scope: str
    cause: Cause
    source: str
    location: str = ""
    item: str = ""
    sku: str = ""
    code: str = ""
    owner: str = ""
    bucket: str = ""
    lot: str = ""
    reference: str = ""
    reported: Decimal | None = None
    expected: Decimal | None = None
    amount: Decimal = Decimal(0)
    value: Decimal | None = None
    detail: str = ""
    evidence: Sequence[dict[str, Any]] = ()
    state: State = State.OPEN
    raised_at: datetime | None = None
    changed_at: datetime | None = None
    proposed_by: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    number: str | None = None
    error: str | None = None


class Tally(Struct, kw_only=True):
    """What a run counts."""

    compared: int = 0
    differing: int = 0
    recovered: int = 0
    in_flight: int = 0
