"""The shapes of returns on the wire. Amounts are exact decimals, as strings, in base units of the item."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from gateway.kernel.quantity import plain
from process_apis.returns.disposing import Came
from process_apis.returns.models import (
    AskedBack,
    AskReturn,
    Credit,
    Dispose,
    Disposition,
    Freight,
    Need,
    Return,
    ReturnLine,
    ReturnState,
    Target,
)

Amount = Annotated[str, Meta(pattern=r"^(?=[0-9.]*[1-9])[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["2", "0.5"])]
AnyAmount = Annotated[str, Meta(pattern=r"^[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["0", "2"])]
Figure = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$(?!\n)", examples=["2"])]
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["RMA-17"])]
Reason = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z0-9_]+$(?!\n)", examples=["damaged"])]
Lot = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["L-2031-04"])]
LineNumber = Annotated[int, Meta(ge=1, le=10_000)]
OrderId = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9_]+$(?!\n)", examples=["ord_01"])]


class ReturnLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of one order line comes back, in base units, and for which reason of the settings."""

    line: LineNumber
    amount: Amount
    reason: Reason


class ReturnInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Goods of an order that are to come back, in order to be credited.

    `action` is the caller's own id of this command: repeating it changes nothing. Without `location` they come to
    where they left from; without `freight` the reasons say who pays for the way.
    """

    action: Text
    order: OrderId
    lines: Annotated[list[ReturnLineInput], Meta(min_length=1, max_length=200)]
    location: Text | None = None
    freight: Freight | None = None
    note: Text | None = None


class LineAmountInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """An amount of one line, in base units."""

    line: LineNumber
    amount: AnyAmount


class GrantedLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of one line is authorised in all."""

    line: LineNumber
    amount: Amount


class AuthorisationInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why it is authorised beyond the rules, and how much of which lines in all; lines left out stay as asked."""

    reason: Text
    lines: Annotated[list[GrantedLineInput], Meta(max_length=200)] = []


class RefusedLinesInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of what came is not credited, in all, by line."""

    reason: Text
    lines: Annotated[list[LineAmountInput], Meta(min_length=1, max_length=200)]


class ReturnReasonInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why; the audit trail keeps it."""

    reason: Text


class ReceivedLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of one line came, and of which lot where goods lie by lot."""

    line: LineNumber
    amount: Amount
    lot: Lot | None = None


class ReturnReceiptInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What came back to a location that we hold; `action` as for returns, repeated with the same content."""

    action: Text
    occurred_at: Annotated[datetime, Meta(tz=True)]
    lines: Annotated[list[ReceivedLineInput], Meta(min_length=1, max_length=200)]


class DispositionInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What becomes of a received quantity: into stock again (`sellable`, `damaged`, `quality_hold`), or `out`."""

    action: Text
    line: LineNumber
    amount: Amount
    target: Target
    lot: Lot | None = None


class CreditNumberInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """The number of the credit note that a person issued."""

    number: Text


class ReturnLineView(Struct, kw_only=True):
    """One line. `credited` is on credit notes asked for or issued; `fee_percent` of its price is kept."""

    line: int
    item: str
    sku: str
    uom: str
    unit_price: Figure
    reason: str
    fee_percent: Figure
    amount: Figure
    received: Figure
    sellable: Figure
    damaged: Figure
    quality_hold: Figure
    out: Figure
    refused: Figure
    credited: Figure


class DispositionView(Struct, kw_only=True):
    """A disposition that a person asked for; `state` is ``made`` once its movement is in the books."""

    disposition_id: str
    line: int
    amount: Figure
    target: Target
    state: str
    system: str | None
    error: str | None
    created_at: datetime


class CreditView(Struct, kw_only=True):
    """A credit note. `net` and `fee` are ours, before tax; `total`, with tax, and `number` the ERP's."""

    credit_id: str
    state: str
    system: str | None
    net: Figure
    fee: Figure
    number: str | None
    issued_on: date | None
    total: Figure | None
    attempts: int
    error: str | None


