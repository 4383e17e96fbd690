"""What may be promised by date, from the record: stock lines, supply still to come, promises that wait for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import DatePromise, ItemPromises
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Rejected
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.lines import line_of_row
from process_apis.availability.models import ChannelRule, ChannelTerms, LineKey, StockLine
from process_apis.availability.promising_dates import (
    HORIZON,
    Outlook,
    Step,
    SupplyLine,
    earliest,
    promisable,
    still_to_come,
)
from process_apis.availability.rules import available, usable
from process_apis.availability.selling import terms_at

_sql: Final = queries_beside(__file__)
_supply: Final = queries_beside(__file__, "supply_queries.sql")
_ZERO: Final = Decimal(0)


class Calendar:
    """Business dates: each location's own, by its time zone."""

    def __init__(self, locations: LocationMap, clock: Clock) -> None:
        self._locations = locations
        self._clock = clock

    def today(self, tenant: str, location: str | None = None) -> date:
        """The date at a location; in UTC where none or an unknown one is named."""
        place = None if location is None else self._locations.by_id(tenant, location)
        return self._clock.now().astimezone(UTC if place is None else ZoneInfo(place.time_zone)).date()

    def check(self, tenant: str, on: date) -> None:
        """Raise `Rejected` (``promise.date_too_far``) for a date beyond the horizon."""
        if on > self.today(tenant) + HORIZON:
            raise Rejected(
                f"{on} is further ahead than we promise: ask for a date within {HORIZON.days} days",
                code="promise.date_too_far",
            )


class Ahead(Struct, frozen=True):
    """What is to come to stock lines, and what waits for it."""

    supply: Mapping[LineKey, Sequence[tuple[SupplyLine, Decimal]]]
    receiving: Mapping[LineKey, Decimal]
    waiting: Mapping[LineKey, Sequence[Step]]

    def arrivals(self, key: LineKey, today: date) -> list[Step]:
        """What comes, from `today` on: goods being received count today, overdue and undated supply nothing."""
        steps = [
            Step(line.due, amount)
            for line, amount in self.supply.get(key, ())
            if line.due is not None and line.due >= today and amount
        ]
        received = self.receiving.get(key, _ZERO)
        return [Step(today, received), *steps] if received > 0 else steps


async def look_ahead(connection: Connection, tenant: str, items: Sequence[str]) -> Ahead:
    """Read what is to come of `items`. Stands still while their stock lines are locked."""
    lines = [supply_line(row) for row in await connection.fetch(_supply.supply_of_items, tenant, list(items))]
    supply: dict[LineKey, list[tuple[SupplyLine, Decimal]]] = defaultdict(list)
    for line, amount in zip(lines, still_to_come(lines), strict=True):
        supply[LineKey(line.item, line.location, line.owner)].append((line, amount))
    rows = await connection.fetch(_supply.receiving_of_items, tenant, list(items))
    receiving = {LineKey(row["item"], row["location"], row["owner"]): row["amount"] for row in rows}
    return Ahead(supply, receiving, {})


def supply_line(row: Any) -> SupplyLine:
    """A supply line from its row with what its document opened and closed."""
    return SupplyLine(*(row[name] for name in SupplyLine._fields))


def outlooks(
    lines: Iterable[StockLine], terms: ChannelTerms, ahead: Ahead, today: Callable[[str], date]
) -> list[Outlook]:
    """The places of one item that a channel may use, over time; `today` gives the date at a location."""
    found = []
    for line in lines:
        place = usable(line.location, terms) if line.owner == terms.owner else None
        if place is None:
            continue
        key, now = LineKey(line.item, line.location, line.owner), today(line.location)
        steps = [*ahead.arrivals(key, now), *(Step(on, -amount) for on, amount in ahead.waiting.get(key, ()))]
        found.append(Outlook(line.location, available(line) - place.safety_stock, steps, now + HORIZON))
    return found


class Foreseer:
    """Answers what may be promised, and when."""

    def __init__(self, store: Store, items: ResolvesItems, calendar: Calendar, clock: Clock) -> None:
        self._store = store
        self._items = items
        self._calendar = calendar
        self._clock = clock

    async def promises(
        self, tenant: str, *, rule: ChannelRule, items: Sequence[str], dates: Sequence[date], amount: Decimal | None
    ) -> list[ItemPromises]:
        """For each known item what `rule` lets its channel promise for each date, and when first `amount`.

        Raises `Rejected` (``promise.date_too_far``).
        """
        for on in dates:
            self._calendar.check(tenant, on)
        described = await self._items.by_id(tenant, items)
        wanted = [item for item in items if item in described]
        async with self._store.connection() as connection:
            rows = await connection.fetch(_sql.lines_of_items, tenant, wanted)
            counters = await connection.fetch(_sql.channels_of_items, tenant, wanted)
            ahead = await look_ahead(connection, tenant, wanted)
        lines: dict[str, list[StockLine]] = defaultdict(list)
        for row in rows:
            lines[row["item"]].append(line_of_row(row))
        mine = (rule.channel, rule.terms.owner)
        held = {row["item"]: row["open"] for row in counters if (row["channel"], row["owner"]) == mine}
        now = self._clock.now()
        found = []
        for item in wanted:
            terms, own = terms_at(rule, item), held.get(item, _ZERO)
            places = outlooks(lines[item], terms, ahead, lambda place: self._calendar.today(tenant, place))
            found.append(self._answer(tenant, item, described[item].base_uom, terms, places, own, dates, amount, now))
        return found

    def _answer(
        self,
        tenant: str,
        item: str,
        uom: str,
        terms: ChannelTerms,
        places: Sequence[Outlook],
        own: Decimal,
        dates: Sequence[date],
        amount: Decimal | None,
        now: datetime,
    ) -> ItemPromises:
        today = self._calendar.today(tenant)
        first = None if amount is None else earliest(places, terms, own, amount, today)
        asked = [DatePromise(on, promisable(places, terms, own, max(on, today))) for on in dates]
        return ItemPromises(item=item, uom=uom, promises=tuple(asked), earliest=first, as_of=now)

    async def supply(self, tenant: str, items: Sequence[str]) -> list[tuple[SupplyLine, Decimal, Any]]:
        """Every supply line of `items`, how much of it is to come, and its row with dates and when it was told."""
        rows = await self._store.fetch(_supply.supply_of_items, tenant, list(items))
        lines = [supply_line(row) for row in rows]
        return list(zip(lines, still_to_come(lines), rows, strict=True))
