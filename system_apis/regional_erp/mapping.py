"""Between the vendor's shapes and ours. Codes stay the ERP's; an unknown unit is passed on as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from gateway.canonical.capabilities import Page
from gateway.canonical.invoice import InvoiceLine, InvoiceState, SystemInvoice
from gateway.canonical.item import ReportedItem
from gateway.canonical.order import SalesOrder, ShipmentLine, SystemOrder, SystemShipment
from gateway.canonical.party import CustomerAccount
from gateway.canonical.stock import Bucket, OrderKey, ReportedFigure, ReportedSnapshot
from gateway.kernel.errors import Rejected
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from system_apis.regional_erp import wire

_CANCELLED: Final = "CANCELLED"


def page_of(page: wire.ArticlePage, units: Mapping[str, str]) -> Page:
    """Items with their list prices."""
    return Page(tuple(_item(article, units) for article in page.articles), page.next)


def _item(article: wire.Article, units: Mapping[str, str]) -> ReportedItem:
    price = None if article.price is None or article.currency is None else Money(article.price, article.currency)
    return ReportedItem(
        source_code=article.article,
        sku=article.sku,
        name=article.name,
        base_uom=units.get(article.base_unit, article.base_unit),
        packs=tuple(UnitConversion(units.get(pack.unit, pack.unit), pack.quantity) for pack in article.packs),
        list_price=price,
        sellable=article.active,
    )


def snapshot(source: str, stock: wire.Stock, sites: tuple[str, ...], units: Mapping[str, str]) -> ReportedSnapshot:
    """What it believes to be there, as of its journal."""
    return ReportedSnapshot(
        source=source,
        event_id=f"stock-{stock.journal}-{stock.taken_at.isoformat()}",
        cut_off=OrderKey(1, stock.journal),
        taken_at=stock.taken_at,
        locations=sites,
        full=True,
        figures=tuple(
            ReportedFigure(
                source_item=line.article,
                source_location=line.site,
                bucket=Bucket.SELLABLE,
                amount=line.quantity,
                uom=units.get(line.unit, line.unit),
            )
            for line in stock.lines
        ),
    )


def customer_of(customer: wire.Customer) -> CustomerAccount:
    """Terms, credit and balance."""
    limit = customer.credit_limit
    return CustomerAccount(
        code=customer.number,
        name=customer.name,
        payment_term=customer.payment_term,
        credit_limit=None if limit is None else Money(limit, customer.currency),
        balance=Money(customer.balance, customer.currency),
        hold=customer.blocked,
    )


def new_order(order: SalesOrder, units: Mapping[str, str]) -> wire.NewOrder:
    """Our order in the vendor's shape. Raises `Rejected` (``erp.currency``) for a line in another currency."""
    codes = {ours: theirs for theirs, ours in units.items()}
    foreign = [line.line for line in order.lines if line.unit_price.currency != order.currency]
    if foreign:
        raise Rejected(
            f"lines {foreign} are not in {order.currency}: an order has one currency there", code="erp.currency"
        )
    return wire.NewOrder(
        external_reference=order.order,
        customer=order.sold_to,
        customer_order=order.external_number,
        currency=order.currency,
        ordered_at=order.placed_at.isoformat(),
        requested_date=order.requested_date,
        ship_to=wire.ShipTo(
            name=order.ship_to.name,
            street=order.ship_to.street,
            city=order.ship_to.city,
            postal_code=order.ship_to.postal_code,
            country=order.ship_to.country,
        ),
        lines=tuple(
            wire.NewLine(
                line=line.line,
                sku=line.sku,
                quantity=f"{line.amount:f}",
                unit=codes.get(line.uom, line.uom),
                price=f"{line.unit_price.amount:f}",
                site=line.location,
            )
            for line in order.lines
        ),
    )


def same_order(wanted: wire.NewOrder, made: wire.Order) -> bool:
    """Whether what stands there is what was wanted."""
    asked = [(line.line, line.sku, Decimal(line.quantity), line.unit, line.site) for line in wanted.lines]
    found = [(line.line, line.sku, line.quantity, line.unit, line.site) for line in made.lines]
    return wanted.customer == made.customer and sorted(asked, key=str) == sorted(found, key=str)


def system_order(order: wire.Order) -> SystemOrder:
    """One order, with what left and, by site, what is still to leave. It is confirmed when it is made."""
    left = [shipment(delivery) for delivery in order.deliveries]
    rest: dict[str, list[ShipmentLine]] = defaultdict(list)
    for line in order.lines:
        if order.status != _CANCELLED and line.quantity > line.delivered:
            open_ = ShipmentLine(line=line.line, item=line.article, amount=line.quantity - line.delivered)
            rest[line.site or ""].append(open_)
    planned = [
        SystemShipment(number="", state="planned", location=site, lines=tuple(lines)) for site, lines in rest.items()
    ]
    return SystemOrder(
        reference=order.external_reference,
        number=order.number,
        state=order.status.lower(),
        ready=order.status != _CANCELLED,
        cancelled=order.status == _CANCELLED,
        shipments=(*left, *planned),
    )


def shipment(delivery: wire.Delivery) -> SystemShipment:
    """What was posted once."""
    return SystemShipment(
        number=delivery.number,
        state="done",
        location=delivery.site,
        lines=tuple(ShipmentLine(line=line.line, item=line.article, amount=line.quantity) for line in delivery.lines),
    )


def invoice(found: wire.Invoice, reference: str) -> SystemInvoice:
    """What billed one delivery of the order `reference`. Invoices are posted when they are made."""
    return SystemInvoice(
        identity=found.number,
        number=found.number,
        state=InvoiceState.POSTED,
        issued_on=found.issued_on,
        currency=found.currency,
        net=found.net,
        tax=found.tax,
        total=found.total,
        lines=tuple(
            InvoiceLine(
                line=line.line,
                code=line.article,
                amount=line.quantity,
                unit_price=line.price,
                net=line.net,
                posting=found.delivery,
                tax=line.tax,
            )
            for line in found.lines
        ),
        reference=reference,
    )