class ReturnNeedView(Struct, kw_only=True):
    """What a person should look at, and what to do."""

    code: str
    detail: str


class ReturnView(Struct, kw_only=True):
    """One return. `over` says which rules it breaks; `needs`, what a person should do."""

    return_id: str
    order: str
    partner: str | None
    sold_to: str
    currency: str
    location: str
    freight: Freight
    state: ReturnState
    version: int
    note: str | None
    over: str | None
    decided_by: str | None
    decision_reason: str | None
    lines: list[ReturnLineView]
    dispositions: list[DispositionView]
    credits: list[CreditView]
    needs: list[ReturnNeedView]
    asked_by: str
    created_at: datetime
    changed_at: datetime


class ReturnPage(Struct, kw_only=True):
    """A page of returns, newest first."""

    items: list[ReturnView]
    next_cursor: str | None


def command_of(body: ReturnInput) -> AskReturn:
    """The command that a body asks for."""
    lines = tuple(AskedBack(line=one.line, amount=Decimal(one.amount), reason=one.reason) for one in body.lines)
    return AskReturn(
        action=body.action, order=body.order, lines=lines, location=body.location, freight=body.freight, note=body.note
    )


def disposition_of(body: DispositionInput) -> Dispose:
    """The command that a body asks for."""
    return Dispose(action=body.action, line=body.line, amount=Decimal(body.amount), target=body.target, lot=body.lot)


def came(lines: Sequence[ReceivedLineInput]) -> list[Came]:
    """What came, by line."""
    return [Came(line.line, Decimal(line.amount), line.lot) for line in lines]


def amounts_of(lines: Sequence[LineAmountInput] | Sequence[GrantedLineInput]) -> dict[int, Decimal]:
    """Amounts by line; the last word on a line holds."""
    return {line.line: Decimal(line.amount) for line in lines}


def return_view(known: Return, needs: Sequence[Need]) -> ReturnView:
    """A return on the wire."""
    return ReturnView(
        return_id=known.return_id,
        order=known.order_id,
        partner=known.partner,
        sold_to=known.sold_to,
        currency=known.currency,
        location=known.location,
        freight=known.freight,
        state=known.state,
        version=known.version,
        note=known.note,
        over=known.over,
        decided_by=known.decided_by,
        decision_reason=known.decision_reason,
        lines=[_line(line) for line in known.lines],
        dispositions=[_disposition(each) for each in known.dispositions],
        credits=[_credit(each) for each in known.credits],
        needs=[ReturnNeedView(code=need.code, detail=need.detail) for need in needs],
        asked_by=known.asked_by,
        created_at=known.created_at,
        changed_at=known.changed_at,
    )


def _line(line: ReturnLine) -> ReturnLineView:
    return ReturnLineView(
        line=line.line,
        item=line.item,
        sku=line.sku,
        uom=line.uom,
        unit_price=plain(line.unit_price),
        reason=line.reason,
        fee_percent=plain(line.fee_percent),
        amount=plain(line.amount),
        received=plain(line.received),
        sellable=plain(line.sellable),
        damaged=plain(line.damaged),
        quality_hold=plain(line.quality_hold),
        out=plain(line.out),
        refused=plain(line.refused),
        credited=plain(line.credited),
    )


def _disposition(each: Disposition) -> DispositionView:
    return DispositionView(
        disposition_id=each.disposition,
        line=each.line,
        amount=plain(each.amount),
        target=each.target,
        state=each.state,
        system=each.task.system,
        error=each.task.error_code,
        created_at=each.created_at,
    )


def _credit(each: Credit) -> CreditView:
    return CreditView(
        credit_id=each.credit,
        state=each.state,
        system=each.system,
        net=plain(each.net),
        fee=plain(each.fee),
        number=each.number,
        issued_on=each.issued_on,
        total=None if each.total is None else plain(each.total),
        attempts=each.task.attempts,
        error=each.task.error_code,
    )
