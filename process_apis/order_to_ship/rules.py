"""Pure decisions on orders: identity, lines and prices, counters, credit, and the state that follows from the facts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, Inexact, InvalidOperation, localcontext
from typing import Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.item import Item
from gateway.canonical.order import OrderState, ReturnedLine, SalesLine, SalesOrder
from gateway.canonical.party import CustomerAccount
from gateway.kernel.errors import Conflict, Problem
from gateway.kernel.money import Money
from gateway.kernel.quantity import plain
from process_apis.order_to_ship.invoice_rules import is_billed
from process_apis.order_to_ship.models import AskedLine, Order, OrderLine, PlaceOrder, TaskKind, TaskState
from process_apis.order_to_ship.releases import parts_of, reference_of

_ZERO: Final = Decimal(0)
_DIGITS: Final = 28
_EXACT: Final = 100
_LARGEST: Final = Decimal(10) ** 12
FINAL: Final = frozenset({OrderState.COMPLETED, OrderState.CANCELLED, OrderState.REJECTED})


def fingerprint(command: PlaceOrder) -> bytes:
    """SHA-256 of what the buyer asked, as asked: equal for the same content, whatever an item costs by now.

    The partner is part of it, so that nobody is given the order of another partner who shares an account.
    """
    content: tuple[object, ...] = (
        command.partner,
        command.currency,
        msgspec.structs.astuple(command.ship_to),
        command.requested_date,
        [_content(line) for line in command.lines],
    )
    if command.fill is not None:
        content = (*content, command.fill)
    return hashlib.sha256(msgspec.json.encode(content)).digest()


def _content(line: AskedLine) -> tuple[object, ...]:
    asked = (line.sku, line.item, plain(line.amount), line.uom)
    stated = line.stated_price
    return asked if stated is None else (*asked, plain(stated.amount), stated.currency)


# --- lines ------------------------------------------------------------------------------------------------------------


def price_lines(
    command: PlaceOrder, by_id: Mapping[str, Item], by_sku: Mapping[str, Item]
) -> tuple[tuple[OrderLine, ...], Decimal]:
    """The lines in base units at list price, and their exact total.

    Raises `Conflict` (code ``order.lines_invalid``) with a JSON pointer for everything wrong in any line: another day
    it may do.
    """
    lines: list[OrderLine] = []
    problems: list[Problem] = []
    for index, asked in enumerate(command.lines):
        item = by_id.get(asked.item or "") or by_sku.get(asked.sku or "")
        found = _line(index, asked, item, command.currency)
        (lines if isinstance(found, OrderLine) else problems).append(found)  # type: ignore[arg-type]
    if not command.lines:
        problems.append(Problem("an order needs at least one line", pointer="/lines"))
    if problems:
        raise Conflict(
            "some lines cannot be ordered as they stand: change them", problems=problems, code="order.lines_invalid"
        )
    return tuple(lines), order_total(lines)


def order_total(lines: Iterable[OrderLine]) -> Decimal:
    """What was ordered, at its prices."""
    return _value((line.ordered, line.unit_price) for line in lines)


def _value(parts: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
    with localcontext() as context:
        context.prec = _EXACT
        return sum((amount * price for amount, price in parts), _ZERO)


def _line(index: int, asked: AskedLine, item: Item | None, currency: str) -> OrderLine | Problem:
    named = "item" if asked.item else "sku"
    if item is None or not item.sellable:
        return Problem(
            f"there is no {named} {asked.item or asked.sku!r} that can be ordered", pointer=f"/lines/{index}/{named}"
        )
    uom = asked.uom or item.base_uom
    unit = item.factor(uom)
    if unit is None:
        traded = ", ".join([item.base_uom, *(pack.uom for pack in item.packs)])
        return Problem(f"{item.sku} is not traded in {uom}: use one of {traded}", pointer=f"/lines/{index}/uom")
    ordered = exact_in_base_units(asked.amount, unit.factor)
    if ordered is None:
        return Problem(
            "the amount must be above zero, at most 10^12 base units, and exact in them",
            pointer=f"/lines/{index}/amount",
        )
    if item.list_price is None or item.list_price.currency != currency:
        return Problem(f"{item.sku} has no price in {currency}", pointer=f"/lines/{index}/{named}")
    stated = asked.stated_price
    if stated is not None and stated.currency != currency:
        pointer = f"/lines/{index}/stated_price/currency"
        return Problem(f"you are sold in {currency}: state prices in it", pointer=pointer)
    return OrderLine(
        line=index + 1,
        item=item.item,
        sku=item.sku,
        asked_amount=asked.amount,
        asked_uom=uom,
        uom=item.base_uom,
        factor=unit.factor,
        unit_price=item.list_price.amount,
        ordered=ordered,
        open=ordered,
        stated_price=None if stated is None else stated.amount,
    )


def exact_in_base_units(amount: Decimal, factor: Decimal) -> Decimal | None:
    """So many units of `factor` base units each; None where that is nothing, too much, or not exact."""
    if not amount.is_finite() or amount <= 0:
        return None
    with localcontext() as context:
        context.prec = _DIGITS
        context.traps[Inexact] = True
        try:
            base = amount * factor
        except (Inexact, InvalidOperation):
            return None
    return base if 0 < base <= _LARGEST else None


# --- counters ---------------------------------------------------------------------------------------------------------


def ship(line: OrderLine, amount: Decimal) -> OrderLine:
    """Take `amount`, which left a warehouse, from open, then backordered, then cancelled; the rest is over-shipped."""
    from_open = min(amount, line.open)
    from_backorder = min(amount - from_open, line.backordered)
    from_cancelled = min(amount - from_open - from_backorder, line.cancelled)
    counted = from_open + from_backorder + from_cancelled
    left = line.open - from_open + line.backordered - from_backorder
    return replace(
        line,
        expected=line.expected if left else None,
        open=line.open - from_open,
        backordered=line.backordered - from_backorder,
        cancelled=line.cancelled - from_cancelled,
        shipped=line.shipped + counted,
        over_shipped=line.over_shipped + amount - counted,
    )


def unship(line: OrderLine, amount: Decimal) -> OrderLine:
    """Take back `amount` that a warehouse reported by mistake: from over-shipped first, the rest is open again."""
    too_much = min(amount, line.over_shipped)
    back = min(amount - too_much, line.shipped)
    return replace(line, over_shipped=line.over_shipped - too_much, shipped=line.shipped - back, open=line.open + back)


def with_returned(lines: Iterable[OrderLine], returned: Iterable[ReturnedLine]) -> tuple[OrderLine, ...]:
    """The lines with what came back; never more than was shipped, whatever a warehouse took in."""
    by_line = {each.line: each for each in returned}
    told = []
    for line in lines:
        back = by_line.get(line.line)
        told.append(
            line
            if back is None
            else replace(
                line,
                returned=min(back.returned, line.shipped),
                credited=min(back.credited, back.returned, line.shipped),
            )
        )
    return tuple(told)


def cancel_rest(line: OrderLine) -> OrderLine:
    """What was neither shipped nor cancelled yet is cancelled."""
    return replace(
        line, expected=None, open=_ZERO, backordered=_ZERO, cancelled=line.cancelled + line.open + line.backordered
    )


def law_holds(line: OrderLine) -> bool:
    """Tell whether ordered = open + backordered + shipped + cancelled, and none below zero."""
    counters = (line.open, line.backordered, line.shipped, line.cancelled)
    return line.ordered == sum(counters) and min(*counters, line.over_shipped) >= 0


def exposure(order: Order) -> Decimal:
    """What the order takes of the customer's credit: ordered less cancelled at its prices, nothing once closed."""
    if order.rejected_at or order.cancelled_at or order.completed_at:
        return _ZERO
    return _value((line.ordered - line.cancelled, line.unit_price) for line in order.lines)


