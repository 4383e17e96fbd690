"""Lots: until when their goods may be used, told by whoever knows, and how much of each is left to sell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import LotAtHand
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Invalid, Problem
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.models import DEFAULT_OWNER, LineKey, LotLeft, StockLine
from process_apis.availability.rulebook import Rulebook

_sql: Final = queries_beside(__file__, "rules.sql")


class LotStock(NamedTuple):
    """Sellable stock of one lot in one stock line, and its last day."""

    item: str
    location: str
    owner: str
    expires_on: date
    amount: Decimal


class LotTold(NamedTuple):
    """The last day of one lot of an item."""

    item: str
    lot: str
    expires_on: date


decode_lots: Final = msgspec.json.Decoder(list[LotStock]).decode


class Lots:
    """Takes and lists the last days of lots; tells what lies by lot."""

    def __init__(self, store: Store, items: ResolvesItems, rulebook: Rulebook, clock: Clock) -> None:
        self._store = store
        self._items = items
        self._rulebook = rulebook
        self._clock = clock

    async def tell(self, tenant: str, lots: Sequence[LotTold], *, actor: str, correlation_id: str) -> None:
        """Keep the last days of `lots`, the latest word of each counting; raises `Invalid` (``lot.unknown_item``)."""
        known = await self._items.by_id(tenant, sorted({lot.item for lot in lots}))
        problems = [
            Problem(f"there is no item {lot.item}: correct its id", pointer=f"/lots/{number}/item")
            for number, lot in enumerate(lots)
            if lot.item not in known
        ]
        if problems:
            raise Invalid("some lots are of items that are not here: see errors", code="lot.unknown_item",
                          problems=problems)  # fmt: skip
        latest = {(lot.item, lot.lot): lot.expires_on for lot in lots}
        columns = [[key[0] for key in latest], [key[1] for key in latest], list(latest.values())]
        async with self._store.transaction() as connection:
            await connection.execute(_sql.tell_lots, tenant, *columns, actor)
            await record_audit(
                connection,
                tenant=tenant,
                actor=actor,
                action="availability.lots_told",
                subject=f"lots/{lots[0].item}",
                outcome="done",
                correlation_id=correlation_id,
                detail={"lots": [[*key, day] for key, day in latest.items()]},
            )

    async def listed(self, tenant: str, item: str, *, after: str | None, limit: int) -> Sequence[Any]:
        """The lots of an item whose last day is known, by lot."""
        return await self._store.fetch(_sql.lots_listed, tenant, item, after, limit)

    async def at_hand(
        self, connection: Connection, tenant: str, channel: str, location: str, items: Sequence[str]
    ) -> list[LotAtHand]:
        """See `TellsLots`; in the caller's transaction, so that it holds as long as the stock lines are locked."""
        rules = await self._rulebook.in_force(connection, tenant, self._clock.now())
        owner = rules[channel].terms.owner if channel in rules else DEFAULT_OWNER
        rows = await connection.fetch(_sql.lots_at, tenant, location, list(items), owner)
        return [LotAtHand(**row) for row in rows]


async def lots_of(connection: Connection, tenant: str, items: Sequence[str]) -> list[LotStock]:
    """The sellable stock of dated lots of `items`."""
    return [LotStock(*row) for row in await connection.fetch(_sql.lots_of_items, tenant, list(items))]


def with_lots(lines: Iterable[StockLine], lots: Iterable[LotStock], today: Callable[[str], date]) -> list[StockLine]:
    """`lines` with what is left of their lots, in days by the date at their location."""
    left: dict[LineKey, list[LotLeft]] = defaultdict(list)
    for lot in lots:
        days = (lot.expires_on - today(lot.location)).days
        left[LineKey(lot.item, lot.location, lot.owner)].append(LotLeft(days, lot.amount))
    return [
        replace(line, lots=tuple(found)) if (found := left.get(LineKey(line.item, line.location, line.owner))) else line
        for line in lines
    ]


def dates_at(locations: LocationMap, tenant: str, now: datetime) -> Callable[[str], date]:
    """The business date at each location at `now`, by its time zone; in that of `now` where it is not known."""

    def today(location: str) -> date:
        place = locations.by_id(tenant, location)
        return now.date() if place is None else now.astimezone(ZoneInfo(place.time_zone)).date()

    return today
