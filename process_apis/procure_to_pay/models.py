"""Purchases: what the ERP approved, what was said of it since, and where its lines stand.

What was said is kept as facts that only ever become more; where a purchase stands follows from all of them, so that it
does not matter in which order they came, or how often.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct

from gateway.canonical.purchase import (
    Acknowledgement,
    BillState,
    PurchaseStatus,
    ReportedBill,
    ReportedPurchase,
    ShipNotice,
    SupplierInvoice,
)

_ZERO: Final = Decimal(0)


class PurchaseState(StrEnum):
    """Derived from the facts (`rules.state_of`); never set by hand. `unmapped`: it waits for a mapping."""

    UNMAPPED = "unmapped"
    APPROVED = "approved"
    ACKNOWLEDGED = "acknowledged"
    ON_ITS_WAY = "on_its_way"
    PARTLY_RECEIVED = "partly_received"
    RECEIVED = "received"
    MATCHED = "matched"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class PurchaseLine(Struct, frozen=True, kw_only=True):
    """One line, mapped: `amount` of `uom`, each of which is `factor` base units of `item`; the price is per `uom`."""

    line: int
    item: str
    sku: str
    source_item: str
    amount: Decimal
    uom: str
    factor: Decimal
    base_uom: str
    unit_price: Decimal
    requested: date | None = None
    supplier_item: str | None = None

    @property
    def base(self) -> Decimal:
        """What is ordered, in base units."""
        return self.amount * self.factor


class Purchase(Struct, frozen=True, kw_only=True):
    """A purchase order as we keep it. Without `supplier`, `location` and `lines` it could not be mapped: `cause` why.

    A `test` one is there for a supplier to answer while it is onboarded: no goods, no supply.
    """

    purchase: str
    tenant: str
    source: str
    number: str
    status: PurchaseStatus
    currency: str
    epoch: int
    sequence: int
    version: int
    created_at: datetime
    changed_at: datetime
    reported: ReportedPurchase
    supplier: str | None = None
    location: str | None = None
    lines: tuple[PurchaseLine, ...] = ()
    test: bool = False
    cause: str | None = None
    detail: str | None = None
    state: PurchaseState = PurchaseState.UNMAPPED
    supply_parts: int = 0
    supply_version: int = 0
    supplied: tuple[SupplyPart, ...] = ()
    standing: Standing | None = None
    needs: tuple[KeptNeed, ...] = ()
    approved_at: datetime | None = None
    acknowledged_at: datetime | None = None
    received_at: datetime | None = None
    matched_at: datetime | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """What a buyer decided of `subject` (a need's key): taken as it is, or not."""

    subject: str
    accept: bool
    reason: str


class LineClosure(Struct, frozen=True, kw_only=True):
    """A buyer said that what is open of a line will not come."""

    line: int
    reason: str


class SentBack(Struct, frozen=True, kw_only=True):
    """Goods of a line that went back to the supplier, in the line's own unit; `number` names the return."""

    number: str
    line: int
    amount: Decimal
    reason: str


class Facts(Struct, frozen=True, kw_only=True):
    """All that was said of one purchase since it was approved. `received` is by item, in base units."""

    acknowledgements: tuple[Acknowledgement, ...] = ()
    notices: tuple[ShipNotice, ...] = ()
    invoices: tuple[SupplierInvoice, ...] = ()
    decisions: tuple[Decision, ...] = ()
    closures: tuple[LineClosure, ...] = ()
    sent_back: tuple[SentBack, ...] = ()
    bills: tuple[ReportedBill, ...] = ()
    received: Mapping[str, Decimal] = {}


class SupplyPart(Struct, frozen=True, kw_only=True):
    """So much of a line, in base units, that comes (or came) on one date; none known: it counts as no supply."""

    line: int
    amount: Decimal
    on: date | None = None
    advised: bool = False


class LineStanding(Struct, frozen=True, kw_only=True):
    """Where one line stands, in base units: ordered = open + rejected + cancelled + (received - over), always.

    `accepted` is what may be billed: what was received and agreed to, less what went back.
    """

    line: int
    ordered: Decimal
    acknowledged: Decimal = _ZERO
    rejected: Decimal = _ZERO
    cancelled: Decimal = _ZERO
    advised: Decimal = _ZERO
    received: Decimal = _ZERO
    over: Decimal = _ZERO
    sent_back: Decimal = _ZERO
    accepted: Decimal = _ZERO
    open: Decimal = _ZERO
    invoiced: Decimal = _ZERO
    matched: Decimal = _ZERO
    answered: bool = False
    expected: date | None = None


Verdict = Literal["matched", "pending", "blocked", "refused"]


class InvoiceStanding(Struct, frozen=True, kw_only=True):
    """What became of an invoice. `reasons` are stable codes, each with what is wrong; `erp` is the ERP's own word."""

    number: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    detail: str = ""
    erp: BillState | None = None


class Need(Struct, frozen=True, kw_only=True):
    """What a person should decide. `key` names it among those of its purchase, for ever; `value` is the money at stake.

    `decidable`: it is settled by a `Decision` whose subject is the key; else something else has to happen.
    """

    key: str
    code: str
    detail: str
    value: Decimal = _ZERO
    decidable: bool = True


class KeptNeed(Struct, frozen=True, kw_only=True):
    """A need in the record, and since when."""

    need: Need
    raised_at: datetime


class Standing(Struct, frozen=True, kw_only=True):
    """Where a purchase stands, as all facts together say."""

    state: PurchaseState
    lines: tuple[LineStanding, ...]
    invoices: tuple[InvoiceStanding, ...] = ()
    needs: tuple[Need, ...] = ()
    supply: tuple[SupplyPart, ...] = ()
