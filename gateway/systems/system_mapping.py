"""Canonical objects ⇄ the shapes of the system APIs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from gateway.canonical.capabilities import CustomerPage, Page, Report
from gateway.canonical.channel import ChannelOrderPage, ShownFigure
from gateway.canonical.order import (
    SalesLine,
    SalesOrder,
    ShipmentLine,
    SystemOrder,
    SystemShipment,
    WarehouseWork,
)
from gateway.canonical.party import Address, CustomerAccount
from gateway.canonical.stock import DemandLine, OrderKey, ReportedSnapshot
from gateway.kernel.money import Money
from gateway.kernel.quantity import plain
from gateway.systems import system_shapes as shapes


def item_page(page: Page) -> shapes.ItemPageView:
    """A page of items."""
    items = [
        shapes.ItemView(
            source_code=item.source_code,
            sku=item.sku,
            name=item.name,
            base_uom=item.base_uom,
            packs=[shapes.PackView(uom=pack.uom, factor=plain(pack.factor)) for pack in item.packs],
            list_price=money(item.list_price),
            sellable=item.sellable,
        )
        for item in page.items
    ]
    return shapes.ItemPageView(items=items, next_cursor=page.next_cursor)


def stock(snapshot: ReportedSnapshot) -> shapes.StockView:
    """A snapshot."""
    figures = [
        shapes.FigureView(
            item=figure.source_item,
            location=figure.source_location,
            bucket=figure.bucket.value,
            amount=plain(figure.amount),
            uom=figure.uom,
            lot=figure.lot,
        )
        for figure in snapshot.figures
    ]
    return shapes.StockView(
        cut_off=_key(snapshot.cut_off), taken_at=_instant(snapshot.taken_at), full=snapshot.full, figures=figures
    )


def customer(account: CustomerAccount) -> shapes.CustomerView:
    """A customer."""
    return shapes.CustomerView(
        code=account.code,
        name=account.name,
        payment_term=account.payment_term,
        credit_limit=money(account.credit_limit),
        balance=money(account.balance),
        hold=account.hold,
    )


def customer_list(page: CustomerPage) -> shapes.CustomerListView:
    """A page of customers."""
    views = [
        shapes.ListedCustomerView(
            code=each.source_code,
            number=each.number,
            name=each.name,
            roles=list(each.roles),
            parent=each.parent,
            active=each.active,
            hold=each.hold,
            street=each.street,
            city=each.city,
            postal_code=each.postal_code,
            country=each.country,
            tax_id=each.tax_id,
            payment_term=each.payment_term,
            credit_limit=money(each.credit_limit),
        )
        for each in page.customers
    ]
    return shapes.CustomerListView(items=views, next_cursor=page.next_cursor)


def demand(lines: Sequence[DemandLine]) -> shapes.DemandView:
    """Open demand lines."""
    return shapes.DemandView(
        items=[
            shapes.DemandLineView(
                reference=line.source_reference,
                item=line.source_item,
                location=line.source_location,
                amount=plain(line.amount),
                uom=line.uom,
                due=line.due.isoformat() if line.due else None,
            )
            for line in lines
        ]
    )


def order(known: SystemOrder) -> shapes.OrderView:
    """An order at the system."""
    return shapes.OrderView(
        reference=known.reference,
        number=known.number,
        state=known.state,
        ready=known.ready,
        cancelled=known.cancelled,
        shipments=[shipment(entry) for entry in known.shipments],
    )


def shipment(known: SystemShipment) -> shapes.ShipmentView:
    """A shipment at the system."""
    return shapes.ShipmentView(
        number=known.number,
        state=known.state,
        location=known.location,
        lines=[
            shapes.ShippedLineView(line=line.line, item=line.item, amount=plain(line.amount)) for line in known.lines
        ],
    )


def work(known: WarehouseWork) -> shapes.WorkView:
    """Work at a warehouse."""
    return shapes.WorkView(reference=known.reference, number=known.number, state=known.state.value)


def movements(report: Report, cursor: str | None) -> shapes.MovementPageView:
    """A page of movements."""
    items = [
        shapes.MovementView(
            event_id=movement.event_id,
            line=movement.line,
            order_key=_key(movement.order_key),
            type=movement.type.value,
            occurred_at=_instant(movement.occurred_at),
            item=movement.source_item,
            location=movement.source_location,
            amount=plain(movement.amount),
            uom=movement.uom,
            order_reference=movement.order_reference,
            order_line=movement.order_line,
            lot=movement.lot,
        )
        for movement in report.movements
    ]
    return shapes.MovementPageView(items=items, next_cursor=cursor)


def sales_order(given: shapes.OrderInput, *, tenant: str) -> SalesOrder:
    """An order as an adapter takes it; the SKU stands for our item id, which systems do not know."""
    to = given.ship_to
    return SalesOrder(
        order=given.reference,
        tenant=tenant,
        sold_to=given.sold_to,
        external_number=given.external_number,
        currency=given.currency,
        placed_at=given.placed_at.astimezone(UTC),
        ship_to=Address(name=to.name, street=to.street, city=to.city, postal_code=to.postal_code, country=to.country),
        lines=tuple(
            SalesLine(
                line=line.line,
                item=line.sku,
                sku=line.sku,
                amount=Decimal(line.amount),
                uom=line.uom,
                unit_price=Money(Decimal(line.unit_price), given.currency),
                location=line.location,
            )
            for line in given.lines
        ),
        requested_date=given.requested_date,
    )


def shipped_lines(given: shapes.PostingInput) -> tuple[ShipmentLine, ...]:
    """What was shipped."""
    return tuple(ShipmentLine(line=line.line, item=line.item, amount=Decimal(line.amount)) for line in given.lines)


def money(amount: Money | None) -> shapes.MoneyView | None:
    """An amount, or none."""
    return None if amount is None else shapes.MoneyView(amount=plain(amount.amount), currency=amount.currency)


def _key(key: OrderKey) -> shapes.OrderKeyView:
    return shapes.OrderKeyView(epoch=key.epoch, sequence=key.sequence)


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def channel_figures(found: Sequence[ShownFigure]) -> shapes.ChannelFiguresView:
    """What a channel shows."""
    return shapes.ChannelFiguresView(
        figures=[
            shapes.ChannelFigureView(sku=figure.sku, quantity=figure.quantity, version=figure.version)
            for figure in found
        ]
    )


def channel_orders(page: ChannelOrderPage) -> shapes.ChannelOrderPageView:
    """A page of what happened to a channel's orders."""
    orders = [
        shapes.ChannelOrderView(
            event=order.event,
            reference=order.reference,
            kind=order.kind.value,
            at=_instant(order.at),
            lines=[
                shapes.ChannelOrderLineView(line=line.line, sku=line.sku, quantity=line.quantity)
                for line in order.lines
            ],
        )
        for order in page.orders
    ]
    return shapes.ChannelOrderPageView(orders=orders, next_cursor=page.cursor)
