"""Invoices and credit notes as ERPs know them, and the credit that a return asks for (`semantics.md` 4.3, 5)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.kernel.money import Money

RETURN_PREFIX: Final = "ret"
"""Of the ids of returns: the document that receipts and dispositions of returned goods name."""
CREDIT_PREFIX: Final = "crd"
"""Of the ids of credits: the reference that an ERP finds a credit note by."""


class InvoiceState(StrEnum):
    """How far the ERP is with it. Only what is posted or paid has a number and is owed."""

    DRAFT = "draft"
    POSTED = "posted"
    PAID = "paid"
    CANCELLED = "cancelled"


class InvoiceLine(Struct, frozen=True, kw_only=True):
    """One line: `amount` in base units at `unit_price` (less than zero on a credit note), `net` as the ERP rounds it.

    `line` is the order line, `posting` our id of the shipment it bills; None where the ERP does not say, or where it
    bills something else. `code` is the ERP's own code of the item, None for what is no item (freight, a fee). `tax` is
    what the ERP charges on the line, None where it says so of the whole invoice only.
    """

    line: int | None
    code: str | None
    amount: Decimal
    unit_price: Decimal
    net: Decimal
    posting: str | None = None
    tax: Decimal | None = None


class SystemInvoice(Struct, frozen=True, kw_only=True):
    """An invoice or credit note of one ERP. Amounts in `currency` (ISO 4217), below zero where the buyer is credited.

    `identity` is the ERP's own key, which stays; `number` and `issued_on` come with posting. `reference` is our order
    (or release), or our credit, where the ERP keeps it.
    """

    identity: str
    number: str | None
    state: InvoiceState
    issued_on: date | None
    currency: str
    net: Decimal
    tax: Decimal
    total: Decimal
    lines: tuple[InvoiceLine, ...]
    reference: str | None = None

    @property
    def is_credit(self) -> bool:
        """Whether it gives money back."""
        return self.total < 0

    @property
    def owed(self) -> bool:
        """Whether it counts: posted, paid or not."""
        return self.state in (InvoiceState.POSTED, InvoiceState.PAID)


class CreditLine(Struct, frozen=True, kw_only=True):
    """What is credited of one order line: `amount` base units of `item` at the order's `unit_price`.

    `restocked` of them came back into stock, of whatever state; the rest is credited and not there.
    """

    line: int
    item: str
    sku: str
    amount: Decimal
    uom: str
    unit_price: Money
    restocked: Decimal


class CreditOrder(Struct, frozen=True, kw_only=True):
    """A credit note to be issued once. `credit` is our id and the reference; `order` what was sold under.

    `fee` is kept back for restocking. Goods came to `location`, by the ERP's own code.
    """

    credit: str
    order: str
    sold_to: str
    currency: str
    location: str
    lines: tuple[CreditLine, ...]
    fee: Decimal = Decimal(0)
    reason: str | None = None
