"""What of an order is not covered by stock any more, or is again: counters, exceptions and where it is served from.

Availability decides whose promise gives way. What nobody works on yet waits, backordered, and goes on by itself; what
is handed over is for a person, and stops nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import ClaimsStock, Connection
from gateway.canonical.events import Recorded
from gateway.canonical.stock import StandingClaim
from gateway.kernel.errors import NotFound
from gateway.kernel.quantity import plain
from process_apis.order_to_ship.models import Allocation, ExceptionClass, Finding, OrderLine
from process_apis.order_to_ship.records import Change, lock
from process_apis.order_to_ship.releases import may_allocate

_ZERO: Final = Decimal(0)
_US: Final = "crossdock"
_KIND: Final = "stock"
_WAITS: Final = "waiting"
_HANDED: Final = "handed"


class Lack(Struct, frozen=True):
    """So much of a line is promised at a location and not there, in base units."""

    line: int
    location: str
    amount: Decimal
    expected: date | None = None


class Covering:
    """Hears what becomes of an order's claims. `claims` tells what stands now, so the order of events is no matter."""

    def __init__(self, claims: ClaimsStock) -> None:
        self._claims = claims

    async def on_cover(self, connection: Connection, recorded: Recorded) -> None:
        """Handle `claim.short`, `claim.covered`, `claim.supplied` and `claim.redated`."""
        try:
            order, now = await lock(connection, recorded.event.data["order"])
        except NotFound:
            return
        if order.tenant != recorded.event.tenant or order.cancelled_at or order.rejected_at or order.completed_at:
            return
        change = Change(connection, order, now)
        standing = await self._claims.standing(connection, tenant=order.tenant, order=order.order_id)
        if order.allocated_at is None:
            parts = (
                Allocation(line=each.line, location=each.location, claim=each.claim, amount=each.amount)
                for each in standing
            )
            change.set(allocations=merged(parts))
        short = [each for each in standing if each.lacking]
        note_shortage(change, [_lack(each) for each in short if not each.handed])
        _note_handed(change, [_lack(each) for each in short if each.handed])
        if any(line.backordered for line in order.lines) and may_allocate(change.order):
            change.wake()
        await change.save()


def note_shortage(change: Change, lacks: Sequence[Lack]) -> None:
    """Make `lacks` what is backordered of the order, which then waits for it; none lets it go on."""
    if change.order.allocated_at is not None:
        lacks = ()
    before, lines = change.order.lines, waiting_lines(change.order.lines, lacks)
    if lines != before:
        change.set(lines=lines)
    dates = {line.line: line.expected for line in before if line.backordered}
    moved = [line for line in lines if line.backordered and line.expected != dates.get(line.line)]
    if moved:
        expected = [{"line": line.line, "expected": line.expected} for line in moved]
        change.tell("order.redated", lines=expected)
    if lacks:
        change.find(waiting_finding(lacks))
    else:
        change.resolve(_KIND, _WAITS, by=_US, resolution="all of it is there again, or elsewhere")


def _note_handed(change: Change, lacks: Sequence[Lack]) -> None:
    if lacks:
        detail = f"{_named(lacks)}, which is handed over already: have it served from elsewhere, or cancel it"
        change.find(_finding(_HANDED, "order.handed_short", detail))
    else:
        change.resolve(_KIND, _HANDED, by=_US, resolution="all of it is there again")


def waiting_lines(lines: Sequence[OrderLine], lacks: Sequence[Lack]) -> tuple[OrderLine, ...]:
    """The lines with `lacks` as what waits of them, and when the last of it is expected, if all of it is.

    Lines that wait for nothing, and did not, are left as they are.
    """
    amounts: dict[int, Decimal] = defaultdict(Decimal)
    dates: dict[int, list[date | None]] = defaultdict(list)
    for lack in lacks:
        amounts[lack.line] += lack.amount
        dates[lack.line].append(lack.expected)
    found = []
    for line in lines:
        if not amounts[line.line] and not line.backordered:
            found.append(line)  # it waits for nothing: a date that it has is when it arrives
            continue
        known = [each for each in dates[line.line] if each is not None]
        last = max(known) if known and len(known) == len(dates[line.line]) else None
        waits = backordered(line, amounts[line.line])
        found.append(waits if waits.expected == last else replace(waits, expected=last))
    return tuple(found)


def backordered(line: OrderLine, amount: Decimal) -> OrderLine:
    """The line with `amount` of what was neither shipped nor cancelled waiting for stock."""
    standing = line.open + line.backordered
    waits = min(amount, standing)
    return line if waits == line.backordered else replace(line, backordered=waits, open=standing - waits)


def merged(parts: Iterable[Allocation]) -> tuple[Allocation, ...]:
    """One allocation for each line and location; the first claim stands for what was split."""
    found: dict[tuple[int, str], Allocation] = {}
    for part in sorted(parts, key=lambda part: (part.line, part.location, part.claim)):
        before = found.get((part.line, part.location))
        found[part.line, part.location] = (
            part if before is None else replace(before, amount=before.amount + part.amount)
        )
    return tuple(found.values())


def waiting_finding(lacks: Sequence[Lack]) -> Finding:
    """What people are told of an order that waits for stock."""
    detail = f"{_named(lacks)}: it waits for stock, and goes on by itself; cancel it, or tell the customer"
    return _finding(_WAITS, "order.stock_short", detail)


def _lack(each: StandingClaim) -> Lack:
    return Lack(each.line, each.location, each.lacking, each.expected)


def _named(lacks: Sequence[Lack]) -> str:
    return ", ".join(
        f"{plain(lack.amount)} of line {lack.line} is not at {lack.location}"
        + (f" before {lack.expected}" if lack.expected else "")
        for lack in lacks
    )


def _finding(target: str, code: str, detail: str) -> Finding:
    return Finding(
        exception=ExceptionClass.STOCK_SHORT,
        fault_domain=_US,
        code=code,
        detail=detail,
        blocking=False,
        kind=_KIND,
        target=target,
    )
