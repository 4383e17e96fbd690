"""What people may do to an order that is under way, which releases it concerns, and what it does to counters. Pure."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.kernel.errors import Conflict, Invalid, Problem
from gateway.kernel.quantity import plain
from process_apis.order_to_ship.models import (
    Amendment,
    Order,
    OrderLine,
    ReleasedLine,
    ReworkLine,
    TaskKind,
    TaskState,
    Verb,
)
from process_apis.order_to_ship.releases import release_of
from process_apis.order_to_ship.steps import is_going_back

_ZERO: Final = Decimal(0)
_HANDED: Final = frozenset({TaskKind.ERP_ORDER, TaskKind.WAREHOUSE_WORK})
_OF_RELEASE: Final = _HANDED | {TaskKind.FREIGHT_QUOTE}
PERSON: Final = "person"


class Intervention(Struct, frozen=True, kw_only=True):
    """A command of customer service or the buyer, once per `action`.

    `version` is that of the order they saw; None is any. The buyer's is an `amendment`.
    """

    action: str
    verb: Verb
    reason: str
    version: int | None = None
    lines: tuple[ReworkLine, ...] = ()
    amendment: Amendment | None = None


def digest(asked: Intervention) -> bytes:
    """What tells two commands under one action id apart."""
    content = [asked.verb, asked.reason, asked.lines, *([] if asked.amendment is None else [asked.amendment])]
    return hashlib.sha256(msgspec.json.encode(content)).digest()


# --- what is handed over ----------------------------------------------------------------------------------------------


def handed_parts(order: Order) -> tuple[ReleasedLine, ...]:
    """What other systems have of the order, or may have, by release."""
    if order.released:
        return tuple(part for part in order.released if not part.withdrawn)
    tasks = [task for kind in _HANDED for task in order.of_kind(kind)]
    if all(task.state is TaskState.WITHDRAWN for task in tasks):
        return ()
    return tuple(
        ReleasedLine(release=1, line=part.line, location=part.location, amount=part.amount, claims=(part.claim,))
        for part in order.allocations
    )


def is_handed_over(order: Order) -> bool:
    """Tell whether another system has part of the order, or may have."""
    return bool(handed_parts(order))


def concerned(order: Order, amounts: Mapping[int, Decimal] | None) -> tuple[int, ...]:
    """The releases that have to be withdrawn before so much of these lines (None: all) is free to be changed.

    Raises `Conflict` (``order.shipped_in_part``) where goods of one of them have left.
    """
    parts = handed_parts(order)
    left = _left_of(order, parts)
    wanted = {line.line: line.open + line.backordered for line in order.lines} if amounts is None else amounts
    found = set()
    for number, amount in wanted.items():
        line = _line(order, number)
        free = line.open + line.backordered - sum((each for (_, one), each in left.items() if one == number), _ZERO)
        if amount > free or amounts is None:
            found |= {release for (release, one), each in left.items() if one == number and each > 0}
    if gone := sorted(found & {shipment.release for shipment in order.shipments if shipment.lines}):
        raise Conflict(
            f"goods of release {gone[0]} have left: let the warehouse finish it, or have the rest returned",
            code="order.shipped_in_part",
        )
    return tuple(sorted(found))


def kept_claims(order: Order, withdrawn: Collection[int]) -> list[str]:
    """The claims of releases that stay where they are."""
    return sorted({claim for part in handed_parts(order) if part.release not in withdrawn for claim in part.claims})


def _left_of(order: Order, parts: Sequence[ReleasedLine]) -> dict[tuple[int, int], Decimal]:
    left: dict[tuple[int, int], Decimal] = defaultdict(Decimal)
    for part in parts:
        left[part.release, part.line] += part.amount
    for shipment in order.shipments:
        for each in shipment.lines:
            if (shipment.release, each.line) in left:
                left[shipment.release, each.line] -= min(each.amount, left[shipment.release, each.line])
    return left


def withdrawn(order: Order, releases: Collection[int]) -> Order:
    """The order with these releases as what no system has any more; the next one gets a number of its own."""
    if not releases:
        return order
    known = order.released or handed_parts(order)
    return replace(
        order,
        released=tuple(replace(part, withdrawn=part.withdrawn or part.release in releases) for part in known),
        tasks=tuple(
            replace(task, state=TaskState.WITHDRAWN, settling=False, not_before=None)
            if task.kind in _OF_RELEASE and release_of(task) in releases
            else task
            for task in order.tasks
        ),
        allocated_at=None,
    )


# --- guards -----------------------------------------------------------------------------------------------------------


def check(order: Order, asked: Intervention) -> None:
    """Raise `Conflict` where the order is past that, `Invalid` where none of its lines is named."""
    if order.completed_at or order.cancelled_at or order.rejected_at:
        raise Conflict("the order is closed: nothing of it can be changed", code="order.closed")
    if is_going_back(order):
        raise Conflict("the order is being cancelled: wait for that", code="order.cancelling")
    if order.rework is not None:
        raise Conflict(
            f"{order.rework.verb} by {order.rework.actor} is under way: wait until the systems have answered",
            code="order.busy",
        )
    if asked.verb is Verb.SPLIT and (order.approved_at is None or order.hold_reason):
        raise Conflict("an order is split as it is handed over: release its hold first", code="order.not_approved")
    if asked.verb not in (Verb.HOLD, Verb.AMEND) and not asked.lines:
        raise Invalid("name the lines", code="order.lines_missing", problems=[Problem("no line", pointer="/lines")])
    _check_lines(order, asked)


def _check_lines(order: Order, asked: Intervention) -> None:
    problems, seen = [], set()
    by_number = {line.line: line for line in order.lines}
    for index, each in enumerate(asked.lines):
        line = by_number.get(each.line)
        if line is None or each.line in seen:
            what = "it is named twice" if each.line in seen else f"there is no line {each.line}"
            problems.append(Problem(what, pointer=f"/lines/{index}/line"))
            continue
        seen.add(each.line)
        standing = line.open + line.backordered
        if not 0 < amount_of(line, each) <= standing:
            problems.append(
                Problem(f"{plain(standing)} of line {line.line} are open", pointer=f"/lines/{index}/amount")
            )
    if problems:
        raise Conflict(
            "these lines cannot be changed so: read the order again", problems=problems, code="order.lines_changed"
        )


def amounts_of(order: Order, lines: Sequence[ReworkLine]) -> dict[int, Decimal]:
    """How much of each line is meant."""
    return {each.line: amount_of(_line(order, each.line), each) for each in lines}


def amount_of(line: OrderLine, asked: ReworkLine) -> Decimal:
    """What is asked of a line: all that is open and backordered of it unless it says how much."""
    return line.open + line.backordered if asked.amount is None else asked.amount


def is_all(order: Order, lines: Sequence[ReworkLine]) -> bool:
    """Tell whether nothing of the order would be left, with nothing shipped."""
    amounts = amounts_of(order, lines)
    return all(
        not line.shipped and line.open + line.backordered == amounts.get(line.line, _ZERO) for line in order.lines
    )


# --- counters ---------------------------------------------------------------------------------------------------------


def cancel_part(line: OrderLine, amount: Decimal) -> OrderLine:
    """Cancel so much of what waits for stock first, then of what is open."""
    waiting = min(amount, line.backordered)
    left = line.backordered - waiting
    return replace(
        line,
        backordered=left,
        open=line.open - (amount - waiting),
        cancelled=line.cancelled + amount,
        expected=line.expected if left or line.open > amount - waiting else None,
    )


def _line(order: Order, number: int) -> OrderLine:
    return next(line for line in order.lines if line.line == number)
