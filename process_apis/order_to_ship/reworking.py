"""Doing what people asked of an order, once no system has what it concerns: claims, counters, releases together.

What cannot be done then is raised as an exception, and the order is handed over again as it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Final

from gateway.canonical.capabilities import ClaimsStock, Connection, FindsSystems
from gateway.canonical.stock import ClaimedLine, ClaimLine, ClaimOverride, ClaimRequest
from gateway.kernel.errors import Conflict, CrossdockError, Unavailable
from gateway.store.together import Together
from process_apis.order_to_ship.amending import with_more
from process_apis.order_to_ship.covering import Lack, merged, note_shortage
from process_apis.order_to_ship.models import Allocation, ExceptionClass, Finding, Rework, Verb
from process_apis.order_to_ship.records import Change
from process_apis.order_to_ship.releases import coverable, handed_over, latest
from process_apis.order_to_ship.rework_rules import (
    PERSON,
    amounts_of,
    cancel_part,
    handed_parts,
    kept_claims,
    withdrawn,
)
from process_apis.order_to_ship.settling import apply_own_step, planned
from process_apis.order_to_ship.steps import Step, StepKind, with_task

_US: Final = "crossdock"
_KIND: Final = "rework"
_ZERO: Final = Decimal(0)


async def own_step(change: Change, step: Step, claims: ClaimsStock, systems: FindsSystems) -> None:
    """Any step that is nothing but our own transaction."""
    if step.kind is not StepKind.REWORK:
        await apply_own_step(change, step, claims, systems)
        return
    rework = _pending(change)
    try:
        async with _all_or_nothing(change.connection):
            told = await _done(change, rework, claims, systems)
    except Unavailable:
        raise
    except CrossdockError as refused:
        await _withdraw(change, rework, claims)
        change.set(rework=None)
        await _restate(change, claims)
        change.find(_undone(rework, refused))
        change.tell("order.change_refused", verb=rework.verb, reason=refused.detail)
        return
    _tell(change, rework, told)


async def rework_now(change: Change, claims: ClaimsStock, systems: FindsSystems) -> None:
    """Do it in the transaction that asked for it. Raises `Conflict` where it cannot be done."""
    rework = _pending(change)
    _tell(change, rework, await _done(change, rework, claims, systems))


@asynccontextmanager
async def _all_or_nothing(connection: Connection) -> AsyncIterator[None]:
    """What claims did is undone where a later one of them is refused; the transaction goes on."""
    await connection.execute("savepoint rework")
    try:
        yield
    except CrossdockError:
        await connection.execute("rollback to savepoint rework")
        raise
    await connection.execute("release savepoint rework")


def _pending(change: Change) -> Rework:
    if change.order.rework is None:
        raise LookupError("nothing was asked of the order")
    return change.order.rework


async def _done(change: Change, rework: Rework, claims: ClaimsStock, systems: FindsSystems) -> Sequence[int]:
    """Do it; `change` is touched only when all of it succeeded. The lines that it changed."""
    before = change.order
    try:
        keep = kept_claims(before, rework.releases)
        await _withdraw(change, rework, claims)
        change.set(rework=None)
        if rework.verb is Verb.HOLD:
            change.set(hold_reason=rework.reason, hold_kind=PERSON)
        elif rework.verb is Verb.CANCEL:
            await _cancel(change, rework, claims, keep)
        elif rework.verb is Verb.REALLOCATE:
            await _reallocate(change, rework, claims, keep)
        elif rework.verb is Verb.AMEND:
            await _amend(change, rework, claims, keep)
        else:
            await _split(change, rework, claims, systems, keep)
        await _restate(change, claims)
    except CrossdockError:
        change.order = before
        raise
    return [line.line for line in (*rework.lines, *rework.more)]


async def _withdraw(change: Change, rework: Rework, claims: ClaimsStock) -> None:
    order = change.order
    if not rework.releases:
        return
    free = {claim for part in handed_parts(order) if part.release in rework.releases for claim in part.claims}
    await claims.take_back(
        change.connection,
        tenant=order.tenant,
        action=f"{order.order_id}:{rework.action}:back",
        order=order.order_id,
        claims=sorted(free),
        correlation_id=order.correlation_id,
    )
    gone = withdrawn(order, rework.releases)
    change.set(released=gone.released, tasks=gone.tasks, allocated_at=None)


async def _given_back(
    change: Change, rework: Rework, claims: ClaimsStock, keep: Sequence[str]
) -> Sequence[ClaimedLine]:
    order = change.order
    return await claims.lessen(
        change.connection,
        tenant=order.tenant,
        action=f"{order.order_id}:{rework.action}:less",
        order=order.order_id,
        amounts=amounts_of(order, rework.lines),
        keep=keep,
        correlation_id=order.correlation_id,
    )


async def _cancel(change: Change, rework: Rework, claims: ClaimsStock, keep: Sequence[str]) -> None:
    amounts = amounts_of(change.order, rework.lines)
    await _given_back(change, rework, claims, keep)
    lines = change.order.lines
    change.set(lines=tuple(cancel_part(line, amounts[line.line]) if line.line in amounts else line for line in lines))


async def _amend(change: Change, rework: Rework, claims: ClaimsStock, keep: Sequence[str]) -> None:
    """As its buyer wants it. Whoever gets more, or gets it elsewhere, is looked at like whoever orders."""
    if rework.lines:
        await _cancel(change, rework, claims, keep)
    order = change.order
    change.set(ship_to=rework.ship_to or order.ship_to, requested_date=rework.requested_date or order.requested_date)
    if rework.more:
        await _promise_more(change, rework, claims)
        longer = with_more(change.order, rework.more)
        change.set(lines=longer.lines, total=longer.total, allocated_at=None)
    if rework.more or rework.ship_to is not None:
        change.set(approved_at=None, vetted_at=None)


async def _promise_more(change: Change, rework: Rework, claims: ClaimsStock) -> None:
    """All of it, as for an order: what the channel's rule keeps back is not given."""
    order, writes = change.order, Together()
    items = {line.line: line.item for line in order.lines}
    request = ClaimRequest(
        action=f"{order.order_id}:{rework.action}:more",
        order=order.order_id,
        channel=order.channel,
        lines=[ClaimLine(line=each.line, item=items[each.line], amount=each.amount or _ZERO) for each in rework.more],
        correlation_id=order.correlation_id,
        need_by=order.requested_date,
        ship_to=f"{order.ship_to.country} {order.ship_to.postal_code}",
    )
    [made] = await claims.claim_all(change.connection, tenant=order.tenant, requests=[request], writes=writes)
    if isinstance(made, Conflict):
        raise made
    if kit := next((each for each in made if each.kit is not None), None):
        raise Conflict(f"line {kit.line} is served in components: order more of it apart", code="claim.kit_divided")
    await writes.run(change.connection)


