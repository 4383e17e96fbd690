"""The shapes of channels' rules on the wire. Amounts are exact decimals, as strings, in base units of the item."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.canonical.stock import Substitution
from gateway.kernel.context import Caller
from gateway.kernel.errors import Invalid, Problem
from gateway.kernel.quantity import plain
from process_apis.availability.models import Allotment, ChannelTerms, ClassTerms, ItemTerms, LocationTerms, RuleVersion
from process_apis.availability.ruling import RuleChange
from process_apis.availability.schemas import Text

Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["12", "0.5"])]
Share = Annotated[
    str,
    Meta(
        pattern=r"^(0(\.[0-9]{1,12})?|1(\.0{1,12})?)$(?!\n)",
        examples=["0.5"],
        description="The ceiling of the channel's own open claims, as a part of what it may take plus what it holds.",
    ),
]
ItemId = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9_]+$(?!\n)", examples=["itm_01"])]
Instant = Annotated[datetime, Meta(tz=True)]
Days = Annotated[int, Meta(ge=0, le=36_500)]
Group = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)", examples=["fresh"])]
Version = Annotated[int, Meta(ge=0, le=2**53)]


class LocationTermsInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the channel may use of one location: nothing where it is not `eligible`."""

    location: Text
    safety_stock: Amount = "0"
    eligible: bool = True


class AllotmentInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A quantity for this channel alone, until its claims have drawn it down. Another `name` begins anew."""

    name: Text
    amount: Amount


class ItemTermsInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is different for one item; what is left out is as the channel has it."""

    item: ItemId
    excluded: bool | None = None
    locations: Annotated[list[LocationTermsInput], Meta(max_length=200)] = []
    buffer: Amount | None = None
    share: Share | None = None
    protected: Amount | None = None
    min_life_days: Days | None = None
    allotment: AllotmentInput | None = None


class ClassGroupTermsInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is different for the items of one group where this class of customers asks."""

    group: Group
    excluded: bool | None = None
    locations: Annotated[list[LocationTermsInput], Meta(max_length=200)] = []
    buffer: Amount | None = None
    share: Share | None = None
    min_life_days: Days | None = None


class GroupTermsInput(ClassGroupTermsInput, kw_only=True, forbid_unknown_fields=True):
    """What is different for the items of one group, now and whichever come to it; what is left out is as without it."""

    protected: Amount | None = None


class ClassTermsInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is different where a class of customers asks. A larger `buffer` keeps so much more for the other classes.

    `share` is a ceiling of what the channel as a whole holds: where it is reached, this class may take no more.
    """

    customer_class: Group
    locations: Annotated[list[LocationTermsInput], Meta(max_length=200)] = []
    buffer: Amount | None = None
    share: Share | None = None
    min_life_days: Days | None = None
    groups: Annotated[list[ClassGroupTermsInput], Meta(max_length=200)] = []


class TermsInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a channel may sell: of whose stock, where, how much of it, and what others leave to it.

    Locations not named are eligible without safety stock, unless `only_named`. `buffer` is taken off the sum of the
    locations, per item. `protected` is left to this channel by those of a lower `priority`, which is a larger number.
    Of terms of an item, of its group for the customer's class, of its group, of the class and of the channel, the first
    that say something hold, attribute by attribute. `substitution` holds for reservations that say nothing of it.
    """

    owner: Text = "main"
    locations: Annotated[list[LocationTermsInput], Meta(max_length=200)] = []
    only_named: bool = False
    buffer: Amount = "0"
    share: Share | None = None
    fallback: Literal["serve", "buffer", "stop"] = "serve"
    fallback_buffer: Amount = "0"
    priority: Annotated[int, Meta(ge=0, le=1_000_000)] = 100
    protected: Amount = "0"
    min_life_days: Days = 0
    items: Annotated[list[ItemTermsInput], Meta(max_length=2_000)] = []
    substitution: Substitution = "none"
    groups: Annotated[list[GroupTermsInput], Meta(max_length=500)] = []
    classes: Annotated[list[ClassTermsInput], Meta(max_length=50)] = []


class RuleInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new version of a channel's rule, whole: what it leaves out is as if it had never been set.

    It begins now unless `effective_from` says when; where `effective_until` ends it, the version before takes over.
    With `expected_version` it is refused if somebody else made one meanwhile (0: there is none yet).
    """

    channel: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]
    terms: TermsInput
    business_owner: Text
    reason: Text
    effective_from: Instant | None = None
    effective_until: Instant | None = None
    expected_version: Version | None = None


