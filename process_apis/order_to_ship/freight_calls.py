"""Asking carriers: what goods would cost, booking them, cancelling that; first a look where it may have been done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.canonical.capabilities import Call, FindsSystems
from gateway.canonical.freight import Booking, Consignment
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict
from process_apis.order_to_ship.freight_options import FreightOptions, FreightRule
from process_apis.order_to_ship.freight_rules import (
    choose,
    consignment,
    consignment_reference,
    freight_of,
    goods_target,
    location_of,
    offers_of,
)
from process_apis.order_to_ship.models import FreightOffer, Order, Task
from process_apis.order_to_ship.steps import Step, StepKind

Performer = Callable[[Call, Order, Step], Awaitable[object]]


class FreightCalls:
    """The steps that call carriers. Raises what they raise."""

    def __init__(self, systems: FindsSystems, clock: Clock, options: FreightOptions) -> None:
        self._systems = systems
        self._clock = clock
        self._options = options
        self.performers: Mapping[StepKind, Performer] = {
            StepKind.QUOTE_FREIGHT: self._quote,
            StepKind.BOOK_FREIGHT: self._book,
            StepKind.CANCEL_FREIGHT: self._cancel,
        }

    async def _quote(self, call: Call, order: Order, step: Step) -> Sequence[FreightOffer]:
        return await self._offers(call, order, step.the_task)

    async def _book(self, call: Call, order: Order, step: Step) -> Booking | None:
        task = step.the_task
        carrier = self._systems.books_freight(task.system)
        if step.look_first:
            found = await carrier.find_booking(call, reference=consignment_reference(order, task.target))
            if found is not None:
                return None if found.cancelled else found
        service = freight_of(order, task.target).service or await self._chosen_now(call, order, task)
        made = await carrier.book_freight(call, consignment=self._goods(order, task), service=service)
        return None if made.cancelled else made

    async def _cancel(self, call: Call, order: Order, step: Step) -> Booking | None:
        carrier = self._systems.books_freight(step.the_task.system)
        reference = consignment_reference(order, step.the_task.target)
        if step.look_first:
            found = await carrier.find_booking(call, reference=reference)
            if found is None or found.cancelled:
                return found
        return await carrier.cancel_booking(call, reference=reference)

    async def _chosen_now(self, call: Call, order: Order, task: Task) -> str:
        """The service for goods that went out of the house unrated: chosen when the carrier answers again."""
        rule = self._options.rule(order.channel, location_of(task)) or FreightRule(carriers=(task.system,))
        offers = await self._offers(call, order, task)
        chosen = choose(rule, offers, partner=order.partner, currency=order.currency, need_by=order.requested_date)
        if chosen is None:
            raise Conflict(no_offer(task.system, rule, offers), code="freight.no_offer")
        return chosen.service

    async def _offers(self, call: Call, order: Order, task: Task) -> Sequence[FreightOffer]:
        carrier = self._systems.offers_freight(task.system)
        return offers_of(task.system, await carrier.quote_freight(call, consignment=self._goods(order, task)))

    def _goods(self, order: Order, task: Task) -> Consignment:
        today = self._systems.business_day(order.tenant, location_of(task), self._clock.now())
        return consignment(order, goods_target(task), self._options, today)


def no_offer(carriers: str, rule: FreightRule, offers: Sequence[FreightOffer]) -> str:
    """Why nothing was chosen, and what to do."""
    if not offers:
        return f"{carriers} serves the address by no service: book freight by hand, or name another carrier in the rule"
    least = min(offer.price.amount for offer in offers)
    above = f"the least that {carriers} asks is {least}, above the cap of {rule.cap}"
    return f"{above}: raise the cap and retry, or book by hand"
