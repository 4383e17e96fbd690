"""What an order needs next, purely from its facts: the whole flow of order to ship stands here.

Forward: terms and credit, allocation, freight offers, ERP order, warehouse work, shipment postings, invoices, close.
Backward (a cancel, or an ERP's refusal): warehouse work, then ERP order, then the claims, each only when the one before
is confirmed gone. What people ask of an order that is handed over goes back in the same way as far as it is concerned,
then forward again. Beside all of it, and after the order's end where it takes so long: what carriers are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from process_apis.order_to_ship.freight_rules import bookings_due, bookings_to_undo
from process_apis.order_to_ship.models import ExceptionClass, Order, Rework, Task, TaskKind, TaskState
from process_apis.order_to_ship.releases import may_allocate, release_of


class StepKind(StrEnum):
    """One step. The last four are transactions of our own; all others call another system."""

    CHECK_TERMS = "check_terms"
    QUOTE_FREIGHT = "quote_freight"
    SUBMIT_ORDER = "submit_order"
    VERIFY_ORDER = "verify_order"
    RELEASE_WORK = "release_work"
    POST_SHIPMENT = "post_shipment"
    BILL_SHIPMENT = "bill_shipment"
    CANCEL_WORK = "cancel_work"
    CANCEL_ORDER = "cancel_order"
    WITHDRAW_ORDER = "withdraw_order"
    BOOK_FREIGHT = "book_freight"
    CANCEL_FREIGHT = "cancel_freight"
    ALLOCATE = "allocate"
    REWORK = "rework"
    GIVE_UP = "give_up"
    CLOSE = "close"


OWN_STEPS: Final = frozenset({StepKind.ALLOCATE, StepKind.REWORK, StepKind.GIVE_UP, StepKind.CLOSE})
READ_STEPS: Final = frozenset({StepKind.CHECK_TERMS, StepKind.VERIFY_ORDER, StepKind.QUOTE_FREIGHT})
UNDO_STEPS: Final = frozenset(
    {StepKind.CANCEL_WORK, StepKind.CANCEL_ORDER, StepKind.CANCEL_FREIGHT, StepKind.WITHDRAW_ORDER}
)
FREIGHT_STEPS: Final = frozenset({StepKind.QUOTE_FREIGHT, StepKind.BOOK_FREIGHT, StepKind.CANCEL_FREIGHT})
_BESIDE: Final = frozenset({TaskKind.SHIPMENT_POSTING, TaskKind.INVOICE, TaskKind.FREIGHT_BOOKING})
_TO_DO: Final = frozenset({TaskState.PENDING, TaskState.ATTEMPTED, TaskState.ABSENT})
_MAY_BE_THERE: Final = frozenset({TaskState.ATTEMPTED, TaskState.DONE, TaskState.UNDOING})


class Step(Struct, frozen=True):
    """A step that is due. `look_first`: an earlier attempt may have succeeded."""

    kind: StepKind
    task: Task | None = None
    look_first: bool = False

    @property
    def the_task(self) -> Task:
        """The task of a step that calls another system."""
        if self.task is None:
            raise LookupError(f"{self.kind} has no task")
        return self.task


class Wait(Struct, frozen=True):
    """Nothing is due before this instant."""

    until: datetime


Next = Step | Wait | None


def next_step(order: Order, now: datetime) -> Next:
    """What to do now; None when nothing is left but to wait for somebody else."""
    if order.rejected_at or order.cancelled_at or order.completed_at:
        return _beside(order, now)
    if is_going_back(order):
        return _sooner(None if _blocked(order) else _backward(order, now), _beside(order, now))
    forward = None if _blocked(order) else _leaving(order, now) or _forward(order, now)
    if isinstance(forward, Step):
        return forward
    shipping = _sooner(_after_shipping(order, now), _billing(order, now))
    if isinstance(shipping, Step):
        return shipping
    if forward is None and shipping is None and _is_over(order):
        return Step(StepKind.CLOSE)
    return _sooner(_sooner(forward, shipping), _beside(order, now))


def _sooner(one: Next, other: Next) -> Next:
    """The first of two that is a step, else the wait that ends first."""
    if isinstance(one, Step) or other is None:
        return one
    if isinstance(other, Step) or one is None:
        return other
    return min(one, other, key=lambda wait: wait.until)


def _beside(order: Order, now: datetime) -> Next:
    """What carriers are told: by itself, before or after the order's end."""
    if not order.freight:
        return None
    undo, due = bookings_to_undo(order), bookings_due(order)
    undoing = _first(StepKind.CANCEL_FREIGHT, undo, now) if undo else None
    return _sooner(undoing, _first(StepKind.BOOK_FREIGHT, due, now) if due else None)


