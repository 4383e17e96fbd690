"""The figures that messages tell: what many of them ask for at once is read in one go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from gateway.canonical.capabilities import AnswersAvailability, ResolvesItems
from gateway.canonical.item import Item
from gateway.canonical.stock import ItemAvailability
from gateway.store.batches import Batches

_TOGETHER: Final = 500
_WAITING: Final = 4_096


class Figure(Struct, frozen=True):
    """What a message about availability tells."""

    item: Item
    availability: ItemAvailability


class Figures:
    """Reads from the record, and after it was asked: a change that is told must be in what is told."""

    def __init__(self, items: ResolvesItems, availability: AnswersAvailability, *, locations: bool) -> None:
        self._items = items
        self._availability = availability
        self._locations = locations
        self._reading = Batches(self._read, largest=_TOGETHER, waiting=_WAITING)

    async def of(self, tenant: str, channel: str, item: str) -> Figure | None:
        """The figure of an item on a channel; None when there is no such item any more."""
        return await self._reading.ask((tenant, channel, item))

    async def _read(self, asked: Sequence[tuple[str, str, str]]) -> list[Figure | None]:
        wanted: dict[tuple[str, str], list[str]] = defaultdict(list)
        for tenant, channel, item in dict.fromkeys(asked):
            wanted[tenant, channel].append(item)
        found: dict[tuple[str, str, str], Figure] = {}
        for (tenant, channel), items in wanted.items():
            known = await self._items.by_id(tenant, items)
            # The projection may not have seen the change yet that a message is about.
            answers = await self._availability.availability(
                tenant, channel=channel, items=items, locations=self._locations, from_record=True
            )
            for each in answers:
                if each.item in known:
                    found[tenant, channel, each.item] = Figure(known[each.item], each)
        return [found.get(each) for each in asked]
