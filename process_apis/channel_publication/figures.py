"""Reading figures from their rows, and reckoning what is to be shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.canonical.capabilities import AnswersAvailability, Connection, ResolvesItems
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.channel_publication.models import Figure, FigureState, Look, PublishedChannel, Sale
from process_apis.channel_publication.rules import figure_to_show, unit_of

_sql: Final = queries_beside(__file__)


def figure_of(row: Mapping[str, Any]) -> Figure:
    """A figure from its row."""
    look = None
    if row["looked_version"] is not None:
        look = Look(row["looked"], row["looked_version"], row["looked_at"])
    return Figure(
        item=row["item"],
        sku=row["sku"],
        state=FigureState(row["state"]),
        base=row["base"],
        base_version=row["base_version"],
        attempted=row["attempted"],
        attempted_version=row["attempted_version"],
        look=look,
        revision=row["revision"],
        sold=row["sold"],
        since=row["since"],
    )


class Reckoning:
    """What one channel is to show, and what it sold since we know."""

    def __init__(
        self,
        store: Store,
        tenant: str,
        channel: PublishedChannel,
        *,
        items: ResolvesItems,
        availability: AnswersAvailability,
    ) -> None:
        self._items = items
        self._selling_unit = channel.selling_unit
        self._store = store
        self._key = (tenant, channel.name)
        self._availability = availability
        self._buffer = 0 if channel.shows.compares else channel.options.in_flight_buffer

    async def wanted(self, items: Sequence[str]) -> dict[str, int]:
        """Whole selling units to be shown of each known item, from the record as it is now."""
        tenant, channel = self._key
        answers = await self._availability.availability(tenant, channel=channel, items=items, from_record=True)
        known = await self._items.by_id(tenant, items) if self._selling_unit else {}
        units = {item: unit_of(each, self._selling_unit) for item, each in known.items()}
        return {
            answer.item: figure_to_show(answer.available_to_sell, self._buffer, units.get(answer.item, 1))
            for answer in answers
        }

    async def sales(self, items: Sequence[str], connection: Connection | None = None) -> Mapping[str, list[Sale]]:
        """What the channel sold of each after the version that we know it at."""
        rows = await (connection or self._store).fetch(_sql.sales_of, *self._key, list(items))
        found: dict[str, list[Sale]] = defaultdict(list)
        for row in rows:
            found[row["item"]].append(Sale(row["quantity"], row["version"]))
        return found