def is_going_back(order: Order) -> bool:
    """A cancel was asked and not refused, or an ERP refused the order."""
    cancelling = order.cancel_requested_at is not None and order.cancel_refused_at is None
    return cancelling or order.reject_reason is not None


def is_withdrawn(order: Order, release: int) -> bool:
    """Tell whether every system confirmed that it has this release no more."""
    return any(part.release == release and part.withdrawn for part in order.released)


def begin(order: Order, step: Step) -> Order:
    """The facts once the step's call is under way: what a crash from here on leaves behind."""
    if step.kind in OWN_STEPS or step.kind in READ_STEPS:
        return order
    state = TaskState.UNDOING if step.kind in UNDO_STEPS else TaskState.ATTEMPTED
    attempts = step.the_task.attempts + 1
    return with_task(
        order, replace(step.the_task, state=state, attempts=attempts, settling=False, not_before=None, error_code=None)
    )


def with_task(order: Order, task: Task) -> Order:
    """The order with this task in place of the one of the same kind and target, or added."""
    others = [kept for kept in order.tasks if (kept.kind, kept.target) != (task.kind, task.target)]
    if len(others) == len(order.tasks):
        return replace(order, tasks=(*order.tasks, task))
    same = [task if (kept.kind, kept.target) == (task.kind, task.target) else kept for kept in order.tasks]
    return replace(order, tasks=tuple(same))


def is_orphaned(task: Task) -> bool:
    """Found at the start of a turn: a call was under way when its worker died, so that its outcome is unknown."""
    return task.state in (TaskState.ATTEMPTED, TaskState.UNDOING) and not task.settling


def _blocked(order: Order) -> bool:
    return any(finding.blocking and finding.kind not in _BESIDE for finding in order.exceptions)


def _leaving(order: Order, now: datetime) -> Next:
    """What is left to take back from an ERP that the order moves away from: before anything else goes on."""
    there = [task for task in order.of_kind(TaskKind.ERP_WITHDRAWAL) if task.state in _MAY_BE_THERE]
    return _first(StepKind.WITHDRAW_ORDER, there, now) if there else None


def _forward(order: Order, now: datetime) -> Next:
    if order.rework is not None:
        return _withdrawing(order, order.rework, now)
    if order.hold_reason:
        return _asking_again(order, now)
    if order.approved_at is None:
        terms = order.of_kind(TaskKind.TERMS)
        return _first(StepKind.CHECK_TERMS, terms, now) if terms else Step(StepKind.CHECK_TERMS)
    if order.allocated_at is None and may_allocate(order):
        return Step(StepKind.ALLOCATE)
    for kind, step in (
        (TaskKind.FREIGHT_QUOTE, StepKind.QUOTE_FREIGHT),
        (TaskKind.ERP_ORDER, StepKind.SUBMIT_ORDER),
        (TaskKind.WAREHOUSE_WORK, StepKind.RELEASE_WORK),
    ):
        due = [task for task in order.of_kind(kind) if task.state in _TO_DO]
        if due:
            return _first(step, due, now)
    return None


def _asking_again(order: Order, now: datetime) -> Next:
    """What its customer's terms hold may go once they allow it: asked now and then."""
    asked = [task for task in order.of_kind(TaskKind.TERMS) if task.state is TaskState.PENDING]
    return _first(StepKind.CHECK_TERMS, asked, now) if asked and order.hold_kind is None else None


