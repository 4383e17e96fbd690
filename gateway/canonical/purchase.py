"""Purchasing: orders to suppliers, what suppliers say of them, goods that come in, invoices (`semantics.md` 5).

Amounts are in the line's own unit (`uom`), the one it is priced in; prices are per that unit, in the order's currency.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.canonical.stock import OrderKey
from gateway.kernel.money import Money

PURCHASE_PREFIX: Final = "pur"
"""Of the ids of purchase orders as we keep them. Movements name a purchase by its number in the ERP."""
RECEIPT_PREFIX: Final = "rcv"
"""Of the ids of goods receipts: the reference that an ERP finds the posting of a receipt by."""


class PurchaseStatus(StrEnum):
    """What the ERP says of a purchase order. Only what is `approved` goes to its supplier."""

    APPROVED = "approved"
    CANCELLED = "cancelled"
    CLOSED = "closed"


class ReportedPurchaseLine(Struct, frozen=True, kw_only=True):
    """One line as the ERP has it; `line` is the ERP's own number of it, which stays.

    `source_item` is the ERP's code; `supplier_item` what the supplier calls it. `requested` is when it should come.
    """

    line: int
    source_item: str
    amount: Decimal
    uom: str
    unit_price: Money
    requested: date | None = None
    supplier_item: str | None = None
    description: str | None = None


class ReportedPurchase(Struct, frozen=True, kw_only=True):
    """A purchase order as one ERP tells it, in that ERP's codes. `order_key` is its version: older news never wins.

    `number` is what everybody calls it, and what receipts name as their document. Goods come in at `source_location`.
    """

    source: str
    number: str
    order_key: OrderKey
    status: PurchaseStatus
    source_supplier: str
    source_location: str
    currency: str
    lines: tuple[ReportedPurchaseLine, ...]
    ordered_on: date | None = None
    note: str | None = None


class PurchasePage(Struct, frozen=True):
    """Purchase orders by when they changed. None of them: that was all for now.

    `next_cursor` is behind them, `resume` where reading is taken up another time: earlier, where what was begun before
    may still come.
    """

    purchases: tuple[ReportedPurchase, ...]
    next_cursor: str | None
    resume: str | None


class AckCode(StrEnum):
    """Line item status codes of X12 element 668, as an 855 has them. Any other is never taken for an acceptance."""

    ACCEPTED = "IA"
    ALTERNATE_LOCATION = "AA"
    ACCEPTED_SHIPPED = "AC"
    RELEASED = "AR"
    PARTIAL = "BP"
    RESCHEDULED = "DR"
    BACKORDERED = "IB"
    CHANGED = "IC"
    DELETED = "ID"
    PRICE_PENDING = "IE"
    INCOMPLETE = "IF"
    ON_HOLD = "IH"
    PRICE_CHANGED = "IP"
    QUANTITY_CHANGED = "IQ"
    REJECTED = "IR"
    SUBSTITUTED = "IS"
    WAIVER_REQUIRED = "IW"
    NOT_CONTRACTED = "R1"
    INVALID_PRODUCT = "R2"
    INVALID_UNIT = "R3"
    CONTRACT_UNAVAILABLE = "R4"
    REORDER = "R5"
    INVALID_TERMS = "R6"
    INVALID_QUANTITY = "R7"
    INVALID_PRICE = "R8"
    DATE_PENDING = "SP"


class AckLine(Struct, frozen=True, kw_only=True):
    """What the supplier says of `amount` of one line: its `code`, and the date, price or item where they change.

    A line may be split over several; `code` is kept as it was sent, known or not. `on` is when the goods will come.
    """

    line: int
    code: str
    amount: Decimal
    on: date | None = None
    unit_price: Decimal | None = None
    substitute: str | None = None
    text: str | None = None


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """A supplier's answer under its own `number`. Of each line the answer with the highest `sequence` holds."""

    number: str
    sequence: int
    lines: tuple[AckLine, ...]


class NoticeLine(Struct, frozen=True, kw_only=True):
    """How much of one line is on its way; `sscc` is the GS1 code of the pallet or carton it is in."""

    line: int
    amount: Decimal
    lot: str | None = None
    sscc: str | None = None


class ShipNotice(Struct, frozen=True, kw_only=True):
    """An advance ship notice (856, DESADV). One with a higher `sequence` takes the place of the one of its number.

    Without lines it says that the shipment does not come.
    """

    number: str
    sequence: int
    expected: date
    lines: tuple[NoticeLine, ...]
    shipped: date | None = None
    carrier: str | None = None
    tracking: str | None = None


class BilledLine(Struct, frozen=True, kw_only=True):
    """What a supplier bills of one line, at the price it bills."""

    line: int
    amount: Decimal
    unit_price: Decimal


class SupplierInvoice(Struct, frozen=True, kw_only=True):
    """A supplier's invoice over one purchase order. `number` is unique per supplier, for ever."""

    number: str
    invoiced: date
    currency: str
    lines: tuple[BilledLine, ...]

    @property
    def net(self) -> Decimal:
        """The sum of the lines, not rounded."""
        return sum((line.amount * line.unit_price for line in self.lines), Decimal(0))


class BillState(StrEnum):
    """How far a supplier's invoice is in the books of an ERP."""

    DRAFT = "draft"
    VALIDATED = "validated"
    POSTED = "posted"
    PAID = "paid"
    CANCELLED = "cancelled"


class ReportedBill(Struct, frozen=True, kw_only=True):
    """What an ERP says of a supplier's invoice; of one with a higher `sequence` it said it later.

    `number` is the supplier's own, `purchases` the ERP's numbers of what it bills, `net` without tax, of all of it.
    """

    number: str
    purchases: tuple[str, ...]
    state: BillState
    net: Decimal
    currency: str
    sequence: int


class BillPage(Struct, frozen=True):
    """Suppliers' invoices by when they changed; cursors as `PurchasePage` has them. None: that was all for now."""

    bills: tuple[ReportedBill, ...]
    next_cursor: str | None
    resume: str | None


class ReceivedLine(Struct, frozen=True, kw_only=True):
    """How much of one line of a purchase came in, in the line's own unit; `line` is the ERP's number of it."""

    line: int
    amount: Decimal
    uom: str


class GoodsReceipt(Struct, frozen=True, kw_only=True):
    """What came in under one purchase at once. `receipt` is our id, and the reference everywhere.

    `purchase` is the number that the ERP gave it. More than the ERP has open is there because somebody accepted it.
    """

    receipt: str
    purchase: str
    location: str
    received_on: date
    lines: tuple[ReceivedLine, ...]


class SystemReceipt(Struct, frozen=True, kw_only=True):
    """A goods receipt as a system of record knows it."""

    number: str
    state: str


class SystemBill(Struct, frozen=True, kw_only=True):
    """A supplier's invoice in the books of a system of record: its number there, and the total with tax."""

    number: str
    total: Decimal
