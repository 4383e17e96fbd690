"""Which ERP an order goes to while a business unit moves from one to another, and what a move does to its tasks. Pure.

A cut-over holds for orders by the instant they were placed at, so that it gives the same answer for ever. An order that
is moved has, beside the task of its ERP order, one of withdrawing it from the ERP before: only when that one has
confirmed that it holds the order no more, the other is asked to take it. It is live in one of them at most.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from gateway.canonical.capabilities import FindsSystems
from gateway.kernel.errors import CrossdockError
from process_apis.order_to_ship.models import (
    ErpMove,
    ExceptionClass,
    Finding,
    MoveState,
    Order,
    Task,
    TaskKind,
    TaskState,
)
from process_apis.order_to_ship.outcomes import Verdict
from process_apis.order_to_ship.releases import release_of
from process_apis.order_to_ship.steps import Step, StepKind, is_going_back, with_task

_THERE: Final = frozenset({TaskState.ATTEMPTED, TaskState.DONE, TaskState.UNDOING})
_UNDER_WAY: Final = frozenset({MoveState.WITHDRAWING, MoveState.SUBMITTING})


def erp_for(order: Order, location: str, systems: FindsSystems) -> str:
    """The ERP that takes what leaves from `location` for this order."""
    erp = systems.erp_of(order.tenant, location)
    for cut_over in order.cut_overs:
        if erp == cut_over.from_erp and (not cut_over.locations or location in cut_over.locations):
            erp = cut_over.to_erp
    for move in order.moves:
        if erp == move.from_erp and move.state not in (MoveState.ASKED, MoveState.STAYED):
            erp = move.to_erp
    return erp


def locations_of(order: Order, task: Task, locations: set[str], systems: FindsSystems) -> list[str]:
    """Those of a release's locations that one ERP's task is for; all, where no other ERP has a part of the release."""
    others = [each for each in order.of_kind(TaskKind.ERP_ORDER) if release_of(each) == release_of(task)]
    if len(others) == 1:
        return sorted(locations)
    return [location for location in sorted(locations) if erp_for(order, location, systems) == task.system]


def told_of(order: Order, location: str, release: int, poster: str | None, systems: FindsSystems) -> str | None:
    """The ERP that is told of what left `location`: the one that has the order, where those that take orders are."""
    try:
        if poster is None or poster != systems.erp_of(order.tenant, location):
            return poster
        taken_by = [task.system for task in order.of_kind(TaskKind.ERP_ORDER) if release_of(task) == release]
        erp = taken_by[0] if len(taken_by) == 1 else erp_for(order, location, systems)
    except CrossdockError:
        return poster
    return erp if erp in taken_by else poster


# --- moving one order -------------------------------------------------------------------------------------------------


def stays_because(order: Order, move: ErpMove) -> str | None:
    """Why an order is left where it is; None when it can be moved."""
    if order.completed_at or order.cancelled_at or order.rejected_at:
        return "it is closed"
    if is_going_back(order):
        return "it is being given up"
    if order.rework is not None:
        return f"{order.rework.verb} by {order.rework.actor} is under way"
    if order.picking_began_at or any(line.shipped or line.over_shipped for line in order.lines):
        return "the warehouse has begun"
    if any(each.from_erp == move.to_erp and each.state is not MoveState.STAYED for each in order.moves):
        return f"{move.to_erp} had it before and keeps it as cancelled"
    return None


def begun(order: Order, move: ErpMove) -> Order:
    """The order once it is on its way, or the reason why it stays."""
    if (reason := stays_because(order, move)) is not None:
        return _with_move(order, replace(move, state=MoveState.STAYED, detail=reason))
    changed = order
    for task in order.tasks:
        if task.system != move.from_erp:
            continue
        if task.kind is TaskKind.TERMS and task.state is not TaskState.DONE:
            changed = with_task(changed, replace(task, system=move.to_erp))
        if task.kind is TaskKind.ERP_ORDER and task.state is not TaskState.WITHDRAWN:
            changed = _turned(changed, task, move.to_erp)
    return followed(_with_move(changed, replace(move, state=MoveState.WITHDRAWING, detail=None)))


def _turned(order: Order, task: Task, to_erp: str) -> Order:
    """The ERP order is the other one's now; what may stand in the first one is to be withdrawn."""
    order = with_task(order, Task(kind=task.kind, target=task.target, system=to_erp))
    if task.state not in _THERE:
        return order
    unknown = task.state is not TaskState.DONE
    # A twin that came late shows until then; and what is not known is looked up no sooner than before.
    waits = [at for at in (task.not_before, task.verify_at) if at is not None]
    withdrawal = Task(
        kind=TaskKind.ERP_WITHDRAWAL,
        target=task.target,
        system=task.system,
        state=TaskState.UNDOING if unknown else TaskState.DONE,
        settling=unknown,
        not_before=max(waits, default=None),
        number=task.number,
    )
    return with_task(order, withdrawal)


