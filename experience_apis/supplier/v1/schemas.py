"""The shapes of the supplier's door, version 1.

Amounts are decimal strings in the unit of their line, prices per that unit in the order's currency.
"""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

PURCHASE_ID = r"^pur_[0-9a-hjkmnp-tv-z]{26}$(?!\n)"
CURSOR = r"^[A-Za-z0-9_-]{18,400}$(?!\n)"
Amount = Annotated[str, Meta(pattern=r"^(?=[0-9.]*[1-9])[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["12", "0.5"])]
Price = Annotated[str, Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,8})?$(?!\n)", examples=["24.50"])]
Figure = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$(?!\n)", examples=["12"])]
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["A-17"])]
Code = Annotated[str, Meta(min_length=2, max_length=2, pattern=r"^[A-Z0-9]{2}$(?!\n)", examples=["IA"])]
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern=r"^[A-Z]{3}$(?!\n)", examples=["USD"])]
Sscc = Annotated[str, Meta(min_length=18, max_length=18, pattern=r"^[0-9]{18}$(?!\n)")]
LineNumber = Annotated[int, Meta(ge=1, le=9_999_999)]
Sequence = Annotated[int, Meta(ge=0, le=2**53)]


class AckLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the supplier says of `amount` of a line, in the line's unit; `code` is one of X12 element 668."""

    line: LineNumber
    code: Code
    amount: Amount
    on: date | None = None
    unit_price: Price | None = None
    substitute: Text | None = None
    text: Text | None = None


class AcknowledgementInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """An answer under the supplier's own `number`; of each line the answer with the highest `sequence` holds."""

    number: Text
    sequence: Sequence = 0
    lines: Annotated[list[AckLineInput], Meta(min_length=1, max_length=500)]


class NoticeLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of a line is on its way, in the line's unit."""

    line: LineNumber
    amount: Amount
    lot: Text | None = None
    sscc: Sscc | None = None


class ShipNoticeInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is on its way; the same `number` with a higher `sequence` replaces it, and without lines takes it back."""

    number: Text
    sequence: Sequence = 0
    expected: date
    shipped: date | None = None
    carrier: Text | None = None
    tracking: Text | None = None
    lines: Annotated[list[NoticeLineInput], Meta(max_length=500)]


class BilledLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is billed of a line: in the line's unit, at the price per that unit."""

    line: LineNumber
    amount: Amount
    unit_price: Price


class InvoiceInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A supplier's invoice over this order. Its number is used once, for ever."""

    number: Text
    invoiced: date
    currency: Currency
    lines: Annotated[list[BilledLineInput], Meta(min_length=1, max_length=500)]


class SupplierLineView(Struct, kw_only=True):
    """One line of an order, and where it stands: what is open, what came, what may be billed, what was billed."""

    line: int
    sku: str
    supplier_item: str | None
    amount: Figure
    uom: str
    unit_price: Figure
    requested: date | None
    acknowledged: Figure
    rejected: Figure
    cancelled: Figure
    received: Figure
    open: Figure
    accepted: Figure
    invoiced: Figure
    expected: date | None


class BilledView(Struct, kw_only=True):
    """What became of an invoice: `matched`, `pending` (its goods did not come yet), `blocked` or `refused`, and why.

    `in_books` is how far it is in our books: `draft`, `validated`, `posted`, `paid` or `cancelled`; null: not told.
    """

    number: str
    verdict: str
    reasons: list[str]
    detail: str
    in_books: str | None = None


class PurchaseOrderView(Struct, kw_only=True):
    """A purchase order. A `test` one is to be answered like a real one; nothing is delivered under it."""

    id: str
    number: str
    state: str
    version: int
    test: bool
    currency: str
    location: str | None
    lines: list[SupplierLineView]
    invoices: list[BilledView]
    approved_at: datetime | None
    changed_at: datetime


class PurchaseOrderPage(Struct, kw_only=True):
    """A page of purchase orders, the newest first."""

    items: list[PurchaseOrderView]
    next_cursor: str | None


class SupplierStandingView(Struct, kw_only=True):
    """How far the onboarding is; `missing` are the steps still to be done, in their order."""

    name: str
    state: str
    missing: list[str]


class PurchaseOrderUpdated(Struct, kw_only=True):
    """A purchase order of yours came, changed, or went on.

    `data` is the order as it is now, which may be further than what this message is about; the higher `data.version` is
    the later. `occasion` is what happened: `ordered`, `changed`, `cancelled`, `line_closed` (we wait for no more of
    a line), `decided` (we took or refused what departed from the order in an answer, a delivery or an invoice),
    `received`, `sent_back`, `invoice_matched`, `invoice_blocked` or `invoice_in_books`. More may come.
    """

    type: Literal["purchase_order.updated"]
    api_version: Literal["v1"]
    timestamp: datetime
    occasion: Annotated[str, Meta(pattern=r"^[a-z_]{1,40}$(?!\n)", examples=["ordered"])]
    data: PurchaseOrderView
