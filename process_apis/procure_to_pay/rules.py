"""Where a purchase stands: one pure function of its facts, whatever their order. Amounts are in base units."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from gateway.canonical.purchase import PurchaseStatus, ShipNotice
from gateway.kernel.quantity import plain
from process_apis.procure_to_pay.answers import Answer, Piece, answer_of
from process_apis.procure_to_pay.booked_bills import beside_the_books
from process_apis.procure_to_pay.matching import Billable, Matching, match
from process_apis.procure_to_pay.models import (
    Decision,
    Facts,
    LineStanding,
    Need,
    Purchase,
    PurchaseLine,
    PurchaseState,
    Standing,
    SupplyPart,
)
from process_apis.procure_to_pay.options import PurchaseTolerances

_ZERO: Final = Decimal(0)
_HUNDRED: Final = Decimal(100)


def stand(purchase: Purchase, facts: Facts, tolerances: PurchaseTolerances) -> Standing:
    """Where `purchase` stands by everything that was said of it."""
    decisions = _decided(facts.decisions)
    answers = {line.line: answer_of(line, facts.acknowledgements, decisions, tolerances) for line in purchase.lines}
    received = _spread(purchase.lines, answers, facts.received)
    notices = _live(facts.notices)
    found: list[LineStanding] = []
    needs: list[Need] = [need for answer in answers.values() for need in answer.needs]
    supply: list[SupplyPart] = []
    for line in purchase.lines:
        answer = answers[line.line]
        standing, more = _line(purchase, line, answer, received[line.line], facts, decisions, tolerances)
        pieces = _supply(line, answer, standing, notices)
        advised = sum((part.amount for part in pieces if part.advised), _ZERO)
        dates = [part.on for part in pieces if part.on is not None]
        found.append(replace(standing, advised=advised, expected=max(dates, default=None) if standing.open else None))
        needs += more
        supply += pieces
    matched = _match(purchase, found, answers, facts, decisions, tolerances)
    invoices, differing = beside_the_books(matched.invoices, facts.invoices, facts.bills, decisions)
    lines = tuple(
        replace(each, invoiced=matched.invoiced.get(each.line, _ZERO), matched=matched.matched.get(each.line, _ZERO))
        for each in found
    )
    return Standing(
        state=_state(purchase, lines, matched),
        lines=lines,
        invoices=invoices,
        needs=(*needs, *matched.needs, *differing, *_strays(purchase, facts, notices)),
        supply=tuple(supply),
    )


def _decided(decisions: Sequence[Decision]) -> dict[str, bool]:
    return {each.subject: each.accept for each in decisions}


def _live(notices: Sequence[ShipNotice]) -> list[ShipNotice]:
    """Of each notice the version with the highest sequence; the earliest expected first."""
    latest: dict[str, ShipNotice] = {}
    for each in notices:
        known = latest.get(each.number)
        if known is None or each.sequence > known.sequence:
            latest[each.number] = each
    return sorted(latest.values(), key=lambda each: (each.expected, each.number))


def _spread(
    lines: Sequence[PurchaseLine], answers: Mapping[int, Answer], received: Mapping[str, Decimal]
) -> dict[int, Decimal]:
    """What came of each item, line by line up to what was agreed to; what is more stands on the last one."""
    found: dict[int, Decimal] = {}
    by_item: dict[str, list[PurchaseLine]] = defaultdict(list)
    for line in lines:
        by_item[line.item].append(line)
    for item, some in by_item.items():
        left = max(received.get(item, _ZERO), _ZERO)
        for line in some:
            found[line.line] = min(left, line.base - answers[line.line].rejected)
            left -= found[line.line]
        found[some[-1].line] += left
    return found


def _line(
    purchase: Purchase,
    line: PurchaseLine,
    answer: Answer,
    received: Decimal,
    facts: Facts,
    decisions: Mapping[str, bool],
    tolerances: PurchaseTolerances,
) -> tuple[LineStanding, list[Need]]:
    committed = line.base - answer.rejected
    counted = min(received, committed)
    over, left = received - counted, committed - counted
    short = counted > 0 and left * _HUNDRED <= line.base * tolerances.under_receipt_percent
    over_by_person = any(each.line == line.line for each in facts.closures)
    cancelled = left if short or over_by_person or purchase.status is not PurchaseStatus.APPROVED else _ZERO
    needs: list[Need] = []
    taken = over
    if over * _HUNDRED > line.base * tolerances.over_receipt_percent:
        key = f"over/{line.line}"
        decided = decisions.get(key)
        taken = over if decided else _ZERO
        if decided is None:
            detail = f"line {line.line} ({line.sku}): {plain(over)} {line.base_uom} more came than was agreed to"
            value = over / line.factor * line.unit_price
            needs.append(Need(key=key, code="purchase.over_received", detail=detail, value=value))
    back = sum((each.amount * line.factor for each in facts.sent_back if each.line == line.line), _ZERO)
    return (
        LineStanding(
            line=line.line,
            ordered=line.base,
            acknowledged=answer.acknowledged,
            rejected=answer.rejected,
            cancelled=cancelled,
            received=received,
            over=over,
            sent_back=back,
            accepted=max(counted + taken - back, _ZERO),
            open=left - cancelled,
            answered=answer.answered,
        ),
        needs,
    )


def _supply(
    line: PurchaseLine, answer: Answer, standing: LineStanding, notices: Sequence[ShipNotice]
) -> list[SupplyPart]:
    """What comes and came of a line by date: what is advised by its notice, the rest by what was acknowledged.

    A notice speaks of what was to come first. All of it together is what is open or was received and ordered.
    """
    target = left = standing.open + standing.received - standing.over
    parts: list[SupplyPart] = []
    for notice in notices:
        said = sum((each.amount for each in notice.lines if each.line == line.line), _ZERO) * line.factor
        amount = min(said, left)
        if amount > 0:
            left -= amount
            parts.append(SupplyPart(line=line.line, amount=amount, on=notice.expected, advised=True))
    gone = target - left
    dated = sorted(answer.pieces, key=lambda piece: piece.on or date.max)
    for piece in dated:
        amount, gone = _after(piece, gone)
        amount = min(amount, left)
        if amount > 0:
            left -= amount
            parts.append(SupplyPart(line=line.line, amount=amount, on=piece.on))
    return _merged(parts)


def _after(piece: Piece, gone: Decimal) -> tuple[Decimal, Decimal]:
    used = min(piece.amount, gone)
    return piece.amount - used, gone - used


def _merged(parts: Sequence[SupplyPart]) -> list[SupplyPart]:
    found: dict[object, SupplyPart] = {}
    for part in parts:
        key = part.on, part.advised
        known = found.get(key)
        amount = part.amount + (known.amount if known else _ZERO)
        found[key] = SupplyPart(line=part.line, amount=amount, on=part.on, advised=part.advised)
    return list(found.values())


def _match(
    purchase: Purchase,
    lines: Sequence[LineStanding],
    answers: Mapping[int, Answer],
    facts: Facts,
    decisions: Mapping[str, bool],
    tolerances: PurchaseTolerances,
) -> Matching:
    standing = {each.line: each for each in lines}
    billable = {
        line.line: Billable(
            line=line,
            accepted=standing[line.line].accepted,
            to_come=standing[line.line].open,
            prices=answers[line.line].prices,
        )
        for line in purchase.lines
    }
    return match(facts.invoices, billable, purchase.currency, decisions, tolerances)


def _strays(purchase: Purchase, facts: Facts, notices: Sequence[ShipNotice]) -> list[Need]:
    """What names items or lines that the order does not have: it counts nowhere until a person looked."""
    decisions = _decided(facts.decisions)
    known = {line.line for line in purchase.lines}
    items = {line.item for line in purchase.lines}
    found = [
        (f"stray/item/{item}", f"{plain(amount)} of {item} came in under {purchase.number}, which has no such line")
        for item, amount in sorted(facts.received.items())
        if item not in items and amount
    ]
    found += [
        (f"stray/ack/{each.number}", f"acknowledgement {each.number} speaks of lines that the order does not have")
        for each in sorted(facts.acknowledgements, key=lambda each: each.number)
        if any(part.line not in known for part in each.lines)
    ]
    found += [
        (f"stray/asn/{each.number}/{each.sequence}", f"ship notice {each.number} speaks of lines that are not there")
        for each in notices
        if any(part.line not in known for part in each.lines)
    ]
    return [Need(key=key, code="purchase.line_unknown", detail=detail) for key, detail in found if key not in decisions]


def _state(purchase: Purchase, lines: Sequence[LineStanding], matched: Matching) -> PurchaseState:
    came = any(line.received for line in lines)
    if purchase.status is PurchaseStatus.CANCELLED and not came:
        return PurchaseState.CANCELLED
    if all(not line.open for line in lines):
        billed = all(line.matched >= line.accepted for line in lines)
        if came and billed and all(each.verdict in ("matched", "refused") for each in matched.invoices):
            return PurchaseState.MATCHED
        return PurchaseState.RECEIVED if came else PurchaseState.CLOSED
    if came:
        return PurchaseState.PARTLY_RECEIVED
    return _before_it_comes(lines)


def _before_it_comes(lines: Sequence[LineStanding]) -> PurchaseState:
    if any(line.advised for line in lines):
        return PurchaseState.ON_ITS_WAY
    return PurchaseState.ACKNOWLEDGED if all(line.answered for line in lines) else PurchaseState.APPROVED