# --- decisions --------------------------------------------------------------------------------------------------------


def hold_reason(account: CustomerAccount, open_orders: Money) -> str | None:
    """Why an order waits for a person; None when it may go on. `open_orders` is what all accepted orders take."""
    if account.hold:
        return "customer_hold"
    limit, balance = account.credit_limit, account.balance
    if limit is None:
        return None
    if limit.currency != open_orders.currency or (balance is not None and balance.currency != limit.currency):
        return "credit_currency"
    owed = open_orders.amount + (balance.amount if balance else _ZERO)
    return "credit_limit" if owed > limit.amount else None


def derive_state(order: Order) -> OrderState:
    """The state that follows from the facts (`semantics.md` 4.3); the first that applies, the most final first."""
    shipped = any(line.shipped for line in order.lines)
    waiting = any(line.open or line.backordered for line in order.lines)
    candidates = (
        (order.rejected_at, OrderState.REJECTED),
        (order.cancelled_at, OrderState.CANCELLED),
        (order.completed_at, OrderState.COMPLETED),
        (any(finding.blocking for finding in order.exceptions), OrderState.EXCEPTION),
        (shipped and waiting, OrderState.PARTIALLY_SHIPPED),
        (shipped and is_billed(order), OrderState.INVOICED),
        (shipped, OrderState.SHIPPED),
        (order.hold_reason, OrderState.HELD),
        (_all_there(order, TaskKind.WAREHOUSE_WORK), OrderState.RELEASED),
        (_all_there(order, TaskKind.ERP_ORDER), OrderState.SUBMITTED),
        (all(line.open == 0 and line.backordered > 0 for line in order.lines), OrderState.BACKORDERED),
        (order.allocations, OrderState.PROMISED),
    )
    return next((state for applies, state in candidates if applies), OrderState.RECEIVED)


def _all_there(order: Order, kind: TaskKind) -> bool:
    tasks = [task for task in order.of_kind(kind) if task.state is not TaskState.WITHDRAWN]
    # What moves from one ERP to another was handed over, and is told so meanwhile.
    moving = {task.target for task in order.of_kind(TaskKind.ERP_WITHDRAWAL)} if kind is TaskKind.ERP_ORDER else set()
    there = [
        task.target in moving or task.state is TaskState.DONE or (task.state is TaskState.UNDOING and task.number)
        for task in tasks
    ]
    return bool(there) and all(there)


def sales_order(order: Order, locations: Sequence[str], release: int = 1) -> SalesOrder:
    """The order, or a release of it, as systems take it, with what the given locations promised of each line."""
    by_number = {line.line: line for line in order.lines}
    return SalesOrder(
        order=reference_of(order, release),
        tenant=order.tenant,
        sold_to=order.sold_to,
        external_number=order.external_number,
        currency=order.currency,
        placed_at=order.placed_at,
        ship_to=order.ship_to,
        requested_date=order.requested_date,
        lines=tuple(
            SalesLine(
                line=line,
                item=by_number[line].item,
                sku=by_number[line].sku,
                amount=amount,
                uom=by_number[line].uom,
                unit_price=Money(by_number[line].unit_price, order.currency),
                location=location,
            )
            for line, location, amount in parts_of(order, release)
            if location in locations
        ),
    )
