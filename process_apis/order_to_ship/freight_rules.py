"""Freight, purely: what a release weighs at a location, which offer is taken, and what is due beside the order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal, localcontext
from typing import Final

from msgspec.structs import replace

from gateway.canonical.freight import Booking, Consignment, FreightOption
from gateway.kernel.quantity import Quantity
from process_apis.order_to_ship.freight_options import FreightOptions, FreightRule
from process_apis.order_to_ship.models import Freight, FreightOffer, Order, Task, TaskKind, TaskState
from process_apis.order_to_ship.releases import parts_of, place_of, reference_of, release_of, split_target, target_of

_BY: Final = "@"
_EXACT: Final = 100
_FAR: Final = date.max


def quote_target(location: str, carrier: str, release: int) -> str:
    """The target of the task that asks one carrier."""
    return target_of(f"{location}{_BY}{carrier}", release)


def goods_target(task: Task) -> str:
    """The location and release that a quote or a booking is for, as warehouse work has them for its target."""
    return target_of(location_of(task), release_of(task))


def location_of(task: Task) -> str:
    """The location that a quote or a booking is for."""
    return place_of(task).removesuffix(f"{_BY}{task.system}")


def consignment_reference(order: Order, target: str) -> str:
    """What carriers know the goods by that leave one location in one release."""
    location, release = split_target(target)
    return f"{reference_of(order, release)}/{location}"


def consignment(order: Order, target: str, options: FreightOptions, ready_on: date) -> Consignment:
    """The goods of one release at one location."""
    location, release = split_target(target)
    lines = {line.line: line for line in order.lines}
    with localcontext() as context:
        context.prec = _EXACT
        weight = sum(
            (
                amount * options.weight(lines[line].sku, lines[line].uom)
                for line, place, amount in parts_of(order, release)
                if place == location
            ),
            Decimal(0),
        )
    return Consignment(
        reference=consignment_reference(order, target),
        ship_from=location,
        ship_to=order.ship_to,
        weight=Quantity(weight, "KGM"),
        ready_on=ready_on,
    )


def choose(
    rule: FreightRule,
    offers: Iterable[FreightOffer],
    *,
    partner: str | None,
    currency: str,
    need_by: date | None,
) -> FreightOffer | None:
    """The offer that the rule takes; None where nothing is offered within the cap.

    Prices are compared in the order's currency. Offers in others count only where there is none in it and no cap.
    """
    offers = list(offers)
    ours = [offer for offer in offers if offer.price.currency == currency]
    fitting = (ours or offers) if rule.cap is None else [offer for offer in ours if offer.price.amount <= rule.cap]
    wanted = rule.partner_services.get(partner or "")
    fitting = [offer for offer in fitting if offer.service == wanted] or fitting
    if not fitting:
        return None
    by_day = min(fitting, key=lambda offer: (offer.arrives_on, *_by_price(offer)))
    if rule.choose == "fastest":
        return by_day
    limit = need_by or _FAR
    in_time = [offer for offer in fitting if rule.choose == "cheapest" or offer.arrives_on <= limit]
    if not in_time:
        return by_day
    return min(in_time, key=_by_price)


def _by_price(offer: FreightOffer) -> tuple[str, Decimal, date, str, str]:
    return offer.price.currency, offer.price.amount, offer.arrives_on, offer.carrier, offer.service


def offers_of(carrier: str, options: Sequence[FreightOption]) -> tuple[FreightOffer, ...]:
    """What one carrier answered."""
    return tuple(
        FreightOffer(
            carrier=carrier, service=each.service, name=each.name, price=each.price, arrives_on=each.arrives_on
        )
        for each in options
    )


def freight_of(order: Order, target: str) -> Freight:
    """The freight of a location and release, empty where nothing is known of it yet."""
    return next((each for each in order.freight if each.target == target), Freight(target=target))


def with_freight(order: Order, freight: Freight) -> Order:
    """The order with this freight in place of the one of the same target, or added."""
    kept = tuple(each for each in order.freight if each.target != freight.target)
    return replace(order, freight=(*kept, freight))


def booked(freight: Freight, carrier: str, booking: Booking) -> Freight:
    """The freight as its carrier took it on."""
    return replace(
        freight,
        carrier=carrier,
        service=booking.service,
        price=booking.price,
        arrives_on=booking.arrives_on,
        number=booking.number,
        tracking=booking.tracking,
        tracking_url=booking.tracking_url,
        label_url=booking.label_url,
        offers=(),
    )


# --- beside the order -------------------------------------------------------------------------------------------------


def bookings_due(order: Order) -> list[Task]:
    """Bookings to be made: their work is with the warehouse, and a person has not to look at them first."""
    if _given_up(order):
        return []
    due = (TaskState.PENDING, TaskState.ATTEMPTED)
    return [task for task in _bookings(order) if task.state in due and _work_is(order, task, TaskState.DONE)]


def bookings_to_undo(order: Order) -> list[Task]:
    """Bookings of goods that will not leave so: the warehouse has confirmed that it does not hold the work."""
    there = (TaskState.ATTEMPTED, TaskState.DONE, TaskState.UNDOING)
    # Work that is absent may be released again, unless the order is given up.
    gone = (TaskState.WITHDRAWN, TaskState.ABSENT) if _given_up(order) else (TaskState.WITHDRAWN,)
    return [task for task in _bookings(order) if task.state in there and _work_is(order, task, *gone)]


def degraded(order: Order) -> tuple[str, ...]:
    """Systems beside the order that it went on without, or that failed and are to be asked yet."""
    missed = [task.system for task in order.tasks if task.state is TaskState.SKIPPED]
    late = [task.system for task in _bookings(order) if task.state is TaskState.PENDING and task.attempts]
    return tuple(sorted({*missed, *late}))


def _bookings(order: Order) -> list[Task]:
    stopped = {(each.kind, each.target) for each in order.exceptions if each.blocking}
    return [task for task in order.of_kind(TaskKind.FREIGHT_BOOKING) if (task.kind, task.target) not in stopped]


def _work_is(order: Order, booking: Task, *states: TaskState) -> bool:
    work = order.task(TaskKind.WAREHOUSE_WORK, booking.target)
    if work is not None:
        return work.state in states
    # Nobody is asked to pick there: the ERP's order is what the goods leave under.
    release = release_of(booking)
    erps = [task for task in order.of_kind(TaskKind.ERP_ORDER) if release_of(task) == release]
    return bool(erps) and all(task.state in states for task in erps)


def _given_up(order: Order) -> bool:
    """A cancel was asked and not refused, or an ERP refused the order: what `steps.is_going_back` says."""
    cancelling = order.cancel_requested_at is not None and order.cancel_refused_at is None
    return cancelling or order.reject_reason is not None


def quotes_settled(order: Order, target: str) -> bool:
    """Every carrier that was to be asked about these goods has answered, or is asked no more."""
    states = [task.state for task in order.of_kind(TaskKind.FREIGHT_QUOTE) if goods_target(task) == target]
    return all(state in (TaskState.DONE, TaskState.SKIPPED) for state in states)
