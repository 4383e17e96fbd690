"""What a buyer changes of its order before picking began: quantities, delivery. Pure.

A line is told how much of it is wanted in all. Less is cancelled, more is ordered at the line's price; the law of the
counters holds throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gateway.kernel.errors import Conflict, Problem
from process_apis.order_to_ship.models import AmendedLine, Amendment, Order, OrderLine, ReworkLine
from process_apis.order_to_ship.rules import exact_in_base_units, order_total

_ZERO: Final = Decimal(0)


class Difference(Struct, frozen=True, kw_only=True):
    """What an amendment comes to: so much less and more of which lines, in base units; whether delivery changes."""

    less: tuple[ReworkLine, ...] = ()
    more: tuple[ReworkLine, ...] = ()
    delivery: bool = False

    @property
    def is_nothing(self) -> bool:
        """The order is already as it is wanted."""
        return not self.less and not self.more and not self.delivery

    @property
    def concerns_all(self) -> bool:
        """Whether what other systems have of other lines is concerned too: it is handed over together."""
        return bool(self.more) or self.delivery


class _Wanted(NamedTuple):
    line: OrderLine
    amount: Decimal


def difference(order: Order, asked: Amendment) -> Difference:
    """What is asked, against the order as it is.

    Raises `Conflict`: ``order.picking_began`` once goods are picked or left, ``order.lines_changed`` with a pointer to
    every line that is not there, named twice, or not wanted in one of its units.
    """
    if order.picking_began_at or any(line.shipped or line.over_shipped for line in order.lines):
        raise Conflict(
            "picking began: let it come, have returned what is too much and order what is missing",
            code="order.picking_began",
        )
    wanted = _wanted(order, asked.lines)
    deltas = [(line, amount - (line.ordered - line.cancelled)) for line, amount in wanted]
    delivery = (asked.ship_to or order.ship_to, asked.requested_date or order.requested_date)
    return Difference(
        less=tuple(ReworkLine(line=line.line, amount=-delta) for line, delta in deltas if delta < 0),
        more=tuple(ReworkLine(line=line.line, amount=delta) for line, delta in deltas if delta > 0),
        delivery=delivery != (order.ship_to, order.requested_date),
    )


def _wanted(order: Order, asked: Sequence[AmendedLine]) -> list[_Wanted]:
    by_number = {line.line: line for line in order.lines}
    found, problems = [], []
    for index, each in enumerate(asked):
        line = by_number.pop(each.line, None)
        if line is None:
            problems.append(Problem("no such line, or named before", pointer=f"/lines/{index}/line"))
            continue
        factor = {line.asked_uom: line.factor, line.uom: Decimal(1)}.get(each.uom or line.uom)
        if factor is None:
            problems.append(Problem(f"it is ordered in {line.asked_uom} or {line.uom}", pointer=f"/lines/{index}/uom"))
            continue
        amount = exact_in_base_units(each.amount, factor) if each.amount else _ZERO
        if amount is None:
            problems.append(Problem("not exact in base units, or too much", pointer=f"/lines/{index}/amount"))
            continue
        more = amount - (line.ordered - line.cancelled)
        if more > 0 and more / line.factor * line.factor != more:
            detail = f"more of it is ordered in {line.asked_uom}, as the line was"
            problems.append(Problem(detail, pointer=f"/lines/{index}/amount"))
            continue
        found.append(_Wanted(line, amount))
    if problems:
        raise Conflict(
            "these lines cannot be changed so: read the order again", problems=problems, code="order.lines_changed"
        )
    return found


def with_more(order: Order, more: Sequence[ReworkLine]) -> Order:
    """The order with so much more of its lines, at their prices."""
    amounts = {each.line: each.amount or _ZERO for each in more}
    lines = tuple(_longer(line, amounts[line.line]) if line.line in amounts else line for line in order.lines)
    return replace(order, lines=lines, total=order_total(lines))


def _longer(line: OrderLine, amount: Decimal) -> OrderLine:
    return replace(
        line,
        ordered=line.ordered + amount,
        open=line.open + amount,
        asked_amount=line.asked_amount + amount / line.factor,
    )
