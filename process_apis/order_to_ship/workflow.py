"""One turn of an order: under its lock, do what is due until something has to be waited for.

A turn is started at least once and may die anywhere. What it is about to ask of another system is written before it
is asked, and what came of it after; the next turn reads the record and finds its way (`steps.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Final

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import ClaimsStock, FindsSystems
from gateway.durable.shapes import CURRENT
from gateway.kernel.clock import Clock
from gateway.kernel.errors import NotFound, Unavailable
from gateway.store.postgres import Store
from process_apis.order_to_ship.erp_moves import begun as begun_move
from process_apis.order_to_ship.erp_moves import spared
from process_apis.order_to_ship.freight_options import Criticality, FreightOptions
from process_apis.order_to_ship.freight_settling import FreightDesk
from process_apis.order_to_ship.handover import Handover
from process_apis.order_to_ship.invoice_rules import InvoicingOptions
from process_apis.order_to_ship.invoicing import InvoiceDesk
from process_apis.order_to_ship.models import MoveState, Order, Task
from process_apis.order_to_ship.outcomes import Outcome, Pace, judge
from process_apis.order_to_ship.pacing import Gate
from process_apis.order_to_ship.records import Change, lock, sql
from process_apis.order_to_ship.reworking import own_step
from process_apis.order_to_ship.settling import apply_verdict, decide_terms, with_terms
from process_apis.order_to_ship.steps import (
    FREIGHT_STEPS,
    OWN_STEPS,
    Step,
    StepKind,
    Wait,
    begin,
    is_orphaned,
    with_task,
)
from process_apis.order_to_ship.vetting import Vetting

_STEPS_PER_TURN: Final = 100
_TRIES: Final = 60
_LONGEST_PAUSE_S: Final = 5.0
_BUSY_S: Final = 1.0
# One event loop does one thing at a time: more transactions at once only hold their locks for longer. Turns that wait
# for another system's answer hold none.
_DECIDING_AT_ONCE: Final = 4
_log: Final = logging.getLogger(__name__)


class _Begun(Struct, frozen=True):
    order: Order
    step: Step


class Turns:
    """Runs turns. `claims` and `systems` are capabilities; `pace` says how failures are repeated.

    `gate` lets a turn call a paced system, or has it wait in the record.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        claims: ClaimsStock,
        systems: FindsSystems,
        vetting: Vetting,
        pace: Pace,
        call_timeout: float,
        gate: Gate,
        freight: FreightOptions,
        criticality: Mapping[str, Criticality],
        invoicing: InvoicingOptions,
    ) -> None:
        self._vetting = vetting
        self._store = store
        self._gate = gate
        self._claims = claims
        self._systems = systems
        self._pace = pace
        self._handover = Handover(systems, clock, pace, call_timeout, freight)
        self._freight = FreightDesk(freight, criticality)
        self._invoices = InvoiceDesk(invoicing)
        self._deciding = asyncio.Semaphore(_DECIDING_AT_ONCE)

    async def run(self, order_id: str, turn: int) -> None:
        """One turn. While the record is away it is tried again, because then nothing of it can be written down."""
        for attempt in range(1, _TRIES + 1):
            try:
                await self._run(order_id, turn)
            except NotFound:
                _log.warning("turn %s of %s has no order", turn, order_id)
                return
            except Unavailable as e:
                if attempt == _TRIES:
                    raise
                _log.warning("turn %s of %s waits for the record: %s", turn, order_id, e.detail)
                await asyncio.sleep(min(_LONGEST_PAUSE_S, 0.1 * 2.0 ** min(attempt, 10)))
            else:
                return

    async def _run(self, order_id: str, turn: int) -> None:
        async with self._store.connection() as connection:
            if not await _take(connection, order_id):
                await self._come_back(connection, order_id)
                return
            try:
                begun = await self._open(connection, order_id, turn)
                for _ in range(_STEPS_PER_TURN):
                    if begun is None:
                        return
                    outcome = await self._handover.perform(begun.order, begun.step)
                    begun = await self._conclude(connection, begun, outcome)
                await self._come_back(connection, order_id)
            finally:
                await _free(connection, order_id)

    async def _come_back(self, connection: asyncpg.Connection, order_id: str) -> None:
        """Another turn of this order is running, or this one has run long enough: one more, soon."""
        async with connection.transaction():
            order, now = await lock(connection, order_id)
            change = Change(connection, order, now)
            change.wake(_BUSY_S)
            await change.save()

    async def _locked(self, connection: asyncpg.Connection, order_id: str) -> tuple[Order, Change]:
        order, now = await lock(connection, order_id)
        order = with_terms(order, self._systems)
        return order, Change(connection, order, now)

    async def _open(self, connection: asyncpg.Connection, order_id: str, turn: int) -> _Begun | None:
        async with self._deciding, connection.transaction():
            order, change = await self._locked(connection, order_id)
            now = change.now
            if order.shape != CURRENT.name:  # taken over from an earlier release: its next turns are ours
                change.set(shape=CURRENT.name)
                order = change.order
            for task in order.tasks:
                if is_orphaned(task):
                    settle = self._handover.settle_of(task)
                    change.set(
                        tasks=with_task(change.order, replace(task, settling=True, not_before=now + settle)).tasks
                    )
            for move in order.moves:
                if move.state is MoveState.ASKED:
                    change.order = begun_move(change.order, move)
            return await self._go_on(change, may_wait=change.order is order and turn < order.waiting_turn)

    async def _conclude(self, connection: asyncpg.Connection, begun: _Begun, outcome: Outcome) -> _Begun | None:
        async with self._deciding, connection.transaction():
            _, change = await self._locked(connection, begun.order.order_id)
            if await self._gate.turned_away(change, begun.step, outcome.error):
                pass
            elif begun.step.kind is StepKind.CHECK_TERMS and outcome.error is None:
                await decide_terms(change, begun.step, outcome, self._vetting)
            else:
                self._apply(change, begun.step, outcome)
            return await self._go_on(change, may_wait=False)

    def _apply(self, change: Change, step: Step, outcome: Outcome) -> None:
        verdict = judge(step, outcome, change.now, self._pace)
        change.order, verdict = spared(change.order, step, verdict, change.now)
        if step.kind is StepKind.BILL_SHIPMENT:
            verdict = self._invoices.settle(change, step.the_task, outcome, verdict)
        if step.kind not in FREIGHT_STEPS:
            apply_verdict(change, step, verdict)
            return
        verdict = self._freight.settle(change, step, outcome, verdict)
        apply_verdict(change, step, verdict)
        if step.kind is StepKind.QUOTE_FREIGHT:
            self._freight.choose(change, verdict.task)

    async def _go_on(self, change: Change, *, may_wait: bool) -> _Begun | None:
        """Apply our own steps, begin the next call, or enqueue the turn that comes after the wait; then save."""
        self._freight.plan(change)
        self._invoices.plan(change)
        upcoming = change.next()
        while isinstance(upcoming, Step) and upcoming.kind in OWN_STEPS:
            before = change.order
            await own_step(change, upcoming, self._claims, self._systems)
            self._freight.plan(change)
            # A step that changes nothing would be due for ever: what it waits for wakes the order.
            upcoming = None if change.order is before else change.next()
        if parked := not await self._gate.admits(change, upcoming):
            upcoming = None
        if isinstance(upcoming, Step):
            change.set(**_begun_facts(change.order, upcoming))
        elif isinstance(upcoming, Wait) and not may_wait:
            change.wake(max(0.05, (upcoming.until - change.now).total_seconds() + 0.05))
        order = await change.save()
        if parked:
            await self._gate.park(change)
        return _Begun(order, upcoming) if isinstance(upcoming, Step) else None


async def _take(connection: asyncpg.Connection, order_id: str) -> bool:
    """Try for the order's lock. Interrupted, the session may have it without knowing, so it ends."""
    with _certain(connection):
        taken: bool = await connection.fetchval(sql.try_order_lock, order_id)
    return taken


async def _free(connection: asyncpg.Connection, order_id: str) -> None:
    """Give the order's lock back."""
    with _certain(connection):
        await connection.execute(sql.free_order_lock, order_id)


@contextlib.contextmanager
def _certain(connection: asyncpg.Connection) -> Iterator[None]:
    """A session of which it is not certain that it holds no lock must end: pooled, it would keep it for ever."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(asyncpg.InterfaceError):
            connection.terminate()
        raise


def _begun_facts(order: Order, step: Step) -> dict[str, tuple[Task, ...]]:
    tasks = begin(order, step).tasks
    return {} if tasks is order.tasks else {"tasks": tasks}
