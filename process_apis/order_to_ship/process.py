"""Order to ship: what others call. The gateway places, reads and cancels; the worker runs turns and hears shipments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import (
    ChannelAccount,
    ClaimsStock,
    Connection,
    FindsSystems,
    ResolvesCustomers,
    ResolvesItems,
    TellsReturned,
    WithoutCustomers,
)
from gateway.canonical.channel import ChannelOrder
from gateway.canonical.events import Recorded
from gateway.canonical.item import Item
from gateway.canonical.order import FillPolicy, OrderState
from gateway.canonical.reconciliation import BookedOrder, UnpostedLine
from gateway.durable.enqueue import still_active
from gateway.durable.runtime import Workflow, WorkQueue
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, NotFound, Unavailable
from gateway.pacing.places import Waiting
from gateway.pacing.visits import Visits
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from gateway.telemetry.counters import Family
from process_apis.order_to_ship.acceptance import Acceptance
from process_apis.order_to_ship.channel_orders import ChannelOrders
from process_apis.order_to_ship.covering import Covering
from process_apis.order_to_ship.freight_options import Criticality, FreightOptions
from process_apis.order_to_ship.hold_rulebook import HoldRulebook
from process_apis.order_to_ship.intervening import Interventions
from process_apis.order_to_ship.invoice_rules import InvoicingOptions
from process_apis.order_to_ship.milestones import Milestones
from process_apis.order_to_ship.models import (
    QUEUE,
    WORKFLOW,
    ExceptionClass,
    Order,
    OrderException,
    OrderSummary,
    Placed,
    PlacedAnswer,
    PlaceOrder,
    Progress,
    ReworkLine,
    Task,
    TaskKind,
    TaskState,
    Verb,
)
from process_apis.order_to_ship.moving import Moving
from process_apis.order_to_ship.outcomes import Pace
from process_apis.order_to_ship.overselling import families, oversold
from process_apis.order_to_ship.pacing import Gate
from process_apis.order_to_ship.previewing import Previews
from process_apis.order_to_ship.reading import Reading, exception_of
from process_apis.order_to_ship.records import Change, lock, rouse, sql, workflow_id
from process_apis.order_to_ship.rework_rules import Intervention
from process_apis.order_to_ship.rules import FINAL
from process_apis.order_to_ship.settling import apply_own_step, cancel_waiting
from process_apis.order_to_ship.shipping import Shipping
from process_apis.order_to_ship.stated_prices import StatedPrices
from process_apis.order_to_ship.steps import Step, StepKind, cancel_refusal, is_going_back, with_task
from process_apis.order_to_ship.vetting import RULE, Vetting
from process_apis.order_to_ship.workflow import Turns

_URGENT: Final = 10
_holds: Final = queries_beside(__file__, "hold_queries.sql")


class Options(Struct, frozen=True, kw_only=True):
    """Settings of the process. Seconds; `per_worker` turns at once in one worker process.

    `criticality` is of systems beside ERPs and warehouses, by name.
    """

    call_timeout: float = 20.0
    per_worker: int = 16
    poll: float = 0.1
    overdue_after: float = 120.0
    ask_terms_again: float = 300.0
    pace: Pace = Pace()
    freight: FreightOptions = FreightOptions()
    criticality: Mapping[str, Criticality] = {}
    invoicing: InvoicingOptions = InvoicingOptions()


class OrderToShip:
    """The process. One per OS process; safe to use from any number of tasks."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        items: ResolvesItems,
        claims: ClaimsStock,
        systems: FindsSystems,
        options: Options | None = None,
        committed: Collection[str] = (),
        dated: Collection[str] = (),
        cancel_after: Mapping[str, timedelta] | None = None,
        fills: Mapping[str, FillPolicy] | None = None,
        visits: Visits | None = None,
        customers: ResolvesCustomers | None = None,
        returned: TellsReturned | None = None,
        stated_prices: Mapping[str, StatedPrices] | None = None,
    ) -> None:
        """`committed` are the buyer-committed channels, whose orders are never refused for stock.

        Those of `dated` channels are accepted where known supply covers what lacks. What still waits of an order of a
        channel in `cancel_after` so long after it was placed is cancelled. `fills` are the channels' policies of how
        lines leave. `visits` keeps the places at paced systems. `customers` tells who may order, `returned` what came
        back. `stated_prices` are the channels' terms for prices that buyers state. Raises `Misconfigured` for a carrier
        of a freight rule that is none, and an ERP in `invoicing` that does not bill.
        """
        self._visits = visits
        self._cancel_after = dict(cancel_after or {})
        self._store = store
        self._claims = claims
        self._systems = systems
        self._options = options or Options()
        for carrier in {name for rule in self._options.freight.rules for name in rule.carriers}:
            systems.offers_freight(carrier)
            systems.books_freight(carrier)
        for erp in self._options.invoicing.systems:
            systems.bills_shipments(erp)
        self._clock = clock
        self.hold_rules = HoldRulebook(store, clock)
        vetting = Vetting(self.hold_rules, customers or WithoutCustomers(), items, stated_prices)
        self.hold_previews = Previews(store, clock, vetting)
        self._acceptance = Acceptance(store, clock, items, claims, committed, dated, fills, vetting=vetting)
        self._channel_orders = ChannelOrders(self._acceptance)
        self._reading = Reading(store, returned)
        self._turns = partial(
            Turns, clock=clock, claims=claims, systems=systems, vetting=vetting, pace=self._options.pace,
            call_timeout=self._options.call_timeout, gate=Gate(visits, committed), freight=self._options.freight,
            criticality=self._options.criticality, invoicing=self._options.invoicing,
        )  # fmt: skip
        self.interventions = Interventions(store, claims, systems, self._cancel)
        self.shipping = Shipping(systems)
        self.covering = Covering(claims)
        self.moving = Moving(store, systems)
        self.milestones = Milestones(store)

    # --- for the worker -----------------------------------------------------------------------------------------------

    def workflows(self, sessions: Store | None = None) -> Sequence[Workflow]:
        """The durable workflows, for `gateway.durable.runtime.Durable`.

        A turn holds a session while another system takes its time. `sessions` is a pool for that alone, with room for
        `per_worker` of them, so that a slow system starves nobody of the record; without it they share the process's.
        """
        return [Workflow(WORKFLOW, self._turns(sessions or self._store).run)]

    def queues(self) -> Sequence[WorkQueue]:
        """The queues they wait in."""
        return [WorkQueue(name=QUEUE, per_worker=self._options.per_worker, poll=self._options.poll)]

    async def are_open(self, shape: str) -> bool:
        """Whether any order of a shape of turns is not over."""
        found: bool = await self._store.fetchval(sql.open_of_shape, shape)
        return found

    async def sweep(self, limit: int = 100) -> int:
        """Wake orders whose work is long due and whose last turn has ended; returns how many.

        The net under everything that wakes them in time: a turn that failed for a reason nobody foresaw. Of every
        shape: workers that stand aside sweep nothing.
        """
        woken = 0
        async with self._store.transaction() as connection:
            rows = await connection.fetch(sql.overdue, self._options.overdue_after, limit)
            turns = {row["order_id"]: workflow_id(row["order_id"], row["turn"]) for row in rows}
            active = await still_active(connection, list(turns.values()))
            for order_id in (order_id for order_id, turn in turns.items() if turn not in active):
                await rouse(connection, order_id)
                woken += 1
        return woken

    async def ask_terms_again(self, limit: int = 50) -> int:
        """Have the ERP asked again about orders that their customer's terms hold; returns about how many.

        Those that fit by now go on by themselves.
        """
        since = self._clock.now() - timedelta(seconds=self._options.ask_terms_again)
        rows = await self._store.fetch(_holds.held_by_terms, since, limit)
        for row in rows:
            async with self._store.transaction() as connection:
                order, now = await lock(connection, row["order_id"])
                change = Change(connection, order, now)
                if order.hold_reason is None or order.hold_kind is not None:
                    continue
                for task in order.of_kind(TaskKind.TERMS):
                    change.set(tasks=with_task(change.order, replace(task, state=TaskState.PENDING)).tasks)
                change.wake()
                await change.save()
        return len(rows)

    async def cancel_overdue(self, limit: int = 100) -> int:
        """Cancel what still waits for stock when its channel waits no longer; returns of how many orders."""
        if not self._cancel_after:
            return 0
        channels, after = list(self._cancel_after), list(self._cancel_after.values())
        rows = await self._store.fetch(sql.waited_long, channels, after, limit)
        for row in rows:
            async with self._store.transaction() as connection:
                order, now = await lock(connection, row["order_id"])
                change = Change(connection, order, now)
                await cancel_waiting(change, self._claims)
                await change.save()
        return len(rows)

    # --- orders -------------------------------------------------------------------------------------------------------

    async def place_order(self, command: PlaceOrder, answer: PlacedAnswer | None = None) -> Placed:
        """Accept an order, or return the one the same request made before: see `Acceptance.place`."""
        return await self._acceptance.place(command, answer)

    async def recall_order(self, command: PlaceOrder) -> Order | None:
        """The order this command made, None when it is certain that it made none."""
        return await self._acceptance.recall(command)

    async def get_order(self, tenant: str, order_id: str, *, partner: str | None = None) -> Order:
        """One order, with its place where it waits. `partner` restricts to that partner's own: `NotFound` otherwise."""
        return await self._placed(await self._reading.order(tenant, order_id, partner))

    async def _placed(self, order: Order) -> Order:
        waiting = None if order.state in FINAL else await self._waiting(order.order_id)
        return order if waiting is None else replace(order, waiting=waiting)

    async def _waiting(self, order_id: str) -> Waiting | None:
        paced = self._visits is not None and self._visits.paces
        return await self._visits.standing(order_id) if paced and self._visits is not None else None

    async def unposted(self, tenant: str, locations: Sequence[str]) -> Sequence[UnpostedLine]:
        """See `TellsUnposted`."""
        return await self._reading.unposted(tenant, locations)

    async def booked(
        self,
        tenant: str,
        *,
        after: str,
        since: datetime,
        until: datetime,
        limit: int,
        orders: Sequence[str] | None = None,
    ) -> Sequence[BookedOrder]:
        """See `TellsBooked`."""
        return await self._reading.booked(tenant, after=after, since=since, until=until, limit=limit, orders=orders)

    async def oversold(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """`channel_oversell` by channel: units and orders since ever, the latest, and what still waits."""
        return await oversold(self._store, tenant)

    async def families(self, tenant: str) -> list[Family]:
        """Figures for Prometheus; none while the record is away."""
        try:
            return families(await oversold(self._store, tenant))
        except Unavailable:
            return []

    async def list_orders(
        self,
        tenant: str,
        *,
        partner: str | None = None,
        state: OrderState | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Sequence[OrderSummary]:
        """The newest first; `before` is the last order id of the page before."""
        return await self._reading.orders(tenant, partner=partner, state=state, before=before, limit=limit)

    async def monitor(self, tenant: str, order_id: str, *, partner: str | None = None) -> Progress:
        """Where an order is."""
        progress = await self._reading.progress(tenant, order_id, partner)
        waiting = None if progress.final else await self._waiting(order_id)
        return progress if waiting is None else replace(progress, waiting=waiting)

    async def history(
        self, tenant: str, order_id: str, *, partner: str | None = None
    ) -> tuple[Order, Sequence[Recorded]]:
        """The order, with its place where it waits, and its events, oldest first."""
        order, events = await self._reading.history(tenant, order_id, partner)
        return await self._placed(order), events

    async def cancel_order(self, caller: Caller, order_id: str, *, reason: str, partner: str | None = None) -> Order:
        """Cancel what is not shipped. Where systems hold work it is asked back first: the order is then `cancelling`.

        Raises `Conflict` (``order.picking_began`` or ``order.closed``). Asking again returns what the first one did.
        """
        await self._reading.order(caller.tenant, order_id, partner)
        async with self._store.transaction() as connection:
            return await self._cancel(connection, caller, order_id, reason)

    async def _cancel(self, connection: Connection, caller: Caller, order_id: str, reason: str) -> Order:
        order, now = await lock(connection, order_id)
        if order.cancelled_at or (is_going_back(order) and not order.rejected_at):
            return order
        if (refusal := cancel_refusal(order)) is not None:
            code = "order.closed" if order.completed_at or order.rejected_at else "order.picking_began"
            raise Conflict(f"the order can no longer be cancelled: {refusal}", code=code)
        change = Change(connection, order, now)
        change.resolve(None, None, by=caller.principal.subject, resolution="the order is being cancelled")
        change.set(cancel_requested_at=now, cancel_reason=reason, cancel_refused_at=None, rework=None)
        upcoming = change.next()
        if isinstance(upcoming, Step) and upcoming.kind is StepKind.GIVE_UP:
            await apply_own_step(change, upcoming, self._claims, self._systems)
        else:
            change.wake(priority=_URGENT)
        order = await change.save()
        await self._audit(connection, caller, "order.cancel", order, {"reason": reason})
        return order

    # --- orders of channels -------------------------------------------------------------------------------------------

    async def take_channel_order(
        self, connection: Connection, *, account: ChannelAccount, order: ChannelOrder, items: Mapping[int, Item]
    ) -> Mapping[int, Decimal]:
        """See `TakesChannelOrders`."""
        return await self._channel_orders.take(connection, account, order, items)

    async def give_up_channel_order(
        self, connection: Connection, *, account: ChannelAccount, order: ChannelOrder
    ) -> bool:
        """See `TakesChannelOrders`."""
        return await self._channel_orders.give_up(connection, account, order, self._cancel)

    async def recall_cancellation(self, tenant: str, order_id: str, *, partner: str | None = None) -> Order | None:
        """The order whose cancellation was asked for, None when it is certain that none was.

        That is certain, too, where there is no such order, or none of that partner: nothing of it was cancelled.
        """
        try:
            order = await self._reading.order(tenant, order_id, partner)
        except NotFound:
            return None
        return None if order.cancel_requested_at is None and order.cancelled_at is None else order

    async def serve(
        self,
        caller: Caller,
        order_id: str,
        verb: str,
        *,
        action: str,
        reason: str,
        version: int,
        line: int | None = None,
        amount: Decimal | None = None,
        location: str | None = None,
    ) -> Order:
        """Customer service's hold, cancel, reallocate or split, of one line at most: see `Interventions.intervene`."""
        lines = () if line is None else (ReworkLine(line=line, amount=amount, location=location),)
        asked = Intervention(action=action, verb=Verb(verb), reason=reason, version=version, lines=lines)
        return await self.interventions.intervene(caller, order_id, asked)

    async def release_hold(self, caller: Caller, order_id: str, *, reason: str) -> Order:
        """Let a held order go on, on the caller's responsibility. `Conflict` (``order.not_held``) otherwise."""
        await self._reading.order(caller.tenant, order_id, None)
        async with self._store.transaction() as connection:
            order, now = await lock(connection, order_id)
            if order.hold_reason is None or order.cancelled_at or order.rejected_at:
                raise Conflict("the order is not held: read it again", code="order.not_held")
            # From here it counts against the limit: whoever decides on the customer's other orders waits, and sees it.
            await connection.fetchval(sql.lock_customer, order.tenant, order.sold_to)
            change = Change(connection, order, now)
            # Whom somebody held goes on from where it was: its customer's terms decide as they would have.
            change.set(
                hold_reason=None,
                hold_kind=None,
                approved_at=order.approved_at if order.hold_kind else now,
                vetted_at=now if order.hold_kind == RULE else order.vetted_at,
            )
            change.tell("order.resumed", reason=reason)
            change.wake()
            order = await change.save()
            await self._audit(connection, caller, "order.release_hold", order, {"reason": reason})
        return order

    # --- exceptions ---------------------------------------------------------------------------------------------------

    async def list_exceptions(
        self,
        tenant: str,
        *,
        state: str | None = "open",
        order_id: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> Sequence[OrderException]:
        """The newest first; `before` is the last exception id of the page before."""
        return await self._reading.exceptions(tenant, state=state, order_id=order_id, before=before, limit=limit)

    async def retry_exception(self, caller: Caller, exception_id: str) -> OrderException:
        """Resolve an exception and try again at once what it stopped. `Conflict` when it is resolved already."""
        async with self._store.transaction() as connection:
            return await self.retry_within(connection, caller, exception_id)

    async def retry_within(self, connection: Connection, caller: Caller, exception_id: str) -> OrderException:
        """As `retry_exception`, in the caller's transaction."""
        row = await connection.fetchrow(sql.get_exception, exception_id, caller.tenant)
        if row is None:
            raise NotFound(f"there is no exception {exception_id}", code="exception.not_found")
        if row["class"] == ExceptionClass.SHIPMENT_MISMATCH:
            raise Conflict("nothing is left to be tried: correct the shipment at its source", code="exception.final")
        await lock(connection, row["order_id"])
        resolved = await connection.fetchval(
            sql.resolve_exception, exception_id, caller.tenant, caller.principal.subject, "retried"
        )
        if resolved is None:
            raise Conflict("the exception is resolved already: read it again", code="exception.resolved")
        order, now = await lock(connection, row["order_id"])
        change = Change(connection, order, now)
        asserted = row["blocking"] and row["class"] == ExceptionClass.OUTCOME_UNKNOWN
        change.set(
            tasks=tuple(
                _retried(task, asserted=asserted) if (task.kind, task.target) == (row["kind"], row["target"]) else task
                for task in order.tasks
            )
        )
        change.wake(priority=_URGENT)
        await change.save()
        await self._audit(connection, caller, "exception.retry", order, {"exception": exception_id})
        row = await connection.fetchrow(sql.get_exception, exception_id, caller.tenant)
        return exception_of(row)

    async def _audit(
        self, connection: Connection, caller: Caller, action: str, order: Order, detail: dict[str, str]
    ) -> None:
        await record_act(
            connection,
            caller,
            action,
            order.order_id,
            order.state,
            detail=detail,
        )


def _retried(task: Task, *, asserted: bool) -> Task:
    """The task as a person wants it tried: at once. What may be there is still looked up first.

    `asserted`: nothing can be looked up there, and the person vouches that nothing is there.
    """
    anew = task.state is TaskState.ABSENT or asserted
    if task.state is TaskState.SKIPPED:
        # What was booked is there still, and is asked back again; a question that nobody waits for is not asked again.
        wanted = TaskState.DONE if task.number else TaskState.PENDING
        return task if task.kind is TaskKind.FREIGHT_QUOTE else replace(task, state=wanted, attempts=0, not_before=None)
    return replace(
        task,
        state=TaskState.PENDING if anew else task.state,
        settling=task.settling and not anew,
        attempts=0,
        not_before=None,
    )
