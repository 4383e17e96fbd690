"""Orders that are handed over in parts: what is covered leaves first, the rest in later releases. Pure.

Each release is an order of its own to ERP and warehouse, under a reference of its own, with tasks of its own. The first
one bears the order's id, as does an order that is handed over whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from gateway.canonical.kit import in_kits
from gateway.canonical.order import FillPolicy, release_reference
from gateway.canonical.stock import ClaimedLine, ClaimState
from process_apis.order_to_ship.models import Order, OrderLine, ReleasedLine, Task

_ZERO: Final = Decimal(0)
_MARK: Final = "#"  # no location or system has it in its name


def latest(order: Order) -> int:
    """The number of the latest release; 0 before the first of an order that is handed over in parts."""
    return max((part.release for part in order.released), default=0)


def coverable(order: Order) -> dict[int, Decimal]:
    """By line, what may be handed over now, by the order's policy: covered, and in no release yet."""
    given: dict[int, Decimal] = defaultdict(Decimal)
    for part in order.released:
        given[part.line] += _ZERO if part.withdrawn else part.amount
    found = {line.line: _covered(line, order.fill) - given[line.line] for line in order.lines}
    return {line: amount for line, amount in found.items() if amount > 0}


def _covered(line: OrderLine, fill: FillPolicy) -> Decimal:
    leaves = fill == "partial" or not line.backordered
    return line.open + line.shipped if leaves else _ZERO


def may_allocate(order: Order) -> bool:
    """What is short waits for stock, and the rest of the order waits with it, unless it may leave in parts."""
    if not any(line.backordered for line in order.lines):
        return True
    return order.fill in ("line_complete", "partial") and bool(coverable(order))


def handed_over(order: Order, claimed: Sequence[ClaimedLine]) -> tuple[ReleasedLine, ...]:
    """The next release, of what is allocated of `claimed` and in none yet; empty where there is nothing."""
    known = {claim for part in order.released if not part.withdrawn for claim in part.claims}
    # Of a line of kits some components may wait: what is there of the others is no kit yet.
    unmade = {each.line for each in claimed if each.kit is not None and each.state is not ClaimState.ALLOCATED}
    there = [each for each in claimed if each.state is ClaimState.ALLOCATED and each.line not in unmade]
    new = [each for each in there if each.claim not in known]
    claims: dict[tuple[int, str], list[str]] = defaultdict(list)
    for each in new:
        claims[each.line, each.location].append(each.claim)
    amounts: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for each in in_kits(new):
        amounts[each.line, each.location] += each.amount
    number = latest(order) + 1
    return tuple(
        ReleasedLine(release=number, line=line, location=location, amount=amount, claims=tuple(sorted(some)))
        for (line, location), some in sorted(claims.items())
        if (amount := amounts[line, location]) > 0
    )


def target_of(place: str, release: int) -> str:
    """The target of a task for a system or location in a release."""
    return place if release <= 1 else f"{place}{_MARK}{release}"


def split_target(target: str) -> tuple[str, int]:
    """What `target_of` put together."""
    place, _, number = target.partition(_MARK)
    return place, int(number) if number else 1


def release_of(task: Task) -> int:
    """The release that a task is of."""
    return split_target(task.target)[1]


def place_of(task: Task) -> str:
    """The location, or the system, that a task is for."""
    return split_target(task.target)[0]


def reference_of(order: Order, release: int) -> str:
    """What systems know a release by."""
    return release_reference(order.order_id, release)


def parts_of(order: Order, release: int) -> Sequence[tuple[int, str, Decimal]]:
    """Line, location and amount of a release; of an order that is handed over whole, all that it was promised."""
    if order.released:
        parts = [(part.line, part.location, part.amount) for part in order.released if part.release == release]
    else:
        parts = [(part.line, part.location, part.amount) for part in order.allocations]
    return sorted(parts)
