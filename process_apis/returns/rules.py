"""The pure decisions of returns: what a rule allows, what movements come to, what is to be credited, what is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from msgspec.structs import replace

from gateway.canonical.invoice import CreditLine, CreditOrder
from gateway.canonical.order import SoldLine
from gateway.canonical.task import TaskState
from gateway.kernel.money import Money
from gateway.kernel.quantity import COUNTED_UNITS, plain
from process_apis.returns.models import (
    AskedBack,
    Credit,
    CreditedLine,
    CreditState,
    Moved,
    Need,
    Return,
    ReturnLine,
    ReturnState,
)

_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)
_CENT: Final = Decimal("0.01")
_HUNDRED: Final = Decimal(100)
FIGURES: Final = ("received", "sellable", "damaged", "quality_hold", "out")
OVER: Final = frozenset({ReturnState.REFUSED, ReturnState.CANCELLED, ReturnState.CREDITED, ReturnState.CLOSED})


# --- may it come back? ------------------------------------------------------------------------------------------------


def breaches(sold: SoldLine, asked: AskedBack, known: Decimal, now: datetime, window_days: int) -> Sequence[str]:
    """Which rules a line breaks, in words; `known` is what other returns take, or took, of the same order line."""
    found = []
    if (too_much := beyond_shipped(sold, asked, known)) is not None:
        found.append(too_much)
    if sold.shipped_at is not None and now - sold.shipped_at > timedelta(days=window_days):
        days = (now - sold.shipped_at).days
        found.append(f"line {sold.line}: shipped {days} days ago, {asked.reason} allows {window_days}")
    return found


def beyond_shipped(sold: SoldLine, asked: AskedBack, known: Decimal) -> str | None:
    """That more is asked back than was shipped and is not taken by other returns, in words."""
    left = max(sold.shipped - known, _ZERO)
    if asked.amount <= left:
        return None
    return f"line {sold.line}: {plain(asked.amount)} asked, {plain(left)} of it left to return"


def in_base_units(sold: SoldLine, asked: AskedBack) -> AskedBack | str:
    """What is asked back, in base units; what is wrong with its unit, in words, where something is."""
    if asked.uom not in (None, sold.uom, sold.asked_uom):
        units = " or ".join(dict.fromkeys((sold.uom, sold.asked_uom or sold.uom)))
        return f"line {sold.line} comes back in {units}"
    factor = _ONE if asked.uom in (None, sold.uom) else sold.factor
    amount = asked.amount * factor
    if sold.uom in COUNTED_UNITS and amount != amount.to_integral_value():
        return f"line {sold.line}: pieces are whole"
    return replace(asked, amount=amount, uom=None)


def taken(line: ReturnLine, *, live: bool) -> Decimal:
    """What a return takes of its order line: what came, or what may still come."""
    return max(line.received, line.amount) if live else line.received


# --- counters ---------------------------------------------------------------------------------------------------------


def added(moved: Iterable[Moved], more: Moved) -> tuple[Moved, ...]:
    """The sums with one more movement, or one less."""
    sums = {each.item: each for each in moved}
    known = sums.get(more.item, Moved(item=more.item))
    figures = {name: getattr(known, name) + getattr(more, name) for name in FIGURES}
    sums[more.item] = replace(known, **figures)
    return tuple(sums[item] for item in sorted(sums))


def spread(lines: Sequence[ReturnLine], moved: Iterable[Moved]) -> tuple[ReturnLine, ...]:
    """The lines as the sums of movements have it: an item goes to its lines in turn, what is too much to the last."""
    sums = {each.item: each for each in moved}
    left = {name: {item: getattr(each, name) for item, each in sums.items()} for name in FIGURES}
    last = {line.item: line.line for line in lines}
    counted = []
    for line in lines:
        figures: dict[str, Decimal] = {}
        for name in FIGURES:
            there = left[name].get(line.item, _ZERO)
            room = line.amount if name == "received" else _rest(line, figures)
            most = there if last[line.item] == line.line else min(there, max(room, _ZERO))
            left[name][line.item] = there - most
            figures[name] = most
        counted.append(replace(line, **figures))
    return tuple(counted)


def _rest(line: ReturnLine, figures: Mapping[str, Decimal]) -> Decimal:
    """What of a line is not dispositioned yet by the figures so far."""
    return line.amount - sum((figures.get(name, _ZERO) for name in FIGURES[1:]), _ZERO)


def creditable(line: ReturnLine) -> Decimal:
    """What is to be credited beyond what is: dispositioned, as much as was authorised, less what a person refused."""
    return max(min(line.dispositioned, line.amount) - line.refused - line.credited, _ZERO)


def is_disposed(known: Return) -> bool:
    """Whether all that came was decided about, and no more is to come."""
    whole = known.closed_at is not None or all(line.received >= line.amount for line in known.lines)
    came = any(line.received for line in known.lines)
    return whole and came and all(line.dispositioned >= line.received for line in known.lines)


def derive_state(known: Return) -> ReturnState:
    """Where a return is, from its counters first: goods that came count, whatever was decided."""
    if not any(line.received or line.dispositioned for line in known.lines):
        return _before_arrival(known)
    if known.closed_at is None and any(line.received < line.amount for line in known.lines):
        return ReturnState.RECEIVING
    if any(line.dispositioned < line.received for line in known.lines):
        return ReturnState.RECEIVED
    open_credits = any(credit.state is not CreditState.ISSUED for credit in known.credits)
    if open_credits or any(creditable(line) for line in known.lines):
        return ReturnState.DISPOSITIONED
    return ReturnState.CREDITED if known.credits else ReturnState.CLOSED


def _before_arrival(known: Return) -> ReturnState:
    if known.cancelled_at is not None:
        return ReturnState.CANCELLED
    if known.closed_at is not None:
        return ReturnState.CLOSED
    if known.decision is None:
        return ReturnState.REQUESTED
    return ReturnState.REFUSED if known.decision == "refused" else ReturnState.AUTHORISED


def may_be_credited(known: Return) -> bool:
    """Whether its goods were wanted back: what came without it waits for a person."""
    return known.decision == "authorised" and known.cancelled_at is None


# --- credits ----------------------------------------------------------------------------------------------------------


def next_credit(known: Return) -> tuple[tuple[CreditedLine, ...], Decimal, Decimal]:
    """Lines, net and fee of what may be credited now; no lines where nothing is."""
    restocked: dict[int, Decimal] = defaultdict(Decimal)
    for credit in known.credits:
        for each in credit.lines:
            restocked[each.line] += each.restocked
    lines, net, fee = [], _ZERO, _ZERO
    for line in known.lines:
        amount = creditable(line)
        if not amount:
            continue
        stock = min(amount, max(line.kept - restocked[line.line], _ZERO))
        lines.append(CreditedLine(line=line.line, amount=amount, restocked=stock))
        net += amount * line.unit_price
        fee += amount * line.unit_price * line.fee_percent / _HUNDRED
    return tuple(lines), _rounded(net), _rounded(fee)


def credit_order(known: Return, credit: Credit) -> CreditOrder:
    """A credit as an ERP is asked for it: at the prices of the order."""
    by_number = {line.line: line for line in known.lines}
    lines = []
    for each in credit.lines:
        line = by_number[each.line]
        lines.append(
            CreditLine(
                line=each.line,
                item=line.item,
                sku=line.sku,
                amount=each.amount,
                uom=line.uom,
                unit_price=Money(line.unit_price, known.currency),
                restocked=each.restocked,
            )
        )
    return CreditOrder(
        credit=credit.credit,
        order=known.order_id,
        sold_to=known.sold_to,
        currency=known.currency,
        location=known.location,
        lines=tuple(lines),
        fee=credit.fee,
        reason=", ".join(sorted({line.reason for line in known.lines})),
    )


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, rounding=ROUND_HALF_UP)


# --- what a person should do ------------------------------------------------------------------------------------------


def needs_of(known: Return, now: datetime, expected_days: int, alert_after: int) -> Sequence[Need]:
    """What waits for somebody: decisions, goods that did not come or should not have, systems that refuse."""
    return (*_decisions(known), *_goods(known, now, expected_days), *_systems(known, alert_after))


def _decisions(known: Return) -> Sequence[Need]:
    if known.state is ReturnState.REQUESTED:
        return (Need(code="return.to_decide", detail=f"{known.over}: authorise it all the same, or refuse it"),)
    return ()


def _goods(known: Return, now: datetime, expected_days: int) -> Sequence[Need]:
    found = []
    came = [line for line in known.lines if line.received or line.dispositioned]
    if came and not may_be_credited(known):
        found.append(Need(code="return.unexpected", detail="goods came that nobody authorised: authorise or close it"))
    for line in came:
        if line.received > line.amount:
            much = plain(line.received - line.amount)
            detail = f"line {line.line}: {much} more came than authorised: authorise them, or refuse what is too much"
            if line.refused < line.received - line.amount:
                found.append(Need(code="return.too_much", detail=detail))
        if line.dispositioned > line.received:
            detail = f"line {line.line}: more was decided about than came: have the warehouse put its reports right"
            found.append(Need(code="return.over_dispositioned", detail=detail))
        if line.credited + line.refused > max(min(line.dispositioned, line.amount), _ZERO) and line.credited:
            detail = f"line {line.line}: more is credited than came back by now: bill the difference, or close it"
            found.append(Need(code="return.over_credited", detail=detail))
    late = known.decided_at is not None and now - known.decided_at > timedelta(days=expected_days)
    if late and known.state in (ReturnState.AUTHORISED, ReturnState.RECEIVING):
        detail = f"not all of it came within {expected_days} days: ask the buyer, or close it"
        found.append(Need(code="return.overdue", detail=detail))
    return found


def _systems(known: Return, alert_after: int) -> Sequence[Need]:
    found = []
    for credit in known.credits:
        if credit.state is CreditState.BY_HAND:
            detail = "no system of ours issues credit notes for its order: issue it, and tell its number"
            found.append(Need(code="return.credit_by_hand", detail=detail))
        elif credit.state is CreditState.REFUSED:
            detail = f"{credit.system} refused the credit note: {credit.task.error_detail}. Mend it there and retry"
            found.append(Need(code="return.credit_refused", detail=detail))
        elif credit.task.attempts >= alert_after:
            detail = f"{credit.system} has not confirmed the credit note: {credit.task.error_detail}. It is tried again"
            found.append(Need(code="return.credit_unanswered", detail=detail))
    for each in known.dispositions:
        if each.task.state is TaskState.REFUSED and each.movement is None:
            detail = (
                f"{each.task.system} refused a disposition: {each.task.error_detail}. Mend it and retry, or withdraw"
            )
            found.append(Need(code="return.disposition_refused", detail=detail))
    return found
