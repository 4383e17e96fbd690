"""Canonical objects to the storefront's shapes and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from experience_apis.storefront.v2 import schemas
from gateway.canonical.events import Recorded
from gateway.canonical.item import Item
from gateway.canonical.order import OrderState
from gateway.canonical.party import Address
from gateway.canonical.stock import ItemAvailability
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, NotAllowed, NotFound, Problem
from gateway.kernel.money import Money
from gateway.kernel.quantity import plain
from process_apis.order_to_ship.freight_rules import freight_of
from process_apis.order_to_ship.models import AskedLine, Freight, Order, OrderLine, OrderSummary, PlaceOrder, Verb
from process_apis.order_to_ship.releases import target_of
from process_apis.partner_notifications.following import Wanted
from process_apis.partner_notifications.rules import (
    AVAILABILITY_CHANGED,
    INVOICE_ISSUED,
    ORDER_UPDATED,
    RETURN_UPDATED,
)

MESSAGE_TYPES: Final = (ORDER_UPDATED, INVOICE_ISSUED, AVAILABILITY_CHANGED)
_RETURNS_READ: Final = "returns:read"
_OUR_MEMBERS: Final = {"amount": "quantity/amount", "uom": "quantity/unit"}
_SETTLED: Final = frozenset({OrderState.COMPLETED, OrderState.CANCELLED, OrderState.REJECTED})


def item_view(item: Item) -> schemas.ItemView:
    """An article as partners see it."""
    return schemas.ItemView(
        id=item.item,
        sku=item.sku,
        name=item.name,
        unit=item.base_uom,
        packs=[schemas.PackView(unit=pack.uom, holds=quantity(pack.factor, item.base_uom)) for pack in item.packs],
        list_price=None if item.list_price is None else money_view(item.list_price),
    )


def availability_view(item: Item, figure: ItemAvailability) -> schemas.AvailabilityView:
    """A figure in base units; never below zero, since nobody can sell less than nothing."""
    whole = max(figure.available_to_sell, Decimal(0))
    places = [(place.location, min(place.available_to_sell, whole)) for place in figure.locations]
    return schemas.AvailabilityView(
        item=schemas.ItemRef(id=item.item, sku=item.sku),
        available_to_sell=quantity(whole, item.base_uom),
        locations=[
            schemas.LocationView(location=location, available_to_sell=quantity(amount, item.base_uom))
            for location, amount in places
            if amount > 0
        ],
        freshness=schemas.FreshnessView(as_of=instant(figure.as_of), confidence=figure.confidence.value),
        version=figure.version,
    )


def wanted(caller: Caller, types: Sequence[str] | None, skus: Sequence[str], found: Mapping[str, Item]) -> Wanted:
    """What a stream tells; raises `NotFound` for an article that there is not.

    Of returns only those are told who may read them: `NotAllowed` for whoever asks for them and may not.
    """
    reads_returns = _RETURNS_READ in caller.principal.scopes
    if types is not None and RETURN_UPDATED in types and not reads_returns:
        raise NotAllowed(
            f"{RETURN_UPDATED} needs the scope {_RETURNS_READ}: ask the operator for it", code="authorise.scope"
        )
    told = (*MESSAGE_TYPES, RETURN_UPDATED) if reads_returns else MESSAGE_TYPES
    if missing := [sku for sku in skus if sku not in found]:
        raise NotFound(f"no article has the number {missing[0]}: list the items to find it", code="item.not_found")
    return Wanted(
        tenant=caller.tenant,
        partner=caller.principal.partner or "",
        messages=frozenset(types or told),
        items=frozenset(item.item for item in found.values()) if skus else None,
    )


def quantity(amount: Decimal, unit: str) -> schemas.QuantityView:
    """An exact quantity."""
    return schemas.QuantityView(amount=plain(amount), unit=unit)


def money_view(money: Money) -> schemas.MoneyView:
    """An exact amount with at least two decimals, as people write money."""
    amount = plain(money.amount)
    whole, _, decimals = amount.partition(".")
    return schemas.MoneyView(amount=f"{whole}.{decimals.ljust(2, '0')}", currency=money.currency)


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.isoformat().replace("+00:00", "Z")


def currency_of(caller: Caller, currencies: Mapping[str, str]) -> str:
    """The currency the caller's channel sells in; `NotAllowed` where the channel is not configured."""
    channel = caller.principal.channel or ""
    if channel not in currencies:
        raise NotAllowed(
            f"your channel {channel!r} is not open for orders: ask the operator to configure it", code="channel.unknown"
        )
    return currencies[channel]


def place_order(data: schemas.OrderInput, caller: Caller, *, account: str, currency: str) -> PlaceOrder:
    """The command behind an order input; the partner and its channel come from the credential, never the body."""
    return PlaceOrder(
        caller=caller,
        channel=caller.principal.channel or "",
        partner=caller.principal.partner,
        sold_to=account,
        external_number=data.external_number,
        currency=currency,
        ship_to=address(data.delivery.ship_to),
        lines=tuple(
            AskedLine(
                amount=Decimal(line.quantity.amount),
                uom=line.quantity.unit,
                sku=line.sku,
                stated_price=_stated(line.stated_price, currency),
            )
            for line in data.lines
        ),
        requested_date=data.delivery.requested_date,
        fill=data.delivery.fill,
    )


