"""Which orders wait for a person, or are refused, by rules that people set; and what a rule finds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

from gateway.canonical.item import Item
from gateway.canonical.party import CustomerStanding
from gateway.kernel.quantity import plain
from process_apis.order_to_ship.models import Order

Outcome = Literal["hold", "refuse"]
_WHOLE: Final = Decimal(100)


class AmountAbove(Struct, frozen=True, kw_only=True, tag="amount", tag_field="kind"):
    """Orders in `currency` whose total is above `above`."""

    currency: str
    above: Decimal


class FirstOrder(Struct, frozen=True, kw_only=True, tag="first_order", tag_field="kind"):
    """The first orders of an account through a channel, until one of them was approved."""


class ItemGroup(Struct, frozen=True, kw_only=True, tag="item_group", tag_field="kind"):
    """Orders for items of `group`, as for goods that the law regulates."""

    group: str


class PriceDeviation(Struct, frozen=True, kw_only=True, tag="price_deviation", tag_field="kind"):
    """Orders at a price that is more than `percent` off our own in their currency, or for what we have none."""

    percent: Decimal


class AddressMismatch(Struct, frozen=True, kw_only=True, tag="address_mismatch", tag_field="kind"):
    """Orders that go elsewhere than to their customer's own address, by country or by postal code."""

    by: Literal["country", "postal_code"]


class Duplicate(Struct, frozen=True, kw_only=True, tag="duplicate", tag_field="kind"):
    """Orders for the same goods to the same address as another one, placed within `hours` before, of that account."""

    hours: int


class UnknownCustomer(Struct, frozen=True, kw_only=True, tag="unknown_customer", tag_field="kind"):
    """Orders of an account that is no customer of ours."""


Condition = AmountAbove | FirstOrder | ItemGroup | PriceDeviation | AddressMismatch | Duplicate | UnknownCustomer
HISTORICAL: Final = (FirstOrder, Duplicate)
"""What is known only once an order stands beside the others of its account."""


class HoldRule(Struct, frozen=True, kw_only=True):
    """One version of the rule `name`. No `channels` or `customer_classes` means all; an inactive one finds nothing."""

    name: str
    when: Condition
    then: Outcome
    active: bool
    channels: tuple[str, ...]
    customer_classes: tuple[str, ...]
    business_owner: str
    reason: str
    effective_from: datetime
    changed_by: str
    changed_at: datetime
    version: int


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of an order besides itself. What is historical is None where nobody has looked."""

    customer: CustomerStanding | None
    items: Mapping[str, Item]
    first: bool | None = None
    duplicates: Mapping[int, str] = {}


def in_force(versions: Sequence[HoldRule], at: datetime) -> list[HoldRule]:
    """Of each name the version that began last, the later one of two that began together; the active ones."""
    begun: dict[str, HoldRule] = {}
    for rule in sorted(versions, key=lambda each: (each.effective_from, each.version)):
        if rule.effective_from <= at:
            begun[rule.name] = rule
    return [rule for _, rule in sorted(begun.items()) if rule.active]


def concerns(rule: HoldRule, order: Order, customer: CustomerStanding | None) -> bool:
    """Tell whether the rule speaks of orders like this one."""
    named = customer.customer_class if customer else None
    return (not rule.channels or order.channel in rule.channels) and (
        not rule.customer_classes or named in rule.customer_classes
    )


def found_by(rule: HoldRule, order: Order, facts: Facts) -> str | None:
    """Why the rule holds or refuses the order; None where it does not."""
    if not concerns(rule, order, facts.customer):
        return None
    why = _why(rule.when, order, facts)
    return None if why is None else f"{rule.name}: {why}"


def _why(when: Condition, order: Order, facts: Facts) -> str | None:
    found = None
    match when:
        case AmountAbove(currency=currency, above=above):
            over = order.currency == currency and order.total > above
            found = f"{plain(order.total)} {currency} is above {plain(above)}" if over else None
        case FirstOrder():
            found = "the first order of this account" if facts.first else None
        case ItemGroup(group=group):
            found = _in_group(order, facts, group)
        case PriceDeviation(percent=percent):
            found = _deviating(order, facts, percent)
        case AddressMismatch(by=by):
            found = _elsewhere(order, facts.customer, by)
        case Duplicate(hours=hours):
            found = f"the same goods as {facts.duplicates[hours]}" if hours in facts.duplicates else None
        case UnknownCustomer():
            found = f"{order.sold_to} is no customer of ours" if facts.customer is None else None
    return found


def _in_group(order: Order, facts: Facts, group: str) -> str | None:
    items = {item.item for item in facts.items.values() if item.group == group}
    lines = [line.sku for line in order.lines if line.item in items]
    return f"{', '.join(lines[:5])} of the group {group}" if lines else None


def _deviating(order: Order, facts: Facts, percent: Decimal) -> str | None:
    for line in order.lines:
        item = facts.items.get(line.item)
        price = item.list_price if item and item.list_price and item.list_price.currency == order.currency else None
        if price is None:
            return f"line {line.line} costs {plain(line.unit_price)}, and we have no price in {order.currency}"
        if abs(line.unit_price - price.amount) * _WHOLE > percent * price.amount:
            return f"line {line.line} costs {plain(line.unit_price)} instead of {plain(price.amount)}"
    return None


def _elsewhere(order: Order, customer: CustomerStanding | None, by: Literal["country", "postal_code"]) -> str | None:
    known = getattr(customer, by, None)
    given = getattr(order.ship_to, by)
    if known is None or known.strip().casefold() == given.strip().casefold():
        return None
    return f"it goes to {given}, its customer is in {known}"