class LocationTermsView(Struct, kw_only=True):
    """What the channel may use of one location."""

    location: str
    safety_stock: Amount
    eligible: bool


class AllotmentView(Struct, kw_only=True):
    """A quantity for this channel alone."""

    name: str
    amount: Amount


class ItemTermsView(Struct, kw_only=True):
    """What is different for one item; null is as the channel has it."""

    item: str
    excluded: bool | None
    locations: list[LocationTermsView]
    buffer: Amount | None
    share: str | None
    protected: Amount | None
    min_life_days: int | None
    allotment: AllotmentView | None


class GroupTermsView(Struct, kw_only=True):
    """What is different for the items of one group; null is as without it."""

    group: str
    excluded: bool | None
    locations: list[LocationTermsView]
    buffer: Amount | None
    share: str | None
    protected: Amount | None
    min_life_days: int | None


class ClassTermsView(Struct, kw_only=True):
    """What is different where a class of customers asks; null is as the channel has it."""

    customer_class: str
    locations: list[LocationTermsView]
    buffer: Amount | None
    share: str | None
    min_life_days: int | None
    groups: list[GroupTermsView]


class TermsView(Struct, kw_only=True):
    """What a channel may sell."""

    owner: str
    locations: list[LocationTermsView]
    only_named: bool
    buffer: Amount
    share: str | None
    fallback: str
    fallback_buffer: Amount
    priority: int
    protected: Amount
    min_life_days: int
    items: list[ItemTermsView]
    substitution: str
    groups: list[GroupTermsView]
    classes: list[ClassTermsView]


class RuleView(Struct, kw_only=True):
    """One version of a channel's rule: who made it, for whom, why, and when it holds."""

    channel: str
    version: int
    terms: TermsView
    business_owner: str
    reason: str
    effective_from: datetime
    effective_until: datetime | None
    made_by: str
    made_at: datetime


class RulePage(Struct, kw_only=True):
    """The versions in force, by channel. `next_cursor` asks for more."""

    rules: Annotated[list[RuleView], Meta(max_length=100)]
    next_cursor: str | None


class RuleVersionPage(Struct, kw_only=True):
    """Versions of one channel's rule, the latest first. `next_before` asks for earlier ones."""

    versions: Annotated[list[RuleView], Meta(max_length=100)]
    next_before: int | None


def terms_of(data: TermsInput) -> ChannelTerms:
    """Terms in our own language. Raises `Invalid` (``rule.invalid``) where an item is named twice."""
    items: dict[str, ItemTerms] = {}
    for number, each in enumerate(data.items):
        if each.item in items:
            raise _named_twice(each.item, f"/terms/items/{number}/item")
        items[each.item] = ItemTerms(
            excluded=each.excluded,
            locations=_places_of(each.locations),
            buffer=_decimal(each.buffer),
            share=_decimal(each.share),
            protected=_decimal(each.protected),
            min_life_days=each.min_life_days,
            allotment=None if each.allotment is None else _allotment_of(each.allotment),
        )
    return ChannelTerms(
        owner=data.owner,
        locations=_places_of(data.locations),
        only_named=data.only_named,
        buffer=Decimal(data.buffer),
        share=_decimal(data.share),
        fallback=data.fallback,
        fallback_buffer=Decimal(data.fallback_buffer),
        priority=data.priority,
        protected=Decimal(data.protected),
        min_life_days=data.min_life_days,
        items=items,
        substitution=data.substitution,
        groups=_groups_of(data.groups, "/terms/groups"),
        classes=_classes_of(data.classes),
    )


def _groups_of(data: Sequence[ClassGroupTermsInput], at: str) -> dict[str, ItemTerms]:
    groups: dict[str, ItemTerms] = {}
    for number, each in enumerate(data):
        if each.group in groups:
            raise _named_twice(each.group, f"{at}/{number}/group")
        groups[each.group] = ItemTerms(
            excluded=each.excluded,
            locations=_places_of(each.locations),
            buffer=_decimal(each.buffer),
            share=_decimal(each.share),
            protected=_decimal(getattr(each, "protected", None)),
            min_life_days=each.min_life_days,
        )
    return groups


