"""Tryton's own shapes: values of its JSON-RPC, and the rows we read, in Tryton's names.

Source: ``trytond/protocols/jsonrpc.py`` of Tryton 8.2. Decimals, dates and instants travel as objects with a
``__class__``; quantities are JSON numbers (Tryton's ``Float``), read here as `Decimal` from their exact text.
Instants are naive and in UTC.
"""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from msgspec import Struct, field

_MOST_BYTES: Final = 64 * 1024 * 1024
_GZIP: Final = b"\x1f\x8b"


def encode(value: object) -> bytes:
    """JSON as Tryton reads it. Raises `TypeError` for what it has no form for."""
    return json.dumps(value, default=_encode_special, separators=(",", ":"), allow_nan=False).encode()


def _encode_special(value: object) -> object:
    match value:
        case Decimal():
            return {"__class__": "Decimal", "decimal": format(value, "f")}
        case datetime():
            names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            return {"__class__": "datetime", **{name: getattr(value, name) for name in names}}
        case date():
            return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
        case timedelta():
            return {"__class__": "timedelta", "seconds": value.total_seconds()}
    raise TypeError(f"Tryton has no form for {type(value).__name__}")


def decode(body: bytes) -> Any:
    """The value in `body`, numbers with a fraction as exact `Decimal`. Raises `ValueError` when it is not JSON."""
    try:
        return json.loads(_plain(body), parse_float=Decimal, parse_constant=_refuse, object_hook=_decode_special)
    except (RecursionError, KeyError, ArithmeticError, TypeError) as error:
        raise ValueError(f"not Tryton's JSON ({type(error).__name__})") from None


def _plain(body: bytes) -> bytes:
    if not body.startswith(_GZIP):
        return body
    try:
        reader = zlib.decompressobj(wbits=31)
        plain = reader.decompress(body, _MOST_BYTES)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise ValueError("broken gzip") from error
    if reader.unconsumed_tail:
        raise ValueError("more than 64 MiB")
    return plain


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not a number")


def _decode_special(found: dict[str, Any]) -> Any:
    match found.get("__class__"):
        case "Decimal":
            return Decimal(found["decimal"])
        case "date":
            return date(found["year"], found["month"], found["day"])
        case "datetime":
            return datetime(  # noqa: DTZ001 - Tryton's instants are naive
                found["year"], found["month"], found["day"],
                found["hour"], found["minute"], found["second"], found["microsecond"],
            )  # fmt: skip
        case "time":
            return time(found["hour"], found["minute"], found["second"], found["microsecond"])
        case "timedelta":
            return timedelta(seconds=float(found["seconds"]))
    return found


# --- rows: each names the fields to ask for; a name that ends in a dot is a record nested by `search_read` ----------

Flag = bool | int | None
"""Tryton's booleans: SQLite gives 0 and 1, an unset one is null."""

_Row = TypeVar("_Row", bound=Struct)


