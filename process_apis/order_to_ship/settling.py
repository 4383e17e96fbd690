"""What outcomes do to an order, inside its transaction: decisions, claims, events, exceptions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import ClaimsStock, FindsSystems
from gateway.canonical.kit import in_kits
from gateway.canonical.party import CustomerAccount
from gateway.canonical.stock import ClaimedLine
from gateway.kernel.errors import CrossdockError, Unavailable
from gateway.kernel.money import Money
from process_apis.order_to_ship.covering import Lack, merged, note_shortage, waiting_lines
from process_apis.order_to_ship.erp_moves import erp_for
from process_apis.order_to_ship.models import (
    Allocation,
    ExceptionClass,
    Finding,
    Order,
    Task,
    TaskKind,
    TaskState,
)
from process_apis.order_to_ship.outcomes import Outcome, Verdict
from process_apis.order_to_ship.records import Change, sql
from process_apis.order_to_ship.releases import coverable, handed_over, latest, place_of, target_of
from process_apis.order_to_ship.rules import cancel_rest, hold_reason
from process_apis.order_to_ship.steps import Step, StepKind, is_going_back, with_task
from process_apis.order_to_ship.vetting import RULE, Vetting

_SUCCEEDED: Final = "a later attempt succeeded"
_US: Final = "crossdock"
_LONGEST_REASON: Final = 500
_WAITED: Final = "it waited for stock longer than its channel waits"


async def decide_terms(change: Change, step: Step, outcome: Outcome, vetting: Vetting) -> None:
    """Approve or hold, under the customer's lock: two orders cannot both take the rest of one limit."""
    account = outcome.answer
    if not isinstance(account, CustomerAccount):
        raise TypeError(f"read_customer gave {type(account).__name__}")
    order = change.order
    await change.connection.fetchval(sql.lock_customer, order.tenant, order.sold_to)
    open_orders = await change.connection.fetchval(
        sql.open_exposure, order.tenant, order.sold_to, order.currency, order.order_id
    )
    task = replace(step.the_task, state=TaskState.DONE, attempts=0, not_before=None, error_code=None)
    change.set(tasks=with_task(order, task).tasks)
    change.resolve(task.kind, task.target, by=_US, resolution=_SUCCEEDED)
    if order.cancelled_at or order.rejected_at:
        return  # it was given up while the ERP was asked: nothing is left to approve or to hold
    reasons = await vetting.reasons(change.connection, order) if order.vetted_at is None else ()
    reason = hold_reason(account, Money(open_orders, order.currency))
    held_by_terms = order.hold_reason is not None and order.hold_kind is None
    if reasons and (order.hold_reason is None or held_by_terms):
        _hold(change, "; ".join(reasons)[:_LONGEST_REASON], RULE)
    elif not reasons and reason is None:
        change.set(approved_at=change.now)
        if held_by_terms:
            change.set(hold_reason=None)
            change.tell("order.resumed", reason="its customer's terms allow it now")
    elif reason is not None and order.hold_reason is None:
        _hold(change, reason, None)


def _hold(change: Change, reason: str, kind: str | None) -> None:
    change.set(hold_reason=reason, hold_kind=kind)
    change.tell("order.held", reason=reason)


def apply_verdict(change: Change, step: Step, verdict: Verdict) -> None:
    """Put the task in its new state, tell what became true, raise or resolve exceptions."""
    task = verdict.task
    change.set(tasks=with_task(change.order, task).tasks)
    if verdict.cancel_refused and change.order.rework is not None and not is_going_back(change.order):
        change.tell("order.change_refused", verb=change.order.rework.verb, reason=f"{task.system} works on it")
        change.set(rework=None)
    elif verdict.cancel_refused:
        change.set(cancel_refused_at=change.now)
    if verdict.finding is not None:
        change.find(_softened(change.order, verdict.finding))
    elif task.state in (TaskState.DONE, TaskState.ABSENT):
        change.resolve(task.kind, task.target, by=_US, resolution=_SUCCEEDED)
    moved = change.order.task(TaskKind.ERP_WITHDRAWAL, task.target) is not None
    if task.state is TaskState.DONE and step.kind is StepKind.SUBMIT_ORDER and not moved:
        change.tell("order.submitted", system=task.system, number=task.number)
    if task.state is TaskState.DONE and step.kind is StepKind.RELEASE_WORK:
        change.tell("order.released", system=task.system, location=place_of(task), number=task.number)
    if verdict.refusal is not None:
        change.set(reject_reason=verdict.refusal)


