"""What was asked, what the record says of it, and what each request is answered: the same behind locks and without."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from gateway.canonical.kit import KitBook
from gateway.canonical.stock import ClaimedLine, ClaimLine, ClaimRequest, Substitution
from gateway.canonical.substitute import Substitute, SubstituteBook
from gateway.kernel.errors import Conflict, Rejected
from process_apis.availability.actions import ActionRow, answered, digest
from process_apis.availability.models import ChannelRule, Need
from process_apis.availability.narrowing import for_class
from process_apis.availability.promising import Promise, Shelf
from process_apis.availability.rulebook import open_rule
from process_apis.availability.substituting import Allowed


class Asked(msgspec.Struct, kw_only=True, frozen=True):
    """Requests of one tenant that are decided together: of different orders, with different action ids."""

    tenant: str
    requests: Sequence[ClaimRequest]
    orders: Sequence[str]
    channels: Sequence[str]
    items: Sequence[str]
    book: KitBook
    stand_ins: SubstituteBook | None
    now: datetime

    def only(self, requests: Sequence[ClaimRequest]) -> Asked:
        """Of what is asked, these requests."""
        return msgspec.structs.replace(self, requests=requests)


class Heads(msgspec.Struct, kw_only=True):
    """What the record says of orders, actions and rules. `versions` are those that the orders' locks give, or will.

    `with_lots` are items of which goods are there whose lot has a last day.
    """

    rules: Mapping[str, ChannelRule]
    own_rules: Sequence[ChannelRule]
    fencing: Sequence[ChannelRule]
    versions: Mapping[str, int]
    earlier: Mapping[str, ActionRow]
    made_before: Mapping[str, ClaimedLine]
    cancelled: Sequence[str]
    handled: Sequence[str]
    with_lots: Collection[str]
    at: datetime


def decide(asked: Asked, heads: Heads, shelf: Shelf) -> tuple[list[Sequence[ClaimedLine] | Conflict], list[Promise]]:
    """What each request is answered, one after the other, and what is to be written for it."""
    answers: list[Sequence[ClaimedLine] | Conflict] = []
    promises: list[Promise] = []
    for request in asked.requests:
        needs = [Need(line.line, line.item, line.amount, line.location) for line in sorted(request.lines, key=_number)]
        content = digest("claim", request.order, request.channel, _said(request, needs))
        try:
            if (known := heads.earlier.get(request.action)) is not None:
                answers.append(answered(known, content, heads.made_before))
                continue
            check_open(request.order, heads.cancelled)
            rule = for_class(heads.rules.get(request.channel) or open_rule(request.channel), request.customer_class)
            policies = _policies(request, rule, asked.stand_ins, asked.book)
            made = shelf.promise(request, rule, heads.fencing, needs, asked.now, *policies)
        except Conflict as refusal:
            answers.append(refusal.with_traceback(None))  # an answer; its traceback would hold all of the batch
            continue
        ends = request.expires_at if request.expires_in is None else heads.at + request.expires_in
        promises.append(Promise(request, rule, made, content, heads.versions[request.order], ends))
        answers.append(made)
    return answers, promises


def _policies(
    request: ClaimRequest, rule: ChannelRule, stand_ins: SubstituteBook | None, book: KitBook
) -> tuple[Allowed, Allowed]:
    """What may stand in for which line, and what is only told of; kits do neither."""
    if stand_ins is None:
        return {}, {}
    found: dict[Substitution, dict[int, Sequence[Substitute]]] = {"none": {}, "offer": {}, "accept": {}}
    for line in request.lines:
        if line.item not in book.kits:
            may = [each for each in stand_ins.of(line.item, request.channel) if each.item not in book.kits]
            found[line.substitution or rule.terms.substitution][line.line] = may
    return found["accept"], found["offer"]


def check_lines(lines: Sequence[ClaimLine]) -> None:
    """Raise `Rejected` for lines that no order can have."""
    if len({line.line for line in lines}) != len(lines):
        raise Rejected("a line number is used twice: number the lines of an order", code="claim.line_repeated")
    for line in lines:
        if not line.amount.is_finite() or line.amount <= 0:
            raise Rejected(f"line {line.line} claims {line.amount}: claim more than zero", code="claim.amount_invalid")


def check_open(order: str, cancelled: Sequence[str]) -> None:
    """Raise `Conflict` (``claim.order_cancelled``) where `order` is among them."""
    if order in cancelled:
        raise Conflict(f"order {order} was cancelled: claim for a new one", code="claim.order_cancelled")


def _said(request: ClaimRequest, needs: Sequence[Need]) -> object:
    if request.customer_class is not None or any(line.substitution != "none" for line in request.lines):
        named = [line.substitution for line in sorted(request.lines, key=_number)]
        return [request.fill, needs, named, request.customer_class]
    return needs if request.fill == "complete" else [request.fill, needs]


def _number(line: ClaimLine) -> int:
    return line.line