def _withdrawing(order: Order, rework: Rework, now: datetime) -> Next:
    """Take back what the rework concerns, work before sale; it is done when all that is confirmed gone."""
    handed = (*order.of_kind(TaskKind.WAREHOUSE_WORK), *order.of_kind(TaskKind.ERP_ORDER))
    concerned = [task for task in handed if release_of(task) in rework.releases]
    return _taking_back(concerned, now) or Step(StepKind.REWORK)


def _after_shipping(order: Order, now: datetime) -> Next:
    erps = order.of_kind(TaskKind.ERP_ORDER)
    unverified = [task.verify_at for task in erps if task.verify_at is not None]
    if unverified:
        due = next((task for task in erps if task.verify_at is not None and task.verify_at <= now), None)
        return Step(StepKind.VERIFY_ORDER, due) if due else Wait(min(unverified))
    posting = TaskKind.SHIPMENT_POSTING
    postings = [task for task in order.of_kind(posting) if task.state in _TO_DO]
    stuck = any(finding.blocking and finding.kind == posting for finding in order.exceptions)
    if not postings or stuck:
        return None
    shipments = {shipment.shipment_id: shipment for shipment in order.shipments}
    oldest = min(postings, key=lambda task: shipments[task.target].sequence)
    release = shipments[oldest.target].release
    if any(task.state is not TaskState.DONE for task in erps if release_of(task) == release):
        return None
    return _first(StepKind.POST_SHIPMENT, [oldest], now)


def _billing(order: Order, now: datetime) -> Next:
    """What is posted is billed, each shipment by itself: one that a person has to look at keeps no other."""
    stuck = {found.target for found in order.exceptions if found.blocking and found.kind == TaskKind.INVOICE}
    due = [task for task in order.of_kind(TaskKind.INVOICE) if task.state in _TO_DO and task.target not in stuck]
    return _first(StepKind.BILL_SHIPMENT, due, now) if due else None


def _is_over(order: Order) -> bool:
    """Nothing is to be shipped any more, and everything that was shipped is told, and billed where it is to be."""
    waiting = any(line.open or line.backordered for line in order.lines)
    blocked = any(finding.blocking for finding in order.exceptions)
    after = (*order.of_kind(TaskKind.SHIPMENT_POSTING), *order.of_kind(TaskKind.INVOICE))
    told = all(task.state is TaskState.DONE for task in after)
    return order.allocated_at is not None and told and not waiting and not blocked


def _backward(order: Order, now: datetime) -> Next:
    return _taking_back(order.tasks, now) or Step(StepKind.GIVE_UP)


def _taking_back(tasks: Sequence[Task], now: datetime) -> Next:
    for kind, step in (
        (TaskKind.WAREHOUSE_WORK, StepKind.CANCEL_WORK),
        (TaskKind.ERP_ORDER, StepKind.CANCEL_ORDER),
        (TaskKind.ERP_WITHDRAWAL, StepKind.WITHDRAW_ORDER),
    ):
        there = [task for task in tasks if task.kind is kind and task.state in _MAY_BE_THERE]
        if there:
            return _first(step, there, now)
    return None


def _first(kind: StepKind, tasks: Iterable[Task], now: datetime) -> Next:
    """The first task that may be tried now, else the wait for the earliest."""
    tasks = list(tasks)
    due = next((task for task in tasks if task.not_before is None or task.not_before <= now), None)
    if due is not None:
        return Step(kind, due, look_first=due.settling)
    return Wait(min(task.not_before for task in tasks if task.not_before is not None))


def cancel_refusal(order: Order) -> str | None:
    """Why an order can no longer be cancelled as a whole; None while it can be tried."""
    if order.picking_began_at or any(line.shipped for line in order.lines):
        return "picking began"
    if order.completed_at or order.rejected_at:
        return "it is closed"
    if any(finding.exception is ExceptionClass.CANCEL_REFUSED for finding in order.exceptions):
        return "a system refused a cancel before and a person has not decided yet"
    return None