def _classes_of(data: Sequence[ClassTermsInput]) -> dict[str, ClassTerms]:
    classes: dict[str, ClassTerms] = {}
    for number, each in enumerate(data):
        if each.customer_class in classes:
            raise _named_twice(each.customer_class, f"/terms/classes/{number}/customer_class")
        classes[each.customer_class] = ClassTerms(
            locations=_places_of(each.locations),
            buffer=_decimal(each.buffer),
            share=_decimal(each.share),
            min_life_days=each.min_life_days,
            groups=_groups_of(each.groups, f"/terms/classes/{number}/groups"),
        )
    return classes


def _named_twice(name: str, pointer: str) -> Invalid:
    detail = f"{name} has terms already: keep one of them"
    return Invalid(detail, code="rule.invalid", problems=[Problem(detail, pointer=pointer)])


def change_of(data: RuleInput, caller: Caller) -> RuleChange:
    """The command in our own language."""
    return RuleChange(
        channel=data.channel,
        terms=terms_of(data.terms),
        actor=caller.principal.subject,
        effective_from=data.effective_from,
        effective_until=data.effective_until,
        business_owner=data.business_owner,
        reason=data.reason,
        expected=data.expected_version,
        correlation_id=caller.correlation_id,
    )


def rule_view(rule: RuleVersion) -> RuleView:
    """A version on the wire."""
    names = ("channel", "version", "business_owner", "reason", "effective_from", "effective_until", "made_by",
             "made_at")  # fmt: skip
    return RuleView(terms=_terms_view(rule.terms), **{name: getattr(rule, name) for name in names})


def _terms_view(terms: ChannelTerms) -> TermsView:
    return TermsView(
        owner=terms.owner,
        locations=_place_views(terms.locations),
        only_named=terms.only_named,
        buffer=plain(terms.buffer),
        share=_text(terms.share),
        fallback=terms.fallback,
        fallback_buffer=plain(terms.fallback_buffer),
        priority=terms.priority,
        protected=plain(terms.protected),
        min_life_days=terms.min_life_days,
        items=[
            ItemTermsView(
                item=item,
                excluded=own.excluded,
                locations=_place_views(own.locations),
                buffer=_text(own.buffer),
                share=_text(own.share),
                protected=_text(own.protected),
                min_life_days=own.min_life_days,
                allotment=_allotment_view(own.allotment),
            )
            for item, own in sorted(terms.items.items())
        ],
        substitution=terms.substitution,
        groups=_group_views(terms.groups),
        classes=[
            ClassTermsView(
                customer_class=name,
                locations=_place_views(own.locations),
                buffer=_text(own.buffer),
                share=_text(own.share),
                min_life_days=own.min_life_days,
                groups=_group_views(own.groups),
            )
            for name, own in sorted(terms.classes.items())
        ],
    )


def _group_views(groups: Mapping[str, ItemTerms]) -> list[GroupTermsView]:
    return [
        GroupTermsView(
            group=group,
            excluded=own.excluded,
            locations=_place_views(own.locations),
            buffer=_text(own.buffer),
            share=_text(own.share),
            protected=_text(own.protected),
            min_life_days=own.min_life_days,
        )
        for group, own in sorted(groups.items())
    ]


def _places_of(places: Sequence[LocationTermsInput]) -> tuple[LocationTerms, ...]:
    return tuple(
        LocationTerms(location=each.location, safety_stock=Decimal(each.safety_stock), eligible=each.eligible)
        for each in places
    )


def _place_views(places: Sequence[LocationTerms]) -> list[LocationTermsView]:
    return [
        LocationTermsView(location=each.location, safety_stock=plain(each.safety_stock), eligible=each.eligible)
        for each in places
    ]


def _allotment_of(data: AllotmentInput) -> Allotment:
    return Allotment(name=data.name, amount=Decimal(data.amount))


def _allotment_view(allotment: Allotment | None) -> AllotmentView | None:
    return None if allotment is None else AllotmentView(name=allotment.name, amount=plain(allotment.amount))


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _text(figure: Decimal | None) -> str | None:
    return None if figure is None else plain(figure)
