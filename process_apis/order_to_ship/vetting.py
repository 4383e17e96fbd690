"""Looking at an order before anybody works on it: whose it is, and whether a rule holds or refuses it.

What refuses is judged when the order is accepted, from copies in this process. What holds is judged with its customer's
terms, under the lock of its account: two orders at once don't both pass as the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from gateway.canonical.capabilities import Connection, ResolvesCustomers, ResolvesItems
from gateway.canonical.item import Item
from gateway.canonical.order import ORDER_PREFIX
from gateway.canonical.party import CustomerStanding
from gateway.kernel.errors import Conflict, Problem
from gateway.kernel.ids import first_id_at
from gateway.store.queries import queries_beside
from process_apis.order_to_ship.hold_rulebook import HoldRulebook
from process_apis.order_to_ship.hold_rules import Duplicate, Facts, FirstOrder, HoldRule, concerns, found_by
from process_apis.order_to_ship.models import Order
from process_apis.order_to_ship.stated_prices import StatedPrices, price_differences

_sql: Final = queries_beside(__file__, "hold_queries.sql")
_LONGEST: Final = 500
RULE: Final = "rule"
"""Who holds an order that a rule, or its customer's standing, holds."""


class Vetting:
    """Judges orders by `customers`, the rules and, by channel, the terms for `stated` prices."""

    def __init__(
        self,
        rulebook: HoldRulebook,
        customers: ResolvesCustomers,
        items: ResolvesItems,
        stated: Mapping[str, StatedPrices] | None = None,
    ) -> None:
        self._stated = dict(stated or {})
        self._rulebook = rulebook
        self._customers = customers
        self._items = items

    async def admit(self, order: Order) -> None:
        """Raise `Conflict` for an order that is not to be accepted.

        ``order.customer_closed``, ``order.customer_unfit`` (it only receives or pays), ``order.price_differs``,
        ``order.refused_by_rule``.
        """
        customer = await self._customers.standing(order.tenant, order.sold_to)
        if (refusal := _unfit(customer)) is not None:
            code, detail = refusal
            raise Conflict(detail, code=code)
        terms = self._terms(order)
        if terms.then == "refuse" and (differences := price_differences(order, terms)):
            raise Conflict(
                "prices that you state are not ours: agree on them with us, or order at ours",
                problems=[Problem(each.detail, pointer=f"/lines/{each.line - 1}/stated_price") for each in differences],
                code="order.price_differs",
            )
        rules = [rule for rule in await self._rulebook.in_force(order.tenant) if rule.then == "refuse"]
        if not rules:
            return
        facts = Facts(customer=customer, items=await self._items_of(order))
        if found := [why for rule in rules if (why := found_by(rule, order, facts)) is not None]:
            raise Conflict(f"this order is not taken: {'; '.join(found)[:_LONGEST]}", code="order.refused_by_rule")

    async def reasons(self, connection: Connection, order: Order) -> Sequence[str]:
        """Why a person has to look at it first; the caller holds the lock of its account."""
        customer = await self._customers.standing(order.tenant, order.sold_to)
        found = []
        if (refusal := _unfit(customer)) is not None:
            found.append(refusal[1])
        elif customer is not None and customer.held:
            found.append(f"customer {customer.number} is held")
        found += [each.detail for each in price_differences(order, self._terms(order))]
        found += await self.found(connection, order, await self._rulebook.in_force(order.tenant))
        return found

    async def found(
        self, connection: Connection, order: Order, rules: Sequence[HoldRule], *, as_of: datetime | None = None
    ) -> Sequence[str]:
        """What `rules` find of an order that is in the record, beside others as they stood `as_of` (None: now)."""
        if not rules:
            return ()
        customer = await self._customers.standing(order.tenant, order.sold_to)
        facts = await self._facts(connection, order, customer, rules, as_of)
        return [why for rule in rules if (why := found_by(rule, order, facts)) is not None]

    def _terms(self, order: Order) -> StatedPrices:
        return self._stated.get(order.channel) or StatedPrices()

    async def _facts(
        self, connection: Connection, order: Order, customer: CustomerStanding | None, rules: Sequence[HoldRule],
        as_of: datetime | None,
    ) -> Facts:  # fmt: skip
        asked = [rule.when for rule in rules if concerns(rule, order, customer)]
        whose = (order.tenant, order.channel, order.sold_to, order.order_id)
        first = None
        if any(isinstance(when, FirstOrder) for when in asked):
            first = not await connection.fetchval(_sql.has_approved, *whose, as_of)
        duplicates = {}
        for hours in {when.hours for when in asked if isinstance(when, Duplicate)}:
            since = order.placed_at - timedelta(hours=hours)
            other = await connection.fetchval(_sql.duplicate_of, *whose, since, first_id_at(ORDER_PREFIX, since))
            if other is not None:
                duplicates[hours] = other
        return Facts(customer=customer, items=await self._items_of(order), first=first, duplicates=duplicates)

    async def _items_of(self, order: Order) -> dict[str, Item]:
        return dict(await self._items.by_id(order.tenant, [line.item for line in order.lines]))


def _unfit(customer: CustomerStanding | None) -> tuple[str, str] | None:
    if customer is None:
        return None
    if customer.closed:
        return "order.customer_closed", f"customer {customer.number} is closed: order for another account"
    if not customer.may_order:
        return "order.customer_unfit", f"customer {customer.number} does not order: name the one that does"
    return None
