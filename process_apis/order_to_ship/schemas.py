"""The wire shapes of the process API of orders, and their mapping. Amounts are exact decimals, as strings."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from gateway.canonical.order import FillPolicy
from gateway.canonical.party import Address
from gateway.kernel.context import Caller
from gateway.kernel.quantity import plain
from gateway.pacing.places import Waiting
from process_apis.order_to_ship.models import (
    AskedLine,
    Freight,
    Invoice,
    Order,
    OrderException,
    OrderSummary,
    PlaceOrder,
    Progress,
    Rework,
)
from process_apis.order_to_ship.releases import split_target

Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,13}(\.[0-9]{1,9})?$(?!\n)", examples=["12", "0.5"])]
Figure = Annotated[str, Meta(pattern=r"^-?[0-9]{1,40}(\.[0-9]{1,40})?$(?!\n)", examples=["12", "0.5"])]
Text = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)", examples=["A-1"])]
Release = Annotated[str, Meta(max_length=40, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)", examples=[""])]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", examples=["USD"])]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)", examples=["US"])]


class AddressBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A postal address; `country` is ISO 3166-1 alpha-2."""

    name: Text
    street: Text
    city: Text
    postal_code: Text
    country: Country


class LineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """An item by `sku` or by `item`, in any unit it is traded in; without `uom` in its base unit."""

    amount: Amount
    sku: Text | None = None
    item: Text | None = None
    uom: Text | None = None


class OrderInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """An order. Channel, `sold_to`, `external_number` and `release` identify it.

    `fill` says how lines leave where some wait for supply: together, each when all of it is there, or what is there and
    the rest later; ``fill_or_kill`` never waits, unless its channel cannot refuse. Without it the channel's holds.
    """

    channel: Text
    sold_to: Text
    external_number: Text
    currency: Currency
    ship_to: AddressBody
    lines: Annotated[list[LineInput], Meta(min_length=1, max_length=1000)]
    release: Release = ""
    partner: Text | None = None
    requested_date: date | None = None
    fill: FillPolicy | None = None


class ReasonInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why, for the audit trail."""

    reason: Text


class MoneyView(Struct, kw_only=True):
    """An exact amount in one currency (ISO 4217)."""

    amount: Figure
    currency: Currency


class LineView(Struct, kw_only=True):
    """A line and its counters in base units: ordered = open + backordered + shipped + cancelled.

    `expected_date` is when supply that is known covers what is backordered, null where none does; where nothing is,
    when the line arrives, if that is after the order's `requested_date`.
    """

    line: int
    item: str
    sku: str
    uom: str
    ordered: Figure
    open: Figure
    backordered: Figure
    shipped: Figure
    cancelled: Figure
    unit_price: MoneyView
    expected_date: date | None


class WaitingView(Struct, kw_only=True):
    """Where an order waits for a system that bears only so much: 1 is the next.

    `expected_at` is when it is expected to be called, by how fast others leave; null while nobody has left lately.
    """

    system: str
    place: int
    expected_at: datetime | None


class MilestoneView(Struct, kw_only=True):
    """How far one parcel is, as its carrier told."""

    kind: str
    tracking: str
    occurred_at: datetime
    place: str | None


class FreightView(Struct, kw_only=True):
    """How the goods of one location travel, of a later release apart. With a `number` the carrier has taken them on."""

    location: str
    release: int
    carrier: str | None
    service: str | None
    price: MoneyView | None
    arrives_on: date | None
    number: str | None
    tracking: list[str]
    tracking_url: str | None
    label_url: str | None
    milestones: list[MilestoneView]


class InvoicedLineView(Struct, kw_only=True):
    """What is billed of a line, in base units; `tax` is null where the ERP says it of the whole invoice only."""

    line: int
    amount: Figure
    unit_price: MoneyView
    net: MoneyView
    tax: MoneyView | None


class InvoiceView(Struct, kw_only=True):
    """The invoice that bills one shipment; its sums are of the whole, which may bill others as well."""

    shipment: str
    system: str
    number: str
    issued_on: date | None
    net: MoneyView
    tax: MoneyView
    total: MoneyView
    lines: list[InvoicedLineView]


class OrderView(Struct, kw_only=True):
    """An order as internal applications see it. `waiting` is null where it waits for no paced system.

    `invoices` are those of ERPs that are asked to bill.
    """

    id: str
    external_number: str
    release: str
    channel: str
    partner: str | None
    sold_to: str
    state: str
    hold_reason: str | None
    total: MoneyView
    placed_at: datetime
    requested_date: date | None
    fill: str
    ship_to: AddressBody
    lines: list[LineView]
    freight: list[FreightView]
    invoices: list[InvoiceView]
    version: int
    waiting: WaitingView | None


class SummaryView(Struct, kw_only=True):
    """An order in a list."""

    id: str
    external_number: str
    channel: str
    partner: str | None
    sold_to: str
    state: str
    total: MoneyView
    placed_at: datetime
    version: int


class OrderPage(Struct, kw_only=True):
    """A page of orders, newest first."""

    items: list[SummaryView]
    next_cursor: str | None


class TaskView(Struct, kw_only=True):
    """Something asked of a system. `next_attempt_at` is set while it is waited for."""

    kind: str
    target: str
    system: str
    state: str
    attempts: int
    number: str | None
    next_attempt_at: datetime | None


class ExceptionView(Struct, kw_only=True, rename={"class_": "class"}):
    """Something that needs a person, or their eyes. A blocking one stops the order until it is retried."""

    id: str
    order: str
    class_: str
    fault_domain: str
    code: str
    detail: str
    blocking: bool
    state: str
    seen: int
    raised_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None


class ExceptionPage(Struct, kw_only=True):
    """A page of exceptions, newest first."""

    items: list[ExceptionView]
    next_cursor: str | None


class ReworkView(Struct, kw_only=True):
    """What a person asked of the order, which is done once the systems have given back what they have of it."""

    action: str
    verb: str
    asked_by: str
    reason: str


class MonitorView(Struct, kw_only=True):
    """Where an order is, what it waits for, and what is wrong.

    `degraded` names systems that it went on without, or that failed and are told later.
    """

    id: str
    state: str
    final: bool
    cancelling: bool
    due_at: datetime | None
    rework: ReworkView | None
    degraded: list[str]
    tasks: list[TaskView]
    exceptions: list[ExceptionView]
    waiting: WaitingView | None


def place_order(data: OrderInput, caller: Caller) -> PlaceOrder:
    """The command behind an order input."""
    address = data.ship_to
    return PlaceOrder(
        caller=caller,
        channel=data.channel,
        partner=data.partner,
        sold_to=data.sold_to,
        external_number=data.external_number,
        release=data.release,
        currency=data.currency,
        requested_date=data.requested_date,
        fill=data.fill,
        ship_to=Address(
            name=address.name,
            street=address.street,
            city=address.city,
            postal_code=address.postal_code,
            country=address.country,
        ),
        lines=tuple(
            AskedLine(amount=Decimal(line.amount), uom=line.uom, sku=line.sku, item=line.item) for line in data.lines
        ),
    )


def order_view(order: Order) -> OrderView:
    """The order in full."""
    address = order.ship_to
    return OrderView(
        id=order.order_id,
        external_number=order.external_number,
        release=order.release,
        channel=order.channel,
        partner=order.partner,
        sold_to=order.sold_to,
        state=order.state,
        hold_reason=order.hold_reason,
        total=_money(order.total, order.currency),
        placed_at=order.placed_at,
        requested_date=order.requested_date,
        fill=order.fill,
        ship_to=AddressBody(
            name=address.name,
            street=address.street,
            city=address.city,
            postal_code=address.postal_code,
            country=address.country,
        ),
        lines=[
            LineView(
                line=line.line,
                item=line.item,
                sku=line.sku,
                uom=line.uom,
                ordered=plain(line.ordered),
                open=plain(line.open),
                backordered=plain(line.backordered),
                shipped=plain(line.shipped),
                cancelled=plain(line.cancelled),
                unit_price=_money(line.unit_price, order.currency),
                expected_date=line.expected,
            )
            for line in order.lines
        ],
        freight=[freight_view(freight) for freight in order.freight],
        invoices=[invoice_view(invoice) for invoice in order.invoices],
        version=order.version,
        waiting=_waiting(order.waiting),
    )


def freight_view(freight: Freight) -> FreightView:
    """How goods travel."""
    location, release = split_target(freight.target)
    return FreightView(
        location=location,
        release=release,
        carrier=freight.carrier,
        service=freight.service,
        price=None if freight.price is None else _money(freight.price.amount, freight.price.currency),
        arrives_on=freight.arrives_on,
        number=freight.number,
        tracking=list(freight.tracking),
        tracking_url=freight.tracking_url,
        label_url=freight.label_url,
        milestones=[
            MilestoneView(kind=each.kind, tracking=each.tracking, occurred_at=each.occurred_at, place=each.place)
            for each in freight.milestones
        ],
    )


def invoice_view(invoice: Invoice) -> InvoiceView:
    """What was billed of one shipment."""
    currency = invoice.currency
    return InvoiceView(
        shipment=invoice.shipment,
        system=invoice.system,
        number=invoice.number,
        issued_on=invoice.issued_on,
        net=_money(invoice.net, currency),
        tax=_money(invoice.tax, currency),
        total=_money(invoice.total, currency),
        lines=[
            InvoicedLineView(
                line=each.line,
                amount=plain(each.amount),
                unit_price=_money(each.unit_price, currency),
                net=_money(each.net, currency),
                tax=None if each.tax is None else _money(each.tax, currency),
            )
            for each in invoice.lines
        ],
    )


def summary_view(order: OrderSummary) -> SummaryView:
    """The order in a list."""
    return SummaryView(
        id=order.order_id,
        external_number=order.external_number,
        channel=order.channel,
        partner=order.partner,
        sold_to=order.sold_to,
        state=order.state,
        total=_money(order.total.amount, order.total.currency),
        placed_at=order.placed_at,
        version=order.version,
    )


def monitor_view(progress: Progress) -> MonitorView:
    """Where the order is."""
    return MonitorView(
        id=progress.order_id,
        state=progress.state,
        final=progress.final,
        cancelling=progress.cancelling,
        due_at=progress.due_at,
        rework=_rework_view(progress.rework),
        degraded=list(progress.degraded),
        tasks=[
            TaskView(
                kind=task.kind,
                target=task.target,
                system=task.system,
                state=task.state,
                attempts=task.attempts,
                number=task.number,
                next_attempt_at=task.not_before,
            )
            for task in progress.tasks
        ],
        exceptions=[exception_view(found) for found in progress.exceptions],
        waiting=_waiting(progress.waiting),
    )


def _rework_view(rework: Rework | None) -> ReworkView | None:
    if rework is None:
        return None
    return ReworkView(action=rework.action, verb=rework.verb, asked_by=rework.actor, reason=rework.reason)


def exception_view(found: OrderException) -> ExceptionView:
    """One entry of the exceptions."""
    return ExceptionView(
        id=found.exception_id,
        order=found.order_id,
        class_=found.exception,
        fault_domain=found.fault_domain,
        code=found.code,
        detail=found.detail,
        blocking=found.blocking,
        state=found.state,
        seen=found.seen,
        raised_at=found.raised_at,
        last_seen_at=found.last_seen_at,
        resolved_at=found.resolved_at,
        resolved_by=found.resolved_by,
        resolution=found.resolution,
    )


def _waiting(found: Waiting | None) -> WaitingView | None:
    return None if found is None else WaitingView(system=found.system, place=found.place, expected_at=found.expected_at)


def _money(amount: Decimal, currency: str) -> MoneyView:
    return MoneyView(amount=plain(amount), currency=currency)
