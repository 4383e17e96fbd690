"""Orders at the gate of a paced system: what their visit is for, and where they wait (`gateway.pacing`)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gateway.kernel.errors import CrossdockError, Throttled
from gateway.pacing.options import Work
from gateway.pacing.places import Visit
from gateway.pacing.visits import Visits
from gateway.store.queries import queries_beside
from process_apis.order_to_ship.models import QUEUE, WORKFLOW, Order
from process_apis.order_to_ship.records import Change
from process_apis.order_to_ship.steps import UNDO_STEPS, Next, Step, StepKind, with_task

_sql: Final = queries_beside(__file__, "pacing_queries.sql")
_NO_ROOM: Final = frozenset({"outbound.throttled", "outbound.paced"})
# The turn that is enqueued for whoever is called is none of those that wait for a moment (`Turns.run`).
_CALLED_TURN: Final = 2**31 - 1


def work_of(order: Order, step: Step, urgent: Collection[str]) -> Work:
    """What a visit for `step` is. `urgent` are the channels whose buyers have been promised or were promised haste."""
    task = step.the_task
    if step.look_first or task.attempts or step.kind is StepKind.VERIFY_ORDER:
        return Work.UNCERTAIN
    if order.channel in urgent:
        return Work.COMMITTED
    if step.kind in UNDO_STEPS:
        return Work.UNDO
    return Work.POSTING if step.kind in (StepKind.POST_SHIPMENT, StepKind.BILL_SHIPMENT) else Work.ORDINARY


class Gate:
    """Lets an order's turn go on, or gives it a place and lets it end. Without `visits` everybody may pass."""

    def __init__(self, visits: Visits | None, committed: Collection[str]) -> None:
        self._visits = visits
        self._committed = frozenset(committed)

    async def admits(self, change: Change, upcoming: Next) -> bool:
        """Whether the turn may go on to `upcoming`. Systems that it has no more business with are left."""
        visits, order = self._visits, change.order
        if visits is None or not visits.paces:
            return True
        system = upcoming.task.system if isinstance(upcoming, Step) and upcoming.task else None
        pace = None if system is None else visits.paces.get(system)
        await visits.leave(change.connection, order.order_id, but=None if pace is None else system)
        if pace is None or system is None or not isinstance(upcoming, Step):
            return True
        visit = Visit(
            system=system,
            subject=order.order_id,
            work=work_of(order, upcoming, self._committed | {*pace.expedited}),
            since=order.placed_at,
            workflow=WORKFLOW,
            queue=QUEUE,
            args=(order.order_id, _CALLED_TURN),
            shape=order.shape,
        )
        return await visits.enter(change.connection, visit)

    async def park(self, change: Change) -> None:
        """The order is due when it is called, which needs no sweep."""
        await change.connection.execute(_sql.park, change.order.order_id)

    async def turned_away(self, change: Change, step: Step, error: CrossdockError | None) -> bool:
        """Whether a paced system had no room for the step's calls: then nothing failed, and the order waits again."""
        visits, task = self._visits, step.the_task
        if visits is None or not isinstance(error, Throttled) or error.code not in _NO_ROOM:
            return False
        if not visits.holds(task.system):
            return False
        # As it was before the attempt, which certainly did nothing.
        change.set(tasks=with_task(change.order, task).tasks)
        await visits.step_back(change.connection, task.system, change.order.order_id, error.retry_after)
        return True
