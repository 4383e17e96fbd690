"""Asking other systems: one call, its lookup where an earlier one may have succeeded, and its outcome as a value."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

from gateway.canonical.capabilities import Call, CancelsTwins, FindsSystems, TakesOrders
from gateway.canonical.order import (
    ExternalReference,
    ShipmentLine,
    SystemOrder,
    SystemShipment,
    WarehouseWork,
    WorkState,
)
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, CrossdockError, NotFound, OutcomeUnknown, Unavailable
from process_apis.order_to_ship.erp_moves import locations_of
from process_apis.order_to_ship.freight_calls import FreightCalls
from process_apis.order_to_ship.freight_options import FreightOptions
from process_apis.order_to_ship.models import Order, Task, TaskKind
from process_apis.order_to_ship.outcomes import TWINS, Outcome, Pace
from process_apis.order_to_ship.releases import parts_of, place_of, reference_of, release_of
from process_apis.order_to_ship.rules import sales_order
from process_apis.order_to_ship.steps import READ_STEPS, Step, StepKind

Done = TypeVar("Done")
_PATIENCE: Final = 1.1  # adapters keep the deadline themselves; this ends one that does not
_log: Final = logging.getLogger(__name__)


class Handover:
    """Performs the steps that call other systems. Never raises: an error is an outcome."""

    def __init__(
        self, systems: FindsSystems, clock: Clock, pace: Pace, call_timeout: float, freight: FreightOptions
    ) -> None:
        self._systems = systems
        self._clock = clock
        self._pace = pace
        self._timeout = call_timeout
        self._performers: dict[StepKind, Callable[[Call, Order, Step], Awaitable[object]]] = {
            StepKind.CHECK_TERMS: self._check_terms,
            StepKind.SUBMIT_ORDER: self._submit_order,
            StepKind.VERIFY_ORDER: self._verify_order,
            StepKind.RELEASE_WORK: self._release_work,
            StepKind.POST_SHIPMENT: self._post_shipment,
            StepKind.BILL_SHIPMENT: self._bill_shipment,
            StepKind.CANCEL_WORK: self._cancel_work,
            StepKind.CANCEL_ORDER: self._cancel_order,
            **FreightCalls(systems, clock, freight).performers,
            StepKind.WITHDRAW_ORDER: self._cancel_order,
        }

    async def perform(self, order: Order, step: Step) -> Outcome:
        """Do one step within the time limit and say what came of it."""
        task = step.the_task
        answer: object = None
        error: CrossdockError | None = None
        try:
            async with asyncio.timeout(self._timeout * _PATIENCE):
                answer = await self._performers[step.kind](self._call(order), order, step)
        except CrossdockError as e:
            error = e
        except TimeoutError:
            error = _silence(step)
        except Exception as e:  # noqa: BLE001 - an adapter's defect must not lose the order: looked up, and shown
            _log.exception(
                "%s of %s at %s failed in a way its adapter does not know", step.kind, order.order_id, task.system
            )
            error = OutcomeUnknown(f"the adapter of {task.system} failed: {type(e).__name__}", code="adapter.defect")
        return Outcome(answer=answer, error=error, settle=self.settle_of(task), reference=self._reference_of(task))

    def settle_of(self, task: Task) -> timedelta:
        """How long after an unknown outcome the system shows what it did; the pace's own where it declares nothing."""
        default = timedelta(seconds=self._pace.settle)
        try:
            system = self._system(task)
        except CrossdockError:
            return default
        declared = getattr(system, "settle_time", default)
        return declared if isinstance(declared, timedelta) else default

    def _reference_of(self, task: Task) -> ExternalReference:
        if task.kind not in (TaskKind.ERP_ORDER, TaskKind.ERP_WITHDRAWAL):
            return ExternalReference.UNIQUE
        try:
            return self._systems.takes_orders(task.system).external_reference
        except CrossdockError:
            return ExternalReference.SEARCHABLE

    def _system(self, task: Task) -> object:
        finders: dict[TaskKind, Callable[[str], object]] = {
            TaskKind.TERMS: self._systems.reads_customers,
            TaskKind.ERP_ORDER: self._systems.takes_orders,
            TaskKind.ERP_WITHDRAWAL: self._systems.takes_orders,
            TaskKind.WAREHOUSE_WORK: self._systems.releases_work,
            TaskKind.SHIPMENT_POSTING: self._systems.posts_shipments,
            TaskKind.INVOICE: self._systems.bills_shipments,
            TaskKind.FREIGHT_QUOTE: self._systems.offers_freight,
            TaskKind.FREIGHT_BOOKING: self._systems.books_freight,
        }
        return finders[task.kind](task.system)

    def _call(self, order: Order) -> Call:
        return Call(
            tenant=order.tenant,
            correlation_id=order.correlation_id,
            deadline=self._clock.monotonic() + self._timeout,
        )

    async def _check_terms(self, call: Call, order: Order, step: Step) -> object:
        return await self._systems.reads_customers(step.the_task.system).read_customer(call, code=order.sold_to)

    async def _submit_order(self, call: Call, order: Order, step: Step) -> object:
        erp = self._systems.takes_orders(step.the_task.system)
        if step.look_first:
            found = await _find_one(call, erp, _reference(order, step))
            if found is not None and (found.ready or found.cancelled):
                return found
        return await self._submitted(call, erp, order, step)

    async def _verify_order(self, call: Call, order: Order, step: Step) -> object:
        erp = self._systems.takes_orders(step.the_task.system)
        found = await _find_one(call, erp, _reference(order, step))
        if found is None or found.ready or found.cancelled:
            return found
        # The one that stays of two may be the one that nobody has moved on yet.
        return await self._submitted(call, erp, order, step)

    async def _submitted(self, call: Call, erp: TakesOrders, order: Order, step: Step) -> SystemOrder:
        release = release_of(step.the_task)
        wanted = sales_order(order, self._locations(order, step.the_task, release), release)
        return await self._without_twins(call, order, step, lambda: erp.submit_order(call, order=wanted))

    async def _release_work(self, call: Call, order: Order, step: Step) -> object:
        warehouse = self._systems.releases_work(step.the_task.system)
        location, release = place_of(step.the_task), release_of(step.the_task)
        if step.look_first:
            found = await warehouse.find_work(call, reference=_reference(order, step))
            if found is not None and found.state is not WorkState.CANCELLED:
                return found
        wanted = sales_order(order, [location], release)
        return await warehouse.release_work(call, order=wanted, location=location)

    async def _post_shipment(self, call: Call, order: Order, step: Step) -> object:
        erp = self._systems.posts_shipments(step.the_task.system)
        posting = step.the_task.target
        shipment = next(known for known in order.shipments if known.shipment_id == posting)
        lines = [ShipmentLine(line=part.line, item=part.item, amount=part.amount) for part in shipment.lines]
        reference = _reference(order, step)

        async def post() -> SystemShipment:
            if step.look_first:
                found = await erp.find_posting(call, reference=reference, posting=posting)
                if found is not None:
                    return found
            return await erp.post_shipment(
                call, reference=reference, posting=posting, location=shipment.location, lines=lines
            )

        return await self._without_twins(call, order, step, post)

    async def _bill_shipment(self, call: Call, order: Order, step: Step) -> object:
        erp = self._systems.bills_shipments(step.the_task.system)
        reference, posting = _reference(order, step), step.the_task.target
        if step.look_first:
            found = await erp.find_bill(call, reference=reference, posting=posting)
            if found is not None:
                return found
        return await erp.bill_shipment(call, reference=reference, posting=posting)

    async def _cancel_work(self, call: Call, order: Order, step: Step) -> WarehouseWork | None:
        warehouse = self._systems.releases_work(step.the_task.system)
        if step.look_first:
            found = await warehouse.find_work(call, reference=_reference(order, step))
            if found is None or found.state is not WorkState.RELEASED:
                return found
        return await warehouse.cancel_work(call, reference=_reference(order, step))

    async def _cancel_order(self, call: Call, order: Order, step: Step) -> SystemOrder | None:
        erp = self._systems.takes_orders(step.the_task.system)
        if step.look_first:
            found = await _find_one(call, erp, _reference(order, step))
            if found is None or found.cancelled:
                return found
        return await self._without_twins(
            call, order, step, lambda: erp.cancel_order(call, reference=_reference(order, step))
        )

    async def _without_twins(self, call: Call, order: Order, step: Step, work: Callable[[], Awaitable[Done]]) -> Done:
        """Do `work`; where it stumbles over a twin, even one that came late, cancel that and do it once more."""
        try:
            return await work()
        except Conflict as e:
            if e.code != TWINS:
                raise
        await _find_one(call, self._systems.takes_orders(step.the_task.system), _reference(order, step))
        return await work()

    def _locations(self, order: Order, task: Task, release: int) -> list[str]:
        return locations_of(order, task, {location for _, location, _ in parts_of(order, release)}, self._systems)


def _reference(order: Order, step: Step) -> str:
    """What the step's system knows the order by. A shipment is posted to, and billed for, the release it left for."""
    task = step.the_task
    if task.kind in (TaskKind.SHIPMENT_POSTING, TaskKind.INVOICE):
        shipment = next(known for known in order.shipments if known.shipment_id == task.target)
        return reference_of(order, shipment.release)
    return reference_of(order, release_of(task))


async def _find_one(call: Call, erp: TakesOrders, reference: str) -> SystemOrder | None:
    """The one order under our reference. Of twins the elder is kept, where the adapter can cancel the other."""
    try:
        return await erp.find_order(call, reference=reference)
    except NotFound:
        return None
    except Conflict as e:
        if e.code != TWINS or not isinstance(erp, CancelsTwins):
            raise
        return await erp.cancel_twins(call, reference=reference)


def _silence(step: Step) -> CrossdockError:
    system = step.the_task.system
    if step.kind in READ_STEPS:
        return Unavailable(f"{system} did not answer in time", code="system.silent")
    return OutcomeUnknown(f"{system} did not answer in time; it is looked up next", code="system.silent")