def _stated(price: schemas.PriceInput | None, currency: str) -> Money | None:
    return None if price is None else Money(Decimal(price.amount), price.currency or currency)


def address(ship_to: schemas.AddressInput) -> Address:
    """Where goods go."""
    return Address(
        name=ship_to.name,
        street=ship_to.street,
        city=ship_to.city,
        postal_code=ship_to.postal_code,
        country=ship_to.country,
    )


def refusal(refused: Conflict) -> Conflict:
    """`refused` with its pointers into the body that the partner sent."""
    problems = [Problem(problem.detail, pointer=_pointer(problem.pointer or "")) for problem in refused.problems]
    return Conflict(refused.detail, problems=problems, code=refused.code, context=refused.context)


def _pointer(pointer: str) -> str:
    parent, _, member = pointer.rpartition("/")
    return f"{parent}/{_OUR_MEMBERS.get(member, member)}"


def order_view(order: Order) -> schemas.OrderView:
    """An order as its partner sees it."""
    lines = {line.line: line for line in order.lines}
    return schemas.OrderView(
        id=order.order_id,
        external_number=order.external_number,
        account=order.sold_to,
        status=status_view(order),
        placed_at=instant(order.placed_at),
        delivery=_delivery_view(order),
        total=money_view(Money(order.total, order.currency)),
        lines=[_line_view(line, order.currency) for line in order.lines],
        shipments=[
            schemas.ShipmentView(
                id=shipment.shipment_id,
                location=shipment.location,
                tracking=_tracking_view(freight_of(order, target_of(shipment.location, shipment.release))),
                lines=[_shipped_view(lines[part.line], part.amount) for part in shipment.lines if part.line in lines],
            )
            for shipment in order.shipments
        ],
        version=order.version,
    )


def _tracking_view(freight: Freight) -> schemas.TrackingView | None:
    if freight.number is None or freight.service is None:
        return None
    last = freight.milestones[-1] if freight.milestones else None
    return schemas.TrackingView(
        service=freight.service,
        numbers=list(freight.tracking),
        url=freight.tracking_url,
        arrives_on=freight.arrives_on,
        milestone=None if last is None else last.kind.value,
        reached_at=None if last is None else instant(last.occurred_at),
    )


def status_view(order: Order) -> schemas.StatusView:
    """Where an order stands."""
    settled = order.state in _SETTLED
    asked = order.cancel_requested_at is not None and order.cancel_refused_at is None
    return schemas.StatusView(
        state=order.state.value,
        settled=settled,
        cancelling=asked and not settled,
        changing=order.rework is not None and order.rework.verb is Verb.AMEND,
    )


def _delivery_view(order: Order) -> schemas.DeliveryView:
    to = order.ship_to
    return schemas.DeliveryView(
        ship_to=schemas.AddressView(
            name=to.name, street=to.street, city=to.city, postal_code=to.postal_code, country=to.country
        ),
        requested_date=order.requested_date,
        fill=order.fill,
    )


def _line_view(line: OrderLine, currency: str) -> schemas.OrderLineView:
    return schemas.OrderLineView(
        line=line.line,
        item=schemas.ItemRef(id=line.item, sku=line.sku),
        quantity=quantity(line.asked_amount, line.asked_uom),
        counters=schemas.CountersView(
            unit=line.uom,
            ordered=plain(line.ordered),
            open=plain(line.open),
            backordered=plain(line.backordered),
            shipped=plain(line.shipped),
            cancelled=plain(line.cancelled),
            returned=plain(line.returned),
            credited=plain(line.credited),
        ),
        unit_price=money_view(Money(line.unit_price, currency)),
        stated_price=None if line.stated_price is None else money_view(Money(line.stated_price, currency)),
        expected_date=line.expected,
    )


def _shipped_view(line: OrderLine, amount: Decimal) -> schemas.ShippedLineView:
    return schemas.ShippedLineView(
        line=line.line, item=schemas.ItemRef(id=line.item, sku=line.sku), quantity=quantity(amount, line.uom)
    )


def order_summary(order: OrderSummary) -> schemas.OrderSummary:
    """An order in a list."""
    return schemas.OrderSummary(
        id=order.order_id,
        external_number=order.external_number,
        account=order.sold_to,
        state=order.state.value,
        placed_at=instant(order.placed_at),
        total=money_view(order.total),
    )


def order_monitor(order: Order, events: Sequence[Recorded]) -> schemas.OrderMonitor:
    """How far an order is, from its events."""
    waiting = order.waiting
    expected = None if waiting is None or waiting.expected_at is None else instant(waiting.expected_at)
    return schemas.OrderMonitor(
        id=order.order_id,
        status=status_view(order),
        waiting=None if waiting is None else schemas.QueueView(place=waiting.place, expected_at=expected),
        events=[
            schemas.OrderEvent(type=recorded.event.type, occurred_at=instant(recorded.event.occurred_at))
            for recorded in events
        ],
    )


def cancellation_view(order: Order) -> schemas.CancellationView:
    """`requested` until every system that holds the order has confirmed."""
    state = "cancelled" if order.state is OrderState.CANCELLED else "requested"
    return schemas.CancellationView(order_id=order.order_id, state=state)


def cancel_reason(data: schemas.CancellationInput) -> str:
    """The reason as people read it in the audit trail."""
    return data.reason if data.note is None else f"{data.reason}: {data.note}"