def rows(found: list[dict[str, Any]], kind: type[_Row]) -> list[_Row]:
    """`found` as `kind`. Raises `ValueError` when Tryton's answer lacks what its model promises."""
    try:
        return msgspec.convert(found, list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


class Code(Struct):
    """Any record with a code."""

    id: int
    code: str | None


class Named(Struct):
    """Any record by its name."""

    id: int
    rec_name: str


class Symbol(Struct):
    """A unit by its symbol."""

    id: int
    symbol: str


class Unit(Struct):
    """``product.uom``: `factor` reference units are one of it; `rate` of it are one reference unit."""

    id: int
    symbol: str
    factor: Decimal
    rate: Decimal


_UNIT_FIELDS: Final = ("symbol", "factor", "rate")


class Category(Struct):
    """``product.category`` used for accounting."""

    id: int
    customer_taxes: list[int] = []


class Product(Struct):
    """``product.product``; `list_price_used` is per `default_uom`."""

    MODEL: ClassVar = "product.product"
    FIELDS: ClassVar = (
        "code", "name", "salable", "list_price_used", "account_category.customer_taxes",
        *(f"{unit}.{name}" for unit in ("default_uom", "sale_uom", "purchase_uom") for name in _UNIT_FIELDS),
    )  # fmt: skip

    id: int
    code: str | None
    name: str
    default_uom: Unit = field(name="default_uom.")
    sale_uom: Unit | None = field(name="sale_uom.", default=None)
    purchase_uom: Unit | None = field(name="purchase_uom.", default=None)
    account_category: Category | None = field(name="account_category.", default=None)
    salable: Flag = None
    list_price_used: Decimal | None = None


class Stock(Struct):
    """``product.product`` with the ``quantity`` that Tryton computes for the locations in the context."""

    MODEL: ClassVar = "product.product"
    FIELDS: ClassVar = ("code", "quantity", *(f"default_uom.{name}" for name in _UNIT_FIELDS))

    id: int
    code: str | None
    quantity: Decimal
    default_uom: Unit = field(name="default_uom.")


class Warehouse(Struct):
    """``stock.location`` of type warehouse, with the ids of its zones."""

    MODEL: ClassVar = "stock.location"
    FIELDS: ClassVar = ("code", "input_location", "storage_location", "output_location")

    id: int
    code: str | None
    input_location: int
    storage_location: int
    output_location: int


class Address(Struct):
    """``party.address``."""

    id: int
    party_name: str | None
    street: str | None
    city: str | None
    postal_code: str | None
    country: Code | None = field(name="country.", default=None)
    invoice: Flag = None


class Party(Struct):
    """``party.party`` as a customer of the company in the context."""

    MODEL: ClassVar = "party.party"
    FIELDS: ClassVar = (
        "code", "name", "customer_payment_term.rec_name", "credit_limit_amount", "credit_amount", "currency.code",
        "categories.rec_name",
        *(f"addresses.{name}" for name in ("party_name", "street", "city", "postal_code", "country.code", "invoice")),
    )  # fmt: skip

    id: int
    code: str
    name: str
    currency: Code | None = field(name="currency.", default=None)
    payment_term: Named | None = field(name="customer_payment_term.", default=None)
    categories: list[Named] = field(name="categories.", default_factory=list)
    addresses: list[Address] = field(name="addresses.", default_factory=list)
    credit_limit_amount: Decimal | None = None
    credit_amount: Decimal | None = None


class PartyAddress(Struct):
    """``party.address`` with what it is used for: `invoice` of module account_invoice, `delivery` of module stock."""

    id: int
    party_name: str | None
    street: str | None
    city: str | None
    postal_code: str | None
    country: Code | None = field(name="country.", default=None)
    active: Flag = None
    invoice: Flag = None
    delivery: Flag = None


class Listed(Struct):
    """``party.party`` as a list of customers needs it, archived ones included."""

    MODEL: ClassVar = "party.party"
    FIELDS: ClassVar = (
        "code", "name", "active", "customer_payment_term.rec_name", "credit_limit_amount", "currency.code",
        "categories.rec_name", "tax_identifier.code",
        *(
            f"addresses.{name}"
            for name in ("party_name", "street", "city", "postal_code", "country.code", "active", "invoice", "delivery")
        ),
    )  # fmt: skip

    id: int
    code: str | None
    name: str | None
    active: Flag = None
    currency: Code | None = field(name="currency.", default=None)
    payment_term: Named | None = field(name="customer_payment_term.", default=None)
    tax_identifier: Code | None = field(name="tax_identifier.", default=None)
    categories: list[Named] = field(name="categories.", default_factory=list)
    addresses: list[PartyAddress] = field(name="addresses.", default_factory=list)
    credit_limit_amount: Decimal | None = None


class SaleLine(Struct):
    """``sale.line``; `sequence` holds our line number."""

    id: int
    sequence: int | None
    quantity: Decimal | None
    unit_price: Decimal | None
    product: Code | None = field(name="product.", default=None)


class Sale(Struct):
    """``sale.sale``; `reference` holds our order id."""

    MODEL: ClassVar = "sale.sale"
    FIELDS: ClassVar = (
        "number", "reference", "state", "shipment_state", "warehouse.code", "shipments",
        "lines.sequence", "lines.quantity", "lines.unit_price", "lines.product.code",
    )  # fmt: skip

    id: int
    number: str | None
    reference: str | None
    state: str
    shipment_state: str
    shipments: list[int]
    lines: list[SaleLine] = field(name="lines.")
    warehouse: Code | None = field(name="warehouse.", default=None)


class PurchaseLine(Struct):
    """``purchase.line``; one without a product is a comment, a title or a fee."""

    id: int
    quantity: Decimal | None
    unit_price: Decimal | None
    delivery_date: date | None
    description: str | None
    unit: Symbol | None = field(name="unit.", default=None)
    product: Code | None = field(name="product.", default=None)
    product_supplier: Code | None = field(name="product_supplier.", default=None)


class Changed(Struct):
    """What every row that is read by when it changed has."""

    MODEL: ClassVar[str]
    FIELDS: ClassVar[tuple[str, ...]]

    id: int
    write_date: datetime


class Purchase(Changed):
    """``purchase.purchase``; `write_date` is that of its last change of state."""

    MODEL: ClassVar = "purchase.purchase"
    FIELDS: ClassVar = (
        "number", "state", "write_date", "purchase_date", "party.code", "currency.code", "warehouse.code",
        "lines.quantity", "lines.unit_price", "lines.delivery_date", "lines.description", "lines.unit.symbol",
        "lines.product.code", "lines.product_supplier.code",
    )  # fmt: skip

    number: str | None
    state: str
    purchase_date: date | None
    lines: list[PurchaseLine] = field(name="lines.")
    party: Code = field(name="party.")
    currency: Code = field(name="currency.")
    warehouse: Code | None = field(name="warehouse.", default=None)


class Number(Struct):
    """A record's number."""

    id: int
    number: str | None


class SupplierBill(Changed):
    """``account.invoice`` of a supplier; `reference` is the supplier's own number, `purchases` what its lines bill."""

    MODEL: ClassVar = "account.invoice"
    FIELDS: ClassVar = ("reference", "state", "write_date", "untaxed_amount", "currency.code", "purchases.number")

    reference: str | None
    state: str
    untaxed_amount: Decimal | None
    currency: Code = field(name="currency.")
    purchases: list[Number] = field(name="purchases.")


class Bought(Struct):
    """``purchase.purchase`` as receipts and invoices are booked under it."""

    MODEL: ClassVar = "purchase.purchase"
    FIELDS: ClassVar = ("number", "state", "party", "warehouse.code", "invoices")

    id: int
    number: str | None
    state: str
    party: int
    invoices: list[int]
    warehouse: Code | None = field(name="warehouse.", default=None)


class Incoming(Struct):
    """``stock.move`` from a supplier; `origin` is ``purchase.line,id``, and `quantity` in the line's unit."""

    MODEL: ClassVar = "stock.move"
    FIELDS: ClassVar = (
        "quantity", "state", "origin", "shipment", "company", "currency", "unit_price", "from_location", "to_location",
        "product.code", "unit.symbol",
    )  # fmt: skip

    id: int
    quantity: Decimal
    state: str
    origin: str | None
    shipment: str | None
    company: int
    currency: int | None
    unit_price: Decimal | None
    from_location: int
    to_location: int
    product: Code = field(name="product.")
    unit: Symbol = field(name="unit.")


class Reception(Struct):
    """``stock.shipment.in``; `reference` holds our id of the receipt."""

    MODEL: ClassVar = "stock.shipment.in"
    FIELDS: ClassVar = (
        "number", "state", "_timestamp", "incoming_moves.quantity", "incoming_moves.state", "incoming_moves.origin",
    )  # fmt: skip

    id: int
    number: str | None
    state: str
    moves: list[Arrival] = field(name="incoming_moves.")
    timestamp: str | None = field(name="_timestamp", default=None)


class Arrival(Struct):
    """A move of a reception."""

    id: int
    quantity: Decimal
    state: str
    origin: str | None


class Move(Struct):
    """``stock.move`` of a shipment; `origin` is ``model,id``; `internal_quantity` is in the product's default unit."""

    id: int
    quantity: Decimal
    internal_quantity: Decimal
    state: str
    origin: str | None
    product: Code = field(name="product.")


_MOVE_FIELDS: Final = ("quantity", "internal_quantity", "state", "origin", "product.code")


class Shipment(Struct):
    """``stock.shipment.out``; `reference` holds our posting id; `timestamp` guards a change against others' changes."""

    MODEL: ClassVar = "stock.shipment.out"
    FIELDS: ClassVar = (
        "number", "reference", "state", "warehouse.code", "_timestamp",
        *(f"{moves}.{name}" for moves in ("outgoing_moves", "inventory_moves") for name in _MOVE_FIELDS),
    )  # fmt: skip

    id: int
    number: str | None
    reference: str | None
    state: str
    warehouse: Code = field(name="warehouse.")
    outgoing: list[Move] = field(name="outgoing_moves.")
    inventory: list[Move] = field(name="inventory_moves.")
    timestamp: str | None = field(name="_timestamp", default=None)


class Billed(Struct):
    """``sale.line`` as an invoice line names it."""

    id: int
    sequence: int | None
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    product: Code | None = field(name="product.", default=None)


class BilledSale(Struct):
    """``sale.sale`` with its invoices and what came back for it; `origin` is ``sale.sale,id`` of what it gives back."""

    MODEL: ClassVar = "sale.sale"
    FIELDS: ClassVar = (
        "number", "reference", "state", "origin", "shipments", "shipment_returns", "invoices",
        *(f"lines.{name}" for name in ("sequence", "quantity", "unit_price", "product.code")),
    )  # fmt: skip

    id: int
    number: str | None
    reference: str | None
    state: str
    origin: str | None
    shipments: list[int]
    shipment_returns: list[int]
    invoices: list[int]
    lines: list[Billed] = field(name="lines.")


class InvoiceLine(Struct):
    """``account.invoice.line``; `origin` is ``model,id``, `stock_moves` of module account_invoice_stock."""

    id: int
    type: str
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Decimal | None
    origin: str | None
    stock_moves: list[int]
    product: Code | None = field(name="product.", default=None)


class Invoice(Struct):
    """``account.invoice`` to a customer: a credit note is one whose amounts are below zero."""

    MODEL: ClassVar = "account.invoice"
    FIELDS: ClassVar = (
        "number", "state", "invoice_date", "untaxed_amount", "tax_amount", "total_amount", "currency.code",
        "_timestamp",
        *(
            f"lines.{name}"
            for name in ("type", "quantity", "unit_price", "amount", "origin", "stock_moves", "product.code")
        ),
    )  # fmt: skip

    id: int
    number: str | None
    state: str
    invoice_date: date | None
    untaxed_amount: Decimal | None
    tax_amount: Decimal | None
    total_amount: Decimal | None
    currency: Code = field(name="currency.")
    lines: list[InvoiceLine] = field(name="lines.")
    timestamp: str | None = field(name="_timestamp", default=None)


class Returned(Struct):
    """``stock.shipment.out.return``."""

    MODEL: ClassVar = "stock.shipment.out.return"
    FIELDS: ClassVar = ("number", "state", "_timestamp")

    id: int
    number: str | None
    state: str
    timestamp: str | None = field(name="_timestamp", default=None)


class Losses(Struct):
    """``stock.location`` of type warehouse, with where what it lacks and what it finds is booked."""

    MODEL: ClassVar = "stock.location"
    FIELDS: ClassVar = ("lost_found_location",)

    id: int
    lost_found_location: int | None = None


class Place(Struct):
    """``stock.location`` by its type."""

    id: int
    type: str


class Moved(Struct):
    """``stock.move``, in the product's default unit."""

    id: int
    internal_quantity: Decimal
    state: str


class Correction(Struct):
    """``stock.shipment.internal``; `reference` holds our posting id; `timestamp` guards it against others' changes."""

    MODEL: ClassVar = "stock.shipment.internal"
    FIELDS: ClassVar = (
        "number", "state", "from_location.type", "_timestamp",
        *(f"moves.{name}" for name in ("internal_quantity", "state")),
    )  # fmt: skip

    id: int
    number: str | None
    state: str
    from_location: Place = field(name="from_location.")
    moves: list[Moved] = field(name="moves.")
    timestamp: str | None = field(name="_timestamp", default=None)


class SaleReference(Struct):
    """The sale a move belongs to."""

    id: int
    number: str | None
    reference: str | None


class Unitful(Struct):
    """A product with its default unit."""

    id: int
    code: str | None
    default_uom: Unit = field(name="default_uom.")


class Demand(Struct):
    """``stock.move`` towards a customer that has not left its storage."""

    MODEL: ClassVar = "stock.move"
    FIELDS: ClassVar = (
        "internal_quantity", "from_location", "planned_date", "sale.number", "sale.reference", "product.code",
        *(f"product.default_uom.{name}" for name in _UNIT_FIELDS),
    )  # fmt: skip

    id: int
    internal_quantity: Decimal
    from_location: int
    planned_date: date | None
    product: Unitful = field(name="product.")
    sale: SaleReference | None = field(name="sale.", default=None)
