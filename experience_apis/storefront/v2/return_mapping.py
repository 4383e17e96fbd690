"""Returns to the storefront's shapes and back. Pure."""

from __future__ import annotations

from decimal import Decimal

from experience_apis.storefront.v2 import mapping, return_schemas, schemas
from experience_apis.storefront.v2.mapping import instant, money_view
from gateway.kernel.errors import Conflict, Rejected
from gateway.kernel.money import Money
from gateway.kernel.quantity import plain
from process_apis.returns.models import AskedBack, AskReturn, Credit, CreditState, Return, ReturnLine, ReturnState
from process_apis.returns.rules import OVER


def ask_return(data: return_schemas.ReturnInput) -> AskReturn:
    """The command behind a return input; its reference is the partner's action."""
    return AskReturn(
        action=data.reference,
        order=data.order_id,
        lines=tuple(
            AskedBack(line=each.line, amount=Decimal(each.quantity.amount), uom=each.quantity.unit, reason=each.reason)
            for each in data.lines
        ),
        note=data.note,
    )


def refusal(refused: Rejected | Conflict) -> Conflict:
    """`refused` as this door has it: what fits the contract and cannot be done is a conflict (decision 3)."""
    if isinstance(refused, Conflict):
        return mapping.refusal(refused)
    return Conflict(refused.detail, code=refused.code, context=refused.context)


def return_view(known: Return) -> return_schemas.ReturnView:
    """A return as its partner sees it."""
    return return_schemas.ReturnView(
        id=known.return_id,
        reference=known.reference,
        order_id=known.order_id,
        status=return_schemas.ReturnStatusView(
            state=known.state.value,
            settled=known.state in OVER,
            review=known.over if known.state is ReturnState.REQUESTED else None,
        ),
        location=known.location,
        freight=known.freight,
        asked_at=instant(known.created_at),
        lines=[_line_view(line, known.currency) for line in known.lines],
        credit_notes=[_credit_view(credit, known.currency) for credit in known.credits],
        version=known.version,
    )


def _line_view(line: ReturnLine, currency: str) -> return_schemas.ReturnLineView:
    return return_schemas.ReturnLineView(
        line=line.line,
        item=schemas.ItemRef(id=line.item, sku=line.sku),
        reason=line.reason,
        counters=return_schemas.ReturnCountersView(
            unit=line.uom,
            asked=plain(line.amount),
            received=plain(line.received),
            dispositioned=plain(line.dispositioned),
            refused=plain(line.refused),
            credited=plain(line.credited),
        ),
        unit_price=money_view(Money(line.unit_price, currency)),
        fee_percent=plain(line.fee_percent),
    )


def _credit_view(credit: Credit, currency: str) -> return_schemas.CreditNoteView:
    return return_schemas.CreditNoteView(
        number=credit.number,
        issued=credit.state is CreditState.ISSUED,
        issued_on=credit.issued_on,
        net=money_view(Money(credit.net - credit.fee, currency)),
        fee=money_view(Money(credit.fee, currency)),
        total=None if credit.total is None else money_view(Money(credit.total, currency)),
    )
