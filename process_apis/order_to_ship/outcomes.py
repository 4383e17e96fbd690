"""What an answer, or the lack of one, makes of a task: done, tried again, looked up, refused, or a person's case."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.invoice import SystemInvoice
from gateway.canonical.order import ExternalReference, SystemOrder, SystemShipment, WarehouseWork, WorkState
from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    CrossdockError,
    Misconfigured,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from process_apis.order_to_ship.models import ExceptionClass, Finding, Task, TaskState
from process_apis.order_to_ship.steps import READ_STEPS, UNDO_STEPS, Step, StepKind

TWINS: Final = "erp.twin_orders"
_PICKED: Final = frozenset({WorkState.PICKING, WorkState.SHIPPED})


class Pace(Struct, frozen=True, kw_only=True):
    """How failed attempts are repeated; seconds. The `alert_after`th failure in a row raises an exception."""

    first_retry: float = 1.0
    longest_retry: float = 300.0
    settle: float = 5.0
    alert_after: int = 6

    def backoff(self, attempts: int) -> timedelta:
        """Doubling from `first_retry` to `longest_retry`."""
        return timedelta(seconds=min(self.longest_retry, self.first_retry * 2.0 ** min(max(attempts - 1, 0), 20)))


class Outcome(Struct, frozen=True, kw_only=True):
    """What a call came to: an answer or an error. `reference` is what the system promises about ours."""

    answer: object = None
    error: CrossdockError | None = None
    settle: timedelta = timedelta(seconds=5)
    reference: ExternalReference = ExternalReference.UNIQUE


class Verdict(Struct, frozen=True, kw_only=True):
    """The task afterwards, and what to raise.

    `cancel_refused`: the other side keeps the work. `refusal`: why the ERP will not take the order.
    """

    task: Task
    finding: Finding | None = None
    cancel_refused: bool = False
    refusal: str | None = None


def judge(step: Step, outcome: Outcome, now: datetime, pace: Pace) -> Verdict:
    """Sort one outcome of a step that called another system."""
    task = step.the_task
    if step.kind not in READ_STEPS:
        task = replace(task, attempts=task.attempts + 1)
    if outcome.error is not None:
        return _failed(step, task, outcome, outcome.error, now, pace)
    if step.kind in UNDO_STEPS:
        return _undone(step, task, outcome)
    return _done(step, task, outcome, now)


def _done(step: Step, task: Task, outcome: Outcome, now: datetime) -> Verdict:
    answer = outcome.answer
    settled = replace(
        task, state=TaskState.DONE, settling=False, not_before=None, error_code=None, attempts=0, verify_at=None
    )
    if _is_gone(answer):
        return Verdict(task=replace(settled, state=TaskState.ABSENT), finding=_gone(step))
    if isinstance(answer, (SystemOrder, SystemShipment, SystemInvoice, WarehouseWork)):
        settled = replace(settled, number=answer.number)
    if step.kind is StepKind.SUBMIT_ORDER and step.look_first and outcome.reference is ExternalReference.SEARCHABLE:
        settled = replace(settled, verify_at=now + outcome.settle)
    return Verdict(task=settled)


def _is_gone(answer: object) -> bool:
    """Nothing is there, or it is cancelled there: a warehouse answers a repetition with what the first one made."""
    if isinstance(answer, WarehouseWork):
        return answer.state is WorkState.CANCELLED
    return answer is None or (isinstance(answer, SystemOrder) and answer.cancelled)


def _gone(step: Step) -> Finding:
    system = step.the_task.system
    detail = f"{system} no longer holds the order, or has cancelled it: cancel it here, or retry to submit it again"
    if step.kind is StepKind.RELEASE_WORK:
        detail = (
            f"{system} has cancelled the work and may never take its reference again: have it reopened there and retry,"
            " or cancel the order here"
        )
    return _finding(step, ExceptionClass.CLASHED, "order.cancelled_elsewhere", detail, blocking=True)


def _undone(step: Step, task: Task, outcome: Outcome) -> Verdict:
    answer = outcome.answer
    if isinstance(answer, WarehouseWork) and answer.state in _PICKED:
        return _cancel_refused(step, task, "order.picking_began", f"{task.system} began to pick {answer.number}")
    return Verdict(
        task=replace(task, state=TaskState.ABSENT, settling=False, not_before=None, verify_at=None, attempts=0)
    )


def _failed(step: Step, task: Task, outcome: Outcome, error: CrossdockError, now: datetime, pace: Pace) -> Verdict:
    task = replace(task, error_code=error.code)
    if isinstance(error, (OutcomeUnknown, BrokenUpstream)) and step.kind not in READ_STEPS:
        return _unknown(step, task, outcome, error, now, pace)
    if isinstance(error, (Throttled, Unavailable, OutcomeUnknown, BrokenUpstream, Misconfigured, NotAllowed)):
        return _later(step, task, error, now, pace)
    if step.kind in UNDO_STEPS:
        if isinstance(error, NotFound):
            return Verdict(task=replace(task, state=TaskState.ABSENT, settling=False, not_before=None, attempts=0))
        return _cancel_refused(step, task, error.code, error.detail)
    if isinstance(error, Rejected) and step.kind is StepKind.SUBMIT_ORDER:
        # Half an order may stand there: it is looked up and cancelled before the claims go.
        return Verdict(task=replace(task, state=TaskState.UNDOING, settling=True, not_before=now), refusal=error.detail)
    return Verdict(
        task=replace(_rested(step, task), not_before=None),
        finding=_finding(step, _class_of(error), error.code, error.detail, blocking=True),
    )


def _unknown(step: Step, task: Task, outcome: Outcome, error: CrossdockError, now: datetime, pace: Pace) -> Verdict:
    """It may have been done: look after the settle time, never before; where nothing can be looked up, a person."""
    nothing_to_look_up = outcome.reference is ExternalReference.NONE
    settle = max(outcome.settle, pace.backoff(task.attempts))
    state = TaskState.UNDOING if step.kind in UNDO_STEPS else TaskState.ATTEMPTED
    waiting = replace(task, state=state, settling=True, not_before=now + settle)
    alert = nothing_to_look_up or isinstance(error, BrokenUpstream) or task.attempts >= pace.alert_after
    return Verdict(
        task=waiting,
        finding=_finding(step, _class_of(error), error.code, error.detail, blocking=nothing_to_look_up)
        if alert
        else None,
    )


def _later(step: Step, task: Task, error: CrossdockError, now: datetime, pace: Pace) -> Verdict:
    """Nothing was done: try again, later and later; what a person has to mend is raised at once."""
    attempts = task.attempts + 1 if step.kind in READ_STEPS else task.attempts
    mend = isinstance(error, (Misconfigured, NotAllowed, BrokenUpstream))
    least = timedelta(seconds=error.retry_after if isinstance(error, (Throttled, Unavailable)) else 0)
    wait = max(pace.backoff(attempts + (6 if mend else 0)), least)
    rested = replace(_rested(step, task), attempts=attempts, not_before=now + wait)
    if step.kind is StepKind.VERIFY_ORDER:
        rested = replace(rested, verify_at=now + wait, not_before=None)
    alert = mend or attempts >= pace.alert_after
    finding = _finding(step, _class_of(error), error.code, error.detail, blocking=False) if alert else None
    return Verdict(task=rested, finding=finding)


def _rested(step: Step, task: Task) -> Task:
    """The task as it was before this attempt, where the attempt certainly did nothing."""
    if step.kind in READ_STEPS or step.look_first:
        return replace(task, state=step.the_task.state, settling=step.look_first)
    if step.kind in UNDO_STEPS:
        return replace(task, state=TaskState.DONE, settling=False)
    return replace(task, state=TaskState.PENDING, settling=False)


def _cancel_refused(step: Step, task: Task, code: str, detail: str) -> Verdict:
    return Verdict(
        task=replace(task, state=TaskState.DONE, settling=False, not_before=None, attempts=0),
        finding=_finding(step, ExceptionClass.CANCEL_REFUSED, code, detail, blocking=True),
        cancel_refused=True,
    )


def _finding(step: Step, exception: ExceptionClass, code: str, detail: str, *, blocking: bool) -> Finding:
    task = step.the_task
    return Finding(
        exception=exception,
        fault_domain=task.system,
        code=code,
        detail=detail,
        blocking=blocking,
        kind=task.kind,
        target=task.target,
    )


def _class_of(error: CrossdockError) -> ExceptionClass:
    sorts = (
        (OutcomeUnknown, ExceptionClass.OUTCOME_UNKNOWN),
        ((Throttled, Unavailable), ExceptionClass.SYSTEM_DOWN),
        (BrokenUpstream, ExceptionClass.BROKEN_UPSTREAM),
        ((Misconfigured, NotAllowed), ExceptionClass.MISCONFIGURED),
        (NotFound, ExceptionClass.NOT_FOUND),
        (Conflict, ExceptionClass.CLASHED),
    )
    return next((found for kinds, found in sorts if isinstance(error, kinds)), ExceptionClass.REFUSED)
