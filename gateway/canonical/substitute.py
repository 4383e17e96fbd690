"""Substitutes: what may stand in for an item that there is not enough of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from gateway.canonical.capabilities import Connection

MOST_SUBSTITUTES: Final = 10
_ONE: Final = Decimal(1)


class Substitute(NamedTuple):
    """So many base units of `item` serve one of what was asked for, in these channels (none named: in all).

    It serves `step` of what was asked for, or a multiple: what whole base units of something counted come to.
    """

    item: str
    factor: Decimal
    step: Decimal = _ONE
    channels: tuple[str, ...] = ()


class ListedSubstitute(NamedTuple):
    """A substitute as it is declared: `both_ways`, and the item stands in for it as well. `counted`: in whole units."""

    item: str
    factor: Decimal = _ONE
    both_ways: bool = False
    channels: tuple[str, ...] = ()
    counted: bool = True


class SubstituteBook(Struct, frozen=True):
    """What may stand in for what now, of one tenant: by item, the preferred first."""

    lists: Mapping[str, tuple[Substitute, ...]]

    def of(self, item: str, channel: str) -> tuple[Substitute, ...]:
        """What may stand in for `item` where `channel` sells it."""
        found = self.lists.get(item, ())
        return tuple(each for each in found if not each.channels or channel in each.channels) if found else ()


NO_SUBSTITUTES: Final = SubstituteBook({})


def substitute_book(lists: Iterable[tuple[str, Sequence[ListedSubstitute]]]) -> SubstituteBook:
    """The book of these lists. What stands in the other way round comes after what an item lists itself."""
    own: dict[str, list[Substitute]] = {}
    back: dict[str, list[Substitute]] = defaultdict(list)
    for item, listed in lists:
        own[item] = [
            Substitute(each.item, each.factor, whole_step(each.factor) if each.counted else _ONE, each.channels)
            for each in listed
        ]
        for each in listed:
            if each.both_ways:
                factor = _ONE / each.factor
                back[each.item].append(Substitute(item, factor, whole_step(factor), each.channels))
    for item, some in back.items():
        named = {each.item for each in own.get(item, ())}
        own.setdefault(item, []).extend(sorted(each for each in some if each.item not in named))
    return SubstituteBook({item: tuple(some) for item, some in own.items() if some})


def whole_step(factor: Decimal) -> Decimal:
    """The least whole number that comes to a whole one when multiplied by `factor`."""
    return Decimal(factor.as_integer_ratio()[1])


class ResolvesSubstitutes(Protocol):
    """The substitutes of a tenant's items, from a copy that is at most a second old, as `ResolvesKits` answers."""

    async def book(self, tenant: str, connection: Connection | None = None) -> SubstituteBook: ...


class WithoutSubstitutes:
    """Implements `ResolvesSubstitutes` for whoever has none."""

    async def book(self, tenant: str, connection: Connection | None = None) -> SubstituteBook:  # noqa: ARG002 - none at all
        """No substitutes."""
        return NO_SUBSTITUTES
