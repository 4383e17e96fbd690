"""The pure decisions of reconciliation: what explains a difference, and who may settle it. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Final

from gateway.canonical.order import SystemOrder, SystemShipment
from gateway.canonical.reconciliation import (
    BearingEvent,
    BookedOrder,
    BookedShipment,
    EventBearing,
    EventLine,
    StockDifference,
)
from process_apis.reconciliation.models import Cause, Part, State
from process_apis.reconciliation.options import Tolerance

_ZERO: Final = Decimal(0)
_HUNDRED: Final = Decimal(100)


def parts_of(difference: StockDifference, recovered: AbstractSet[EventLine]) -> tuple[Part, ...]:
    """A difference by what explains it; the amounts add up to the difference, and none is zero.

    What no event explains is only the source's, unless something that bears on it could not be reckoned: then it is
    of that one's class.
    """
    if difference.expected is None:
        return (Part(Cause.MAPPING, difference.reported, difference.events),)
    explained: dict[Cause, Decimal] = defaultdict(Decimal)
    shown: dict[Cause, list[BearingEvent]] = defaultdict(list)
    open_ended: list[BearingEvent] = []
    for event in difference.events:
        if event.effect is None:
            open_ended.append(event)
            continue
        cause = cause_of(event, recovered)
        explained[cause] += event.effect
        shown[cause].append(event)
    rest = difference.reported - difference.expected - sum(explained.values(), _ZERO)
    if rest:
        cause = _of_the_rest(open_ended, recovered)
        explained[cause] += rest
        shown[cause] += [event for event in open_ended if cause_of(event, recovered) is cause]
    return tuple(Part(cause, explained[cause], tuple(shown[cause])) for cause in Cause if explained[cause])


def cause_of(event: BearingEvent, recovered: AbstractSet[EventLine]) -> Cause:
    """What an event shows: it came late, waited for a mapping, or never came until its source was asked."""
    if event.bearing is EventBearing.PARKED:
        return Cause.MAPPING
    if EventLine(event.source, event.event_id, event.line) in recovered:
        return Cause.LOSS
    return Cause.TIMING


def _of_the_rest(open_ended: list[BearingEvent], recovered: AbstractSet[EventLine]) -> Cause:
    causes = [cause_of(event, recovered) for event in open_ended]
    return next((cause for cause in (Cause.MAPPING, Cause.TIMING, Cause.LOSS) if cause in causes), Cause.SOURCE_ONLY)


def within(amount: Decimal, *, of: Decimal | None, value: Decimal | None, tolerance: Tolerance) -> bool:
    """Whether a difference may be settled without a person: it passes every limit that is given.

    A percentage of nothing is passed by nothing; a limit of value needs a value.
    """
    size = abs(amount)
    if size > tolerance.absolute:
        return False
    if tolerance.percent is not None and size * _HUNDRED > tolerance.percent * abs(of or _ZERO):
        return False
    return tolerance.value is None or (value is not None and abs(value) <= tolerance.value)


def alone(amount: Decimal, *, value: Decimal | None, tolerance: Tolerance) -> bool:
    """Whether one person may settle it."""
    if tolerance.alone_absolute is not None and abs(amount) > tolerance.alone_absolute:
        return False
    return tolerance.alone_value is None or (value is not None and abs(value) <= tolerance.alone_value)


def state_of(part: Part, *, of: Decimal | None, value: Decimal | None, tolerance: Tolerance) -> State:
    """What becomes of one part of an owner's difference.

    Late and lost events are in the books by now. The owner is right about what only it knows: within tolerance that is
    accepted, else a person looks. A mapping waits until it is mended.
    """
    if part.cause in (Cause.TIMING, Cause.LOSS):
        return State.EXPLAINED
    if part.cause is Cause.SOURCE_ONLY and within(part.amount, of=of, value=value, tolerance=tolerance):
        return State.ACCEPTED
    return State.OPEN


def wrong_order(booked: BookedOrder, found: SystemOrder | None) -> tuple[Cause, str] | None:
    """What is wrong with an order that `booked.system` confirmed, or confirmed to be gone; None when nothing is."""
    system = booked.system
    if booked.gone:
        if found is None or found.cancelled:
            return None
        return Cause.SOURCE_ONLY, f"{system} has {found.number} open, which was cancelled here: cancel it there"
    if found is None:
        return Cause.LOSS, f"{system} has no order under our reference, and had {booked.number}: enter it there again"
    return _wrong_in(system, booked, found)


def _wrong_in(system: str, booked: BookedOrder, found: SystemOrder) -> tuple[Cause, str] | None:
    if found.cancelled:
        return (
            Cause.SOURCE_ONLY,
            f"{found.number} was cancelled in {system} and not here: cancel the order, or reopen it",
        )
    if not found.ready:
        return Cause.SOURCE_ONLY, f"{found.number} went back to {found.state} in {system}: confirm it there"
    if booked.number is not None and found.number != booked.number:
        return Cause.SOURCE_ONLY, f"{system} has {found.number} under our reference, where it confirmed {booked.number}"
    return None


def wrong_shipment(
    booked: BookedShipment, found: SystemShipment | None, system: str
) -> tuple[Cause, str, Decimal] | None:
    """What is wrong with a shipment that `system` was told of; the amount is what it has less what it was told."""
    told = sum(booked.lines.values(), _ZERO)
    if found is None:
        return Cause.LOSS, f"{system} has no shipment under our posting: enter it there again", -told
    has: dict[int, Decimal] = defaultdict(Decimal)
    for line in found.lines:
        has[line.line] += line.amount
    lines = sorted(line for line in {*has, *booked.lines} if has[line] != booked.lines.get(line, _ZERO))
    if not lines:
        return None
    which = ", ".join(f"line {line}: {has[line]} for {booked.lines.get(line, _ZERO)}" for line in lines[:5])
    detail = f"{system} has other quantities in {found.number} ({which}): correct them there"
    return Cause.SOURCE_ONLY, detail, sum(has.values(), _ZERO) - told
