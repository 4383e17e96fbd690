"""The vendor's shapes in the vendor's names, as README.md publishes them. Quantities and prices are decimal strings."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct


class Pack(Struct, frozen=True):
    """A pack of an article: `quantity` base units."""

    unit: str
    quantity: Decimal


class Article(Struct, frozen=True, kw_only=True):
    """One of ``GET /api/v1/articles``; `price` per base unit."""

    article: str
    sku: str
    name: str
    base_unit: str
    price: Decimal | None = None
    currency: str | None = None
    packs: tuple[Pack, ...] = ()
    active: bool = True


class ArticlePage(Struct, frozen=True):
    """``GET /api/v1/articles``."""

    articles: tuple[Article, ...]
    next: str | None = None


class StockLine(Struct, frozen=True, kw_only=True):
    """What the ERP believes to be at a site."""

    site: str
    article: str
    quantity: Decimal
    unit: str


class Stock(Struct, frozen=True, kw_only=True):
    """``GET /api/v1/stock``: figures as of journal entry `journal`."""

    journal: int
    taken_at: datetime
    lines: tuple[StockLine, ...]


class Customer(Struct, frozen=True, kw_only=True):
    """``GET /api/v1/customers/{number}``; `balance` is what is owed, open orders included."""

    number: str
    name: str
    currency: str
    balance: Decimal
    payment_term: str | None = None
    credit_limit: Decimal | None = None
    blocked: bool = False


class ShipTo(Struct, frozen=True, kw_only=True):
    """Where it goes; `country` is ISO 3166-1 alpha-2."""

    name: str
    street: str
    city: str
    postal_code: str
    country: str


class NewLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a new order; `price` per `unit`. The ERP resolves `sku` to its own article."""

    line: int
    sku: str
    quantity: str
    unit: str
    price: str
    site: str | None = None


class NewOrder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``POST /api/v1/sales-orders``; `external_reference` is unique, another order under it is refused (409)."""

    external_reference: str
    customer: str
    customer_order: str
    currency: str
    ordered_at: str
    ship_to: ShipTo
    lines: tuple[NewLine, ...]
    requested_date: date | None = None


class OrderLine(Struct, frozen=True, kw_only=True):
    """A line as the ERP has it."""

    line: int
    article: str
    sku: str
    quantity: Decimal
    unit: str
    price: Decimal
    delivered: Decimal
    site: str | None = None


class DeliveryLine(Struct, frozen=True, kw_only=True):
    """How much of a line left."""

    line: int
    article: str
    quantity: Decimal


class Delivery(Struct, frozen=True, kw_only=True):
    """What left a site for an order, under the reference of whoever told it."""

    number: str
    external_reference: str
    site: str
    lines: tuple[DeliveryLine, ...]


class InvoiceLine(Struct, frozen=True, kw_only=True):
    """What is billed of a line: `net` is `quantity` at `price`, rounded to cents, `tax` at the article's rate."""

    line: int
    article: str
    quantity: Decimal
    price: Decimal
    net: Decimal
    tax: Decimal


class Invoice(Struct, frozen=True, kw_only=True):
    """What was billed for one delivery, named by the delivery's own `external_reference`."""

    number: str
    delivery: str
    issued_on: date
    currency: str
    net: Decimal
    tax: Decimal
    total: Decimal
    lines: tuple[InvoiceLine, ...]


class NewInvoice(Struct, frozen=True, kw_only=True):
    """``POST /api/v1/sales-orders/{number}/invoices``: bill the delivery with this `external_reference`, once."""

    delivery: str


class Order(Struct, frozen=True, kw_only=True):
    """A sales order; `status` is OPEN, IN_FULFILMENT, DELIVERED or CANCELLED."""

    number: str
    external_reference: str
    customer: str
    currency: str
    status: str
    lines: tuple[OrderLine, ...]
    deliveries: tuple[Delivery, ...] = ()
    invoices: tuple[Invoice, ...] = ()


class OrderList(Struct, frozen=True):
    """``GET /api/v1/sales-orders?external_reference=``."""

    orders: tuple[Order, ...]


class NewDeliveryLine(Struct, frozen=True, kw_only=True):
    """See `DeliveryLine`."""

    line: int
    quantity: str


class NewDelivery(Struct, frozen=True, kw_only=True):
    """``POST /api/v1/sales-orders/{number}/deliveries``; `external_reference` is unique for ever."""

    external_reference: str
    site: str
    lines: tuple[NewDeliveryLine, ...]
