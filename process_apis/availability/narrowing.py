"""Terms of item groups and customer classes, narrowed down to terms of items. Pure.

What is more specific wins, attribute by attribute: the item's own terms; those of its group for the customer's class;
those of its group; those of the class; the channel's. Answers, claims and dry runs all decide by what comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from gateway.canonical.item import GroupMembers
from process_apis.availability.models import ChannelRule, ChannelTerms, ClassTerms, ItemTerms, LocationTerms

ATTRIBUTES: Final = ("excluded", "buffer", "share", "protected", "min_life_days", "allotment")


def narrowed(rule: ChannelRule, members: GroupMembers) -> ChannelRule:
    """`rule` with the terms of groups as terms of their items, and a rule for each class of customers."""
    terms = rule.terms
    classes = {
        name: replace(
            rule, terms=_narrowed(_of_class(terms, own), _layers(terms.groups, own.groups), members), said=terms
        )
        for name, own in terms.classes.items()
    }
    return replace(rule, terms=_narrowed(terms, terms.groups, members), by_class=classes, said=terms)


def for_class(rule: ChannelRule, customer_class: str | None) -> ChannelRule:
    """The rule for a class of customers; the channel's own where it has none for it."""
    own = rule.by_class.get(customer_class) if customer_class is not None else None
    return rule if own is None else replace(own, doubtful=rule.doubtful, customer_class=customer_class)


def decided_by(rule: ChannelRule, item: str, group: str | None) -> dict[str, str]:
    """Which terms say what holds for an item: ``item``, ``class_group``, ``group``, ``class``, else the ``channel``."""
    said = rule.said or rule.terms
    of_class = said.classes.get(rule.customer_class or "") or ClassTerms()
    layers: Sequence[tuple[str, object]] = (
        ("item", said.items.get(item)),
        ("class_group", of_class.groups.get(group or "")),
        ("group", said.groups.get(group or "")),
        ("class", of_class),
    )
    return {
        name: next((layer for layer, terms in layers if getattr(terms, name, None) is not None), "channel")
        for name in ATTRIBUTES
    }


def _narrowed(terms: ChannelTerms, groups: Mapping[str, ItemTerms], members: GroupMembers) -> ChannelTerms:
    items = dict(terms.items)
    for group, wide in groups.items():
        for item in members.by_group.get(group, ()):
            own = terms.items.get(item)
            items[item] = wide if own is None else merged(wide, own)
    return replace(terms, items=items, groups={}, classes={})


def _of_class(terms: ChannelTerms, own: ClassTerms) -> ChannelTerms:
    return replace(
        terms,
        locations=_places(terms.locations, own.locations),
        buffer=terms.buffer if own.buffer is None else own.buffer,
        share=terms.share if own.share is None else own.share,
        min_life_days=terms.min_life_days if own.min_life_days is None else own.min_life_days,
    )


def _layers(groups: Mapping[str, ItemTerms], narrower: Mapping[str, ItemTerms]) -> dict[str, ItemTerms]:
    both = dict(groups)
    for group, own in narrower.items():
        both[group] = merged(groups[group], own) if group in groups else own
    return both


def merged(wide: ItemTerms, own: ItemTerms) -> ItemTerms:
    """`own`, and what it leaves open as `wide` has it."""
    said = {name: getattr(own, name) for name in ATTRIBUTES if getattr(own, name) is not None}
    return replace(wide, locations=_places(wide.locations, own.locations), **said)


def _places(wide: Sequence[LocationTerms], own: Sequence[LocationTerms]) -> tuple[LocationTerms, ...]:
    return tuple({place.location: place for place in (*wide, *own)}.values()) if own else tuple(wide)