def _softened(order: Order, finding: Finding) -> Finding:
    """A refused cancel stops an order only where some of its work was already taken back."""
    if finding.exception is not ExceptionClass.CANCEL_REFUSED:
        return finding
    taken_back = any(task.state is TaskState.ABSENT for task in order.tasks)
    return replace(finding, blocking=taken_back or order.reject_reason is not None)


async def apply_own_step(change: Change, step: Step, claims: ClaimsStock, systems: FindsSystems) -> None:
    """Allocate, give up or close: steps that are nothing but our own transaction."""
    if step.kind is StepKind.ALLOCATE:
        await _allocate(change, claims, systems)
    elif step.kind is StepKind.GIVE_UP:
        await _give_up(change, claims)
    else:
        change.set(completed_at=change.now)
        change.resolve(None, None, by=_US, resolution="the order was completed")
        change.tell("order.completed")


async def _allocate(change: Change, claims: ClaimsStock, systems: FindsSystems) -> None:
    order = change.order
    if order.released or any(line.backordered for line in order.lines):
        await _allocate_part(change, claims, systems)
        return
    try:
        claimed = await claims.allocate(
            change.connection,
            tenant=order.tenant,
            action=f"{order.order_id}:allocate",
            order=order.order_id,
            correlation_id=order.correlation_id,
            handed=True,
        )
    except Unavailable:
        raise
    except CrossdockError as e:
        if e.code == "claim.short":
            lacks = msgspec.convert(e.context["lines"], list[Lack])
            note_shortage(change, lacks)
        else:
            change.find(_claim_lost(e.code, e.detail))
        return
    parts = merged(
        Allocation(line=part.line, location=part.location, claim=part.claim, amount=part.amount)
        for part in in_kits(claimed)
    )
    missing = [
        line.line for line in order.lines if sum(part.amount for part in parts if part.line == line.line) < line.open
    ]
    if missing:
        change.find(_claim_lost("order.claim_lost", f"the promise of lines {missing} is gone: cancel, or claim again"))
        return
    try:
        tasks = planned(order, {part.location for part in parts}, systems)
    except CrossdockError as e:
        change.find(_unplanned(e))
        return
    change.set(allocations=parts, allocated_at=change.now)
    for task in tasks:
        change.set(tasks=with_task(change.order, task).tasks)


async def _allocate_part(change: Change, claims: ClaimsStock, systems: FindsSystems) -> None:
    """Hand over what is covered and in no release yet, as the next one; the order is allocated when nothing waits."""
    waits = any(line.backordered for line in change.order.lines)
    due = sorted(coverable(change.order))
    parts = handed_over(change.order, await _claim_part(change, claims, due))
    try:
        number = latest(change.order) + 1
        tasks = planned(change.order, {part.location for part in parts}, systems, number)
    except CrossdockError as e:
        change.find(_unplanned(e))
        return
    if parts:
        change.set(released=(*change.order.released, *parts))
        for task in tasks:
            change.set(tasks=with_task(change.order, task).tasks)
    if waits or any(line.backordered for line in change.order.lines):
        return
    if lost := sorted(coverable(change.order)):
        change.find(_claim_lost("order.claim_lost", f"the promise of lines {lost} is gone: cancel, or claim again"))
    else:
        change.set(allocated_at=change.now)


async def _claim_part(change: Change, claims: ClaimsStock, lines: Sequence[int]) -> Sequence[ClaimedLine]:
    """Allocate what is there of `lines`, but for those of which something promised is gone: they wait for it."""
    order, left = change.order, list(lines)
    while left:
        try:
            return await claims.allocate(
                change.connection,
                tenant=order.tenant,
                action=f"{order.order_id}:allocate:{order.turn}:{len(left)}",
                order=order.order_id,
                correlation_id=order.correlation_id,
                handed=True,
                lines=left,
            )
        except Unavailable:
            raise
        except CrossdockError as e:
            if e.code != "claim.short":
                change.find(_claim_lost(e.code, e.detail))
                return ()
            lacks = msgspec.convert(e.context["lines"], list[Lack])
            if not any(line.backordered for line in order.lines):
                note_shortage(change, lacks)
            short = {lack.line for lack in lacks}
            left = [line for line in left if line not in short]
    return ()


