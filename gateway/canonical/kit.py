"""Kits: items that are sold as one and may be put together from others when they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.stock import ClaimedLine

MOST_COMPONENTS: Final = 20


class Component(NamedTuple):
    """So much of an item, in its base units, goes into one kit."""

    item: str
    amount: Decimal


class Kit(Struct, frozen=True):
    """What one kit is made of. Components are no kits themselves."""

    item: str
    components: tuple[Component, ...]


class KitBook(Struct, frozen=True):
    """The kits of one tenant as they are made now, by their item, and by component which kits it goes into."""

    kits: Mapping[str, Kit]
    users: Mapping[str, tuple[str, ...]]

    def among(self, items: Iterable[str]) -> dict[str, Kit]:
        """Those of `items` that are kits."""
        kits = self.kits
        return {item: kits[item] for item in items if item in kits} if kits else {}

    def with_components(self, items: Iterable[str]) -> list[str]:
        """`items`, and after them what else their kits are made of, each once."""
        found = dict.fromkeys(items)
        for kit in self.among(list(found)).values():
            found.update(dict.fromkeys(part.item for part in kit.components))
        return list(found)

    def concerned(self, item: str) -> tuple[str, ...]:
        """`item`, and the kits that change with it."""
        return (item, *self.users.get(item, ()))


NO_KITS: Final = KitBook({}, {})


def book_of(kits: Collection[Kit]) -> KitBook:
    """The book of these kits; what is made of nothing is none."""
    users: dict[str, list[str]] = defaultdict(list)
    for kit in kits:
        for part in kit.components:
            users[part.item].append(kit.item)
    return KitBook(
        {kit.item: kit for kit in kits if kit.components},
        {item: tuple(sorted(some)) for item, some in users.items()},
    )


class ResolvesKits(Protocol):
    """The kits of a tenant. Answered from a copy that is at most a second old, so it may be asked for every call.

    Whoever is in a transaction gives its `connection`, so that nobody who holds one waits for another.
    """

    async def book(self, tenant: str, connection: Connection | None = None) -> KitBook: ...


class WithoutKits:
    """Implements `ResolvesKits` for whoever sells none."""

    async def book(self, tenant: str, connection: Connection | None = None) -> KitBook:  # noqa: ARG002 - nobody has any
        """No kits."""
        return NO_KITS


def in_kits(claimed: Iterable[ClaimedLine]) -> list[ClaimedLine]:
    """Promises in the items that were ordered: components of one kit, line and location as one promise of the kit."""
    plain: list[ClaimedLine] = []
    parts: dict[tuple[int, str, str], dict[str, tuple[ClaimedLine, Decimal]]] = defaultdict(dict)
    for each in claimed:
        if each.kit is None or each.per_kit is None:
            plain.append(each)
            continue
        of_kit = parts[each.line, each.location, each.kit]
        _, before = of_kit.get(each.item, (each, Decimal(0)))
        of_kit[each.item] = (each, before + each.amount)
    made = [
        replace(first, item=kit, amount=amount, kit=None, per_kit=None)
        for (_, _, kit), of_kit in parts.items()
        for first in [min((each for each, _ in of_kit.values()), key=_claim)]
        for amount in [min(amount // (each.per_kit or amount) for each, amount in of_kit.values())]
    ]
    return [*plain, *made]


def _claim(each: ClaimedLine) -> str:
    return each.claim
