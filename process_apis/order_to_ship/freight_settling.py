"""What carriers' answers do to an order, inside its transaction; a carrier that is not critical never stops it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from gateway.canonical.freight import Booking
from process_apis.order_to_ship.freight_calls import no_offer
from process_apis.order_to_ship.freight_options import Criticality, FreightOptions, FreightRule
from process_apis.order_to_ship.freight_rules import (
    booked,
    choose,
    freight_of,
    goods_target,
    location_of,
    quote_target,
    quotes_settled,
    with_freight,
)
from process_apis.order_to_ship.models import (
    ExceptionClass,
    Finding,
    Freight,
    FreightOffer,
    Order,
    Task,
    TaskKind,
    TaskState,
)
from process_apis.order_to_ship.outcomes import Outcome, Verdict
from process_apis.order_to_ship.records import Change
from process_apis.order_to_ship.releases import place_of, release_of, target_of
from process_apis.order_to_ship.steps import Step, StepKind, with_task

_TRIES: Final = 2
_COLLECTED: Final = "freight.collected"


class FreightDesk:
    """Plans who is asked, and settles what they answered. `criticality` is by system; carriers degrade by default."""

    def __init__(self, options: FreightOptions, criticality: Mapping[str, Criticality]) -> None:
        self._options = options
        self._criticality = criticality

    def plan(self, change: Change) -> None:
        """Have carriers asked about goods that are handed over next, where a rule says so."""
        if not self._options.rules:
            return
        for release, location in _handed_over(change.order):
            rule = self._options.rule(change.order.channel, location)
            target = target_of(location, release)
            if rule is None or any(each.target == target for each in change.order.freight):
                continue
            change.set(freight=with_freight(change.order, Freight(target=target)).freight)
            for carrier in rule.carriers:
                asked = Task(
                    kind=TaskKind.FREIGHT_QUOTE, target=quote_target(location, carrier, release), system=carrier
                )
                change.set(tasks=with_task(change.order, asked).tasks)

    def settle(self, change: Change, step: Step, outcome: Outcome, verdict: Verdict) -> Verdict:
        """Keep what the answer says; returns the verdict as it counts for this order."""
        if step.kind is StepKind.QUOTE_FREIGHT:
            return self._quoted(change, outcome, verdict)
        if step.kind is StepKind.BOOK_FREIGHT:
            return self._booked(change, outcome, verdict)
        return _unbooked(verdict)

    def choose(self, change: Change, task: Task) -> None:
        """Once all carriers have answered, or are asked no more: take an offer, and plan its booking."""
        target, location = goods_target(task), location_of(task)
        freight = freight_of(change.order, target)
        if not quotes_settled(change.order, target) or change.order.task(TaskKind.FREIGHT_BOOKING, target):
            return
        order = change.order
        rule = self._options.rule(order.channel, location) or FreightRule(carriers=(task.system,))
        taken = choose(
            rule, freight.offers, partner=order.partner, currency=order.currency, need_by=order.requested_date
        )
        if taken is None and any(self._waits_for(carrier) for carrier in rule.carriers):
            detail = no_offer(" and ".join(rule.carriers), rule, freight.offers)
            change.find(_finding(task, ExceptionClass.CLASHED, "freight.no_offer", detail, blocking=True))
            change.set(tasks=with_task(order, replace(task, state=TaskState.PENDING)).tasks)
            return
        carrier = taken.carrier if taken else rule.carriers[0]
        chosen = replace(freight, offers=())
        if taken is not None:
            chosen = replace(
                chosen, carrier=carrier, service=taken.service, price=taken.price, arrives_on=taken.arrives_on
            )
        booking = Task(kind=TaskKind.FREIGHT_BOOKING, target=target, system=carrier)
        change.set(freight=with_freight(order, chosen).freight, tasks=with_task(order, booking).tasks)

    def _quoted(self, change: Change, outcome: Outcome, verdict: Verdict) -> Verdict:
        task = verdict.task
        if outcome.error is None:
            target = goods_target(task)
            offers = _answers(outcome.answer)
            known = freight_of(change.order, target)
            others = tuple(each for each in known.offers if each.carrier != task.system)
            change.set(freight=with_freight(change.order, replace(known, offers=(*others, *offers))).freight)
            return verdict
        if self._is_critical(task):
            return verdict
        stuck = verdict.finding is not None and verdict.finding.blocking
        if not stuck and task.attempts < _TRIES:
            return verdict
        finding = None if verdict.finding is None else replace(verdict.finding, blocking=False)
        return replace(verdict, task=replace(task, state=TaskState.SKIPPED, not_before=None), finding=finding)

    def _booked(self, change: Change, outcome: Outcome, verdict: Verdict) -> Verdict:
        task = verdict.task
        if isinstance(outcome.answer, Booking):
            freight = booked(freight_of(change.order, task.target), task.system, outcome.answer)
            change.set(freight=with_freight(change.order, freight).freight)
            change.tell(
                "order.freight_booked",
                system=task.system,
                location=place_of(task),
                service=freight.service,
                number=freight.number,
                tracking=list(freight.tracking),
            )
            return replace(verdict, task=replace(task, number=freight.number))
        if outcome.error is None:
            detail = f"{task.system} has the booking cancelled: book by hand, under another reference"
            gone = _finding(task, ExceptionClass.CLASHED, "freight.cancelled_elsewhere", detail, blocking=False)
            return replace(verdict, task=replace(task, state=TaskState.SKIPPED), finding=gone)
        if verdict.finding is None or not verdict.finding.blocking or self._is_critical(task):
            return verdict
        # Nobody asks again by itself what was refused: a person retries it when it may go another way.
        return replace(
            verdict,
            task=replace(task, state=TaskState.SKIPPED, not_before=None),
            finding=replace(verdict.finding, blocking=False),
        )

    def _is_critical(self, task: Task) -> bool:
        return self._waits_for(task.system)

    def _waits_for(self, system: str) -> bool:
        return self._criticality.get(system, "degrade") == "critical"


def _unbooked(verdict: Verdict) -> Verdict:
    """A carrier that has collected the goods keeps no claim and stops no order: a person fetches them back."""
    if not verdict.cancel_refused or verdict.finding is None:
        return verdict
    task = verdict.task
    detail = f"{task.system} has the goods already ({verdict.finding.detail}): have them brought back"
    return Verdict(
        task=replace(task, state=TaskState.SKIPPED),
        finding=_finding(task, ExceptionClass.CLASHED, _COLLECTED, detail, blocking=False),
    )


def _handed_over(order: Order) -> list[tuple[int, str]]:
    """Releases and locations that goods are to leave from, of which no ERP was told yet."""
    if order.released:
        found = {(part.release, part.location) for part in order.released if not part.withdrawn}
    else:
        found = {(1, part.location) for part in order.allocations} if order.allocated_at else set()
    told = {release_of(task) for task in order.of_kind(TaskKind.ERP_ORDER) if not _is_new(task)}
    return sorted(each for each in found if each[0] not in told)


def _is_new(task: Task) -> bool:
    return task.state is TaskState.PENDING and not task.attempts


def _answers(answer: object) -> list[FreightOffer]:
    if not isinstance(answer, (list, tuple)):
        raise TypeError(f"quote_freight gave {type(answer).__name__}")
    return [each for each in answer if isinstance(each, FreightOffer)]


def _finding(task: Task, exception: ExceptionClass, code: str, detail: str, *, blocking: bool) -> Finding:
    return Finding(
        exception=exception,
        fault_domain=task.system,
        code=code,
        detail=detail,
        blocking=blocking,
        kind=task.kind,
        target=task.target,
    )