def planned(order: Order, places: Collection[str], systems: FindsSystems, release: int = 1) -> list[Task]:
    """What is to be asked of which systems for a release from these places."""
    locations = sorted(places)
    erps = sorted({erp_for(order, location, systems) for location in locations})
    tasks = [Task(kind=TaskKind.ERP_ORDER, target=target_of(erp, release), system=erp) for erp in erps]
    for location in locations:
        warehouse = systems.warehouse_of(order.tenant, location)
        if warehouse is not None:
            target = target_of(location, release)
            tasks.append(Task(kind=TaskKind.WAREHOUSE_WORK, target=target, system=warehouse))
    return tasks


async def _give_up(change: Change, claims: ClaimsStock) -> None:
    """Every system that may have held the work has confirmed that it does not: now the claims may go."""
    order = change.order
    await claims.release(
        change.connection,
        tenant=order.tenant,
        action=f"{order.order_id}:release",
        order=order.order_id,
        lines=None,
        correlation_id=order.correlation_id,
    )
    change.set(lines=tuple(cancel_rest(line) for line in order.lines))
    if order.reject_reason is not None:
        change.set(rejected_at=change.now)
        change.tell("order.rejected", reason=order.reject_reason)
    else:
        change.set(cancelled_at=change.now)
        change.tell("order.cancelled", reason=order.cancel_reason)
    change.resolve(None, None, by=_US, resolution="the order was given up")


async def cancel_waiting(change: Change, claims: ClaimsStock) -> None:
    """Cancel what waits for stock, for good; the rest of the order goes on, or is given up where nothing is left."""
    order = change.order
    if order.allocated_at or order.cancelled_at or order.rejected_at or not any(x.backordered for x in order.lines):
        return
    if not any(line.open or line.shipped for line in order.lines):
        change.set(cancel_requested_at=change.now, cancel_reason=_WAITED)
        await _give_up(change, claims)
        return
    await claims.release_waiting(
        change.connection,
        tenant=order.tenant,
        action=f"{order.order_id}:waited",
        order=order.order_id,
        correlation_id=order.correlation_id,
    )
    standing = await claims.standing(change.connection, tenant=order.tenant, order=order.order_id)
    lacks = [Lack(each.line, each.location, each.lacking, each.expected) for each in standing if each.lacking]
    left = {line.line: line.backordered for line in waiting_lines(order.lines, lacks)}
    gone = {line.line: line.backordered - left[line.line] for line in order.lines}
    if not any(gone.values()):
        return  # what it lacks was there when it was promised: a person decides on that
    change.set(
        lines=tuple(
            replace(
                line,
                backordered=left[line.line],
                cancelled=line.cancelled + gone[line.line],
                expected=None if gone[line.line] else line.expected,
            )
            for line in order.lines
        ),
        allocations=merged(
            Allocation(line=each.line, location=each.location, claim=each.claim, amount=each.amount)
            for each in standing
        ),
    )
    note_shortage(change, lacks)
    change.tell("order.shortened", reason=_WAITED)
    change.wake()


def _claim_lost(code: str, detail: str) -> Finding:
    return Finding(
        exception=ExceptionClass.CLAIM_LOST, fault_domain=_US, code=code, detail=detail, blocking=True, kind="claim"
    )


def _unplanned(error: CrossdockError) -> Finding:
    return Finding(
        exception=ExceptionClass.MISCONFIGURED,
        fault_domain=_US,
        code=error.code,
        detail=error.detail,
        blocking=True,
        kind="plan",
    )


def with_terms(order: Order, systems: FindsSystems) -> Order:
    """The order with its first task, the customer's terms, asked of the ERP of its first location."""
    if order.of_kind(TaskKind.TERMS) or not order.allocations:
        return order
    try:
        erp = erp_for(order, order.allocations[0].location, systems)
    except CrossdockError:
        erp = "unknown"
    return with_task(order, Task(kind=TaskKind.TERMS, target=order.sold_to, system=erp))
