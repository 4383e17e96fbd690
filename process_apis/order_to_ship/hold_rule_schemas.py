"""The wire shapes of rules that hold or refuse orders."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.order import OrderState
from gateway.kernel.quantity import plain
from process_apis.order_to_ship import hold_rules as rules
from process_apis.order_to_ship.hold_rulebook import RuleChange
from process_apis.order_to_ship.previewing import MOST, Preview
from process_apis.order_to_ship.schemas import Amount, Currency, Text

Instant = Annotated[datetime, Meta(tz=True)]
Hours = Annotated[int, Meta(ge=1, le=8_760, examples=[24])]
Version = Annotated[int, Meta(ge=0, le=2**53)]


class AmountInput(Struct, kw_only=True, forbid_unknown_fields=True, tag="amount", tag_field="kind"):
    """Orders in `currency` whose total is above `above`."""

    currency: Currency
    above: Amount


class FirstOrderInput(Struct, kw_only=True, forbid_unknown_fields=True, tag="first_order", tag_field="kind"):
    """The first orders of an account through a channel, until one of them was approved."""


class ItemGroupInput(Struct, kw_only=True, forbid_unknown_fields=True, tag="item_group", tag_field="kind"):
    """Orders for items of `group`, as for goods that the law regulates."""

    group: Text


class PriceDeviationInput(Struct, kw_only=True, forbid_unknown_fields=True, tag="price_deviation", tag_field="kind"):
    """Orders at a price more than `percent` off our own, as a shop may have sold at."""

    percent: Amount


class AddressMismatchInput(Struct, kw_only=True, forbid_unknown_fields=True, tag="address_mismatch", tag_field="kind"):
    """Orders that go elsewhere than to their customer's own address."""

    by: Literal["country", "postal_code"]


class DuplicateInput(Struct, kw_only=True, forbid_unknown_fields=True, tag="duplicate", tag_field="kind"):
    """Orders for the same goods to the same address as another one of that account, placed so many hours before."""

    hours: Hours


class UnknownCustomerInput(Struct, kw_only=True, forbid_unknown_fields=True, tag="unknown_customer", tag_field="kind"):
    """Orders of an account that is no customer of ours."""


ConditionInput = (
    AmountInput
    | FirstOrderInput
    | ItemGroupInput
    | PriceDeviationInput
    | AddressMismatchInput
    | DuplicateInput
    | UnknownCustomerInput
)


class HoldRuleInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new version of the rule `name`, whole. It begins now unless `effective_from` says when.

    No `channels` or `customer_classes` means all. ``refuse`` answers the buyer with 409, ``hold`` accepts the order,
    which then waits for a person; what is known only beside other orders (``first_order``, ``duplicate``) can but hold.
    With `expected_version` (0: there is none yet) it is refused if somebody else made a version meanwhile.
    """

    name: Text
    when: ConditionInput
    then: Literal["hold", "refuse"]
    business_owner: Text
    reason: Text
    active: bool = True
    channels: Annotated[list[Text], Meta(max_length=100)] = []
    customer_classes: Annotated[list[Text], Meta(max_length=100)] = []
    effective_from: Instant | None = None
    expected_version: Version | None = None


class HoldRulePreviewInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A rule as it would be made, and over how many of the orders placed last; when it begins counts for nothing."""

    rule: HoldRuleInput
    last: Annotated[int, Meta(ge=1, le=MOST, examples=[200])] = 200


class ConditionView(Struct, kw_only=True, omit_defaults=True):
    """What the rule looks for; what does not belong to its kind is left out."""

    kind: str
    currency: str | None = None
    above: str | None = None
    group: str | None = None
    percent: str | None = None
    by: str | None = None
    hours: int | None = None


class HoldRuleView(Struct, kw_only=True):
    """One version of a rule."""

    name: str
    when: ConditionView
    then: str
    active: bool
    channels: list[str]
    customer_classes: list[str]
    business_owner: str
    reason: str
    effective_from: datetime
    changed_by: str
    changed_at: datetime
    version: int


class HoldRuleList(Struct, kw_only=True):
    """What holds, and what is to come."""

    rules: list[HoldRuleView]


class HoldRuleVersions(Struct, kw_only=True):
    """Versions of one rule, the latest first."""

    versions: list[HoldRuleView]
    next_before: int | None


class FoundOrder(Struct, kw_only=True):
    """An order that the rule finds, and why."""

    order_id: str
    external_number: str
    channel: str
    sold_to: str
    total: str
    currency: str
    placed_at: datetime
    state: OrderState
    why: str


class HoldRulePreview(Struct, kw_only=True):
    """What was found of `looked` orders, the newest first; `since` is when the oldest of them was placed."""

    looked: int
    since: datetime | None
    found: list[FoundOrder]


def preview_view(preview: Preview) -> HoldRulePreview:
    """A preview on the wire."""
    found = [
        FoundOrder(**{**{name: getattr(each, name) for name in each.__struct_fields__}, "total": plain(each.total)})
        for each in preview.found
    ]
    return HoldRulePreview(looked=preview.looked, since=preview.since, found=found)


def change_of(data: HoldRuleInput) -> RuleChange:
    """The command behind the input."""
    return RuleChange(
        name=data.name,
        when=msgspec.convert(msgspec.to_builtins(data.when), rules.Condition),
        then=data.then,
        active=data.active,
        channels=tuple(data.channels),
        customer_classes=tuple(data.customer_classes),
        business_owner=data.business_owner,
        reason=data.reason,
        effective_from=data.effective_from,
        expected=data.expected_version,
    )


def rule_view(rule: rules.HoldRule) -> HoldRuleView:
    """One version on the wire."""
    when = rule.when
    shown: dict[str, Any] = {name: getattr(when, name) for name in when.__struct_fields__}
    shown |= {name: plain(value) for name, value in shown.items() if isinstance(value, Decimal)}
    return HoldRuleView(
        name=rule.name,
        when=ConditionView(kind=str(when.__struct_config__.tag), **shown),
        then=rule.then,
        active=rule.active,
        channels=list(rule.channels),
        customer_classes=list(rule.customer_classes),
        business_owner=rule.business_owner,
        reason=rule.reason,
        effective_from=rule.effective_from,
        changed_by=rule.changed_by,
        changed_at=rule.changed_at,
        version=rule.version,
    )


def rule_views(found: Sequence[rules.HoldRule]) -> list[HoldRuleView]:
    """Several."""
    return [rule_view(rule) for rule in found]