def followed(order: Order) -> Order:
    """The order with its moves as far as its tasks are; itself when nothing changed."""
    changed = order
    for move in order.moves:
        if move.state in _UNDER_WAY and (state := _progress(order, move)) is not move.state:
            changed = _with_move(changed, replace(move, state=state))
    return changed


def _progress(order: Order, move: ErpMove) -> MoveState:
    withdrawals = [task for task in order.of_kind(TaskKind.ERP_WITHDRAWAL) if task.system == move.from_erp]
    if any(task.state in _THERE for task in withdrawals):
        return MoveState.WITHDRAWING
    if order.completed_at or order.cancelled_at or order.rejected_at:
        return MoveState.MOVED
    settled = (TaskState.DONE, TaskState.WITHDRAWN)
    wanted = [task for task in order.of_kind(TaskKind.ERP_ORDER) if task.system == move.to_erp]
    return MoveState.MOVED if all(task.state in settled for task in wanted) else MoveState.SUBMITTING


def _with_move(order: Order, move: ErpMove) -> Order:
    return replace(order, moves=tuple(move if each.from_erp == move.from_erp else each for each in order.moves))


# --- what other systems answer ----------------------------------------------------------------------------------------


def spared(order: Order, step: Step, verdict: Verdict, now: datetime) -> tuple[Order, Verdict]:
    """The verdict as it holds for an order on the move: it was accepted, and no ERP's refusal ends it.

    The ERP before keeps what it will not cancel. What the new one refuses is a person's case, and tried again when that
    person says so.
    """
    task = step.the_task
    if step.kind is StepKind.WITHDRAW_ORDER and verdict.cancel_refused:
        order = _kept(order, task, verdict.finding)
        gone = replace(verdict.task, state=TaskState.ABSENT)
        if not is_going_back(order):
            return order, Verdict(task=gone)  # it stays where it is, as it was: the move says why
        return order, Verdict(task=gone, finding=verdict.finding, cancel_refused=True)
    moved = any(move.to_erp == task.system and move.state in _UNDER_WAY for move in order.moves)
    if step.kind is StepKind.SUBMIT_ORDER and verdict.refusal is not None and moved:
        waits = replace(verdict.task, state=TaskState.ATTEMPTED, settling=True, not_before=now)
        return order, Verdict(task=waits, finding=refused(task, verdict.refusal))
    return order, verdict


def refused(task: Task, why: str) -> Finding:
    """What a person reads of an order that its new ERP does not take."""
    return Finding(
        exception=ExceptionClass.REFUSED,
        fault_domain=task.system,
        code="order.move_refused",
        detail=f"{task.system} does not take the order that moved to it: {why}. Mend it there and retry, or cancel",
        blocking=True,
        kind=task.kind,
        target=task.target,
    )


def _kept(order: Order, withdrawal: Task, finding: Finding | None) -> Order:
    """The order with its task at the ERP that keeps it, and everything that was to be told to the other."""
    (move,) = (each for each in order.moves if each.from_erp == withdrawal.system)
    back = Task(
        kind=TaskKind.ERP_ORDER,
        target=withdrawal.target,
        system=withdrawal.system,
        state=TaskState.DONE,
        number=withdrawal.number,
    )
    order = with_task(order, back)
    for task in order.of_kind(TaskKind.SHIPMENT_POSTING):
        if task.system == move.to_erp and task.state is TaskState.PENDING:
            order = with_task(order, replace(task, system=move.from_erp))
    detail = "it would not cancel it" if finding is None else finding.detail
    return _with_move(order, replace(move, state=MoveState.STAYED, detail=detail))