async def _reallocate(change: Change, rework: Rework, claims: ClaimsStock, keep: Sequence[str]) -> None:
    amounts = amounts_of(change.order, rework.lines)
    await _given_back(change, rework, claims, keep)
    by_number = {line.line: line for line in change.order.lines}
    asked = [
        ClaimLine(line=each.line, item=by_number[each.line].item, amount=amounts[each.line], location=each.location)
        for each in rework.lines
    ]
    await _claimed(change, rework, claims, asked, "there")


async def _split(
    change: Change, rework: Rework, claims: ClaimsStock, systems: FindsSystems, keep: Sequence[str]
) -> None:
    """The named part is promised anew where it was, so that its claims are its own; then both parts are handed over."""
    by_location: dict[str, dict[int, ClaimLine]] = defaultdict(dict)
    for back in await _given_back(change, rework, claims, keep):
        if back.kit is not None:
            raise Conflict(f"line {back.line} is served in components: split it by hand", code="claim.kit_divided")
        known = by_location[back.location].get(back.line)
        amount = back.amount + (known.amount if known else Decimal(0))
        by_location[back.location][back.line] = ClaimLine(
            line=back.line, item=back.item, amount=amount, location=back.location
        )
    apart: set[str] = set()
    for location, asked in sorted(by_location.items()):
        apart |= {claim.claim for claim in await _claimed(change, rework, claims, list(asked.values()), location)}
    await _hand_over_apart(change, rework, claims, systems, apart)


async def _hand_over_apart(
    change: Change, rework: Rework, claims: ClaimsStock, systems: FindsSystems, apart: set[str]
) -> None:
    order = change.order
    due = sorted({*coverable(order), *(line.line for line in rework.lines)})
    held = await claims.allocate(
        change.connection,
        tenant=order.tenant,
        action=f"{order.order_id}:{rework.action}:allocate",
        order=order.order_id,
        correlation_id=order.correlation_id,
        handed=True,
        lines=due,
    )
    for part in ([each for each in held if each.claim in apart], held):
        parts = handed_over(change.order, part)
        if not parts:
            continue
        tasks = planned(change.order, {one.location for one in parts}, systems, latest(change.order) + 1)
        change.set(released=(*change.order.released, *parts))
        for task in tasks:
            change.set(tasks=with_task(change.order, task).tasks)


async def _claimed(
    change: Change, rework: Rework, claims: ClaimsStock, lines: Sequence[ClaimLine], what: str
) -> Sequence[ClaimedLine]:
    """Promise what the same order just gave back, or as much elsewhere: what a rule keeps back doesn't matter."""
    order, writes = change.order, Together()
    request = ClaimRequest(
        action=f"{order.order_id}:{rework.action}:{what}",
        order=order.order_id,
        channel=order.channel,
        lines=lines,
        correlation_id=order.correlation_id,
        override=ClaimOverride(actor=rework.actor, reason=rework.reason),
        need_by=order.requested_date,
    )
    [made] = await claims.claim_all(change.connection, tenant=order.tenant, requests=[request], writes=writes)
    if isinstance(made, Conflict):
        raise made
    await writes.run(change.connection)
    return made


async def _restate(change: Change, claims: ClaimsStock) -> None:
    """Counters and allocations as the claims have it now."""
    order = change.order
    standing = await claims.standing(change.connection, tenant=order.tenant, order=order.order_id)
    change.set(
        allocations=merged(
            Allocation(line=each.line, location=each.location, claim=each.claim, amount=each.amount)
            for each in standing
        )
    )
    note_shortage(
        change, [Lack(each.line, each.location, each.lacking, each.expected) for each in standing if each.lacking]
    )


def _tell(change: Change, rework: Rework, lines: Sequence[int]) -> None:
    if rework.verb is Verb.HOLD:
        change.tell("order.held", reason=rework.reason)
    elif rework.verb is Verb.CANCEL:
        change.tell("order.shortened", reason=rework.reason)
    else:
        change.tell("order.changed", verb=rework.verb, lines=list(lines))


def _undone(rework: Rework, refused: CrossdockError) -> Finding:
    return Finding(
        exception=ExceptionClass.CLASHED,
        fault_domain=_US,
        code=refused.code,
        detail=f"{rework.verb} asked by {rework.actor} was not done, the order goes on as it was: {refused.detail}",
        blocking=False,
        kind=_KIND,
        target=rework.action,
    )
