"""What could stand in for items, and why something did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.kit import ResolvesKits
from gateway.canonical.stock import ItemAvailability
from gateway.canonical.substitute import ResolvesSubstitutes, Substitute
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.answering import Answerer

_sql: Final = queries_beside(__file__, "substitute_queries.sql")
_ZERO: Final = Decimal(0)


class Alternative(Struct, frozen=True):
    """What may be sold of a substitute by itself, and how many base units of the item asked for that serves."""

    substitute: Substitute
    answer: ItemAvailability
    serves: Decimal


class SubstituteAnswers:
    """Answers about substitutes; the figures are those of their own answers."""

    def __init__(self, store: Store, answerer: Answerer, kits: ResolvesKits, substitutes: ResolvesSubstitutes) -> None:
        self._store = store
        self._answerer = answerer
        self._kits = kits
        self._substitutes = substitutes

    async def of(self, tenant: str, *, channel: str, items: Sequence[str]) -> Mapping[str, Sequence[Alternative]]:
        """By item what may stand in for it in a channel, the preferred first: one reading for all."""
        book, kits = await self._substitutes.book(tenant), (await self._kits.book(tenant)).kits
        may = {
            item: [each for each in book.of(item, channel) if each.item not in kits]
            for item in items
            if item not in kits
        }
        wanted = list(dict.fromkeys(each.item for some in may.values() for each in some))
        answers = await self._answerer.availability(tenant, channel=channel, items=wanted, locations=True)
        known = {answer.item: answer for answer in answers}
        return {
            item: [
                Alternative(each, known[each.item], serves(each, known[each.item]))
                for each in some
                if each.item in known
            ]
            for item, some in may.items()
        }

    async def chosen(self, tenant: str, order: str) -> Sequence[Any]:
        """Why substitutes were promised to an order, line by line."""
        return await self._store.fetch(_sql.substitutions_of, tenant, order)


def serves(substitute: Substitute, answer: ItemAvailability) -> Decimal:
    """How much of the item asked for a substitute serves, in whole steps, each of them at one location."""
    lump = substitute.step * substitute.factor
    placed = sum((max(_ZERO, place.available_to_sell) // lump for place in answer.locations), _ZERO)
    return min(placed, answer.available_to_sell // lump) * substitute.step
