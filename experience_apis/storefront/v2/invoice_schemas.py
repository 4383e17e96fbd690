"""The storefront's invoices, version 2. Amounts are exact decimals, as strings."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct

from experience_apis.storefront.v2.schemas import Instant, MoneyView, OrderId, QuantityView

INVOICE_ID = r"^inv_[0-9a-hjkmnp-tv-z]{26}$(?!\n)"
InvoiceId = Annotated[str, Meta(max_length=30, pattern=INVOICE_ID, description="Our opaque id of an invoice.")]


class InvoiceLineView(Struct, kw_only=True):
    """What is billed of one line of the order, `unit_price` per unit; `tax` is null where only its sum is known."""

    line: Annotated[int, Meta(ge=1)]
    quantity: QuantityView
    unit_price: MoneyView
    net: MoneyView
    tax: MoneyView | None


class InvoiceView(Struct, kw_only=True):
    """An invoice of one of your orders, as it was posted under our `number`.

    `shipments` are those of the order that it bills, by the numbers that the order shows them under. Sums are of the
    whole invoice, which may bill other orders of yours as well; lines are this order's.
    """

    id: InvoiceId
    order_id: OrderId
    number: Annotated[str, Meta(max_length=200)]
    issued_on: date | None
    shipments: Annotated[list[int], Meta(max_length=1000)]
    lines: Annotated[list[InvoiceLineView], Meta(max_length=1000)]
    net: MoneyView
    tax: MoneyView
    total: MoneyView


class InvoiceList(Struct, kw_only=True):
    """All invoices of an order, in the order in which they were issued."""

    items: Annotated[list[InvoiceView], Meta(max_length=1000)]


class InvoiceIssued(Struct, kw_only=True):
    """A shipment of an order of yours was billed; `data` is the invoice."""

    type: Literal["invoice.issued"]
    api_version: Literal["v2"]
    timestamp: Instant
    data: InvoiceView
