"""What may be promised by date, from the record: stock lines, supply still to come, promises that wait for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.kit import ResolvesKits
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import DatePromise, ItemPromises
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Rejected
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.kit_dates import SeenKit
from process_apis.availability.lines import line_of_row
from process_apis.availability.models import ChannelRule, Held, LineKey
from process_apis.availability.projecting import ItemStock
from process_apis.availability.promising_dates import (
    HORIZON,
    Outlook,
    Seen,
    Step,
    SupplyLine,
    still_to_come,
)
from process_apis.availability.rules import available, supply, usable
from process_apis.availability.selling import offer, terms_at

_sql: Final = queries_beside(__file__)
_supply: Final = queries_beside(__file__, "supply_queries.sql")
_ZERO: Final = Decimal(0)
_DAY: Final = timedelta(days=1)
_Today = Callable[[str], date]


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
    held: Mapping[tuple[str, str, str], Decimal]
    """What a channel holds of an item in promises that wait: by item, channel, owner."""

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
    waiting: dict[LineKey, list[Step]] = defaultdict(list)
    held: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in await connection.fetch(_supply.promised_on_items, tenant, list(items)):
        key = LineKey(row["item"], row["location"], row["owner"])
        waiting[key].append(Step(row["due"] or date.min, row["open"]))
        held[row["item"], row["channel"], row["owner"]] += row["open"]
    return Ahead(supply, receiving, waiting, held)


def supply_line(row: Any) -> SupplyLine:
    """A supply line from its row with what its document opened and closed."""
    return SupplyLine(*(row[name] for name in SupplyLine._fields))


def foresee(
    item: str, stock: ItemStock, rule: ChannelRule, fencing: Sequence[ChannelRule], ahead: Ahead, today: _Today
) -> Seen:
    """What `rule` lets its channel see of `item`; `fencing` as for `offer`, `today` gives the date at a location.

    What is kept for other channels is taken off the stock at hand, where `offer` takes it.
    """
    terms = terms_at(rule, item)
    offered = offer(item, stock.lines, rule, fencing, stock.channels).places
    places = []
    for line in stock.lines:
        place = usable(line.location, terms) if line.owner == terms.owner else None
        if place is None:
            continue
        key, now = LineKey(line.item, line.location, line.owner), today(line.location)
        steps = [*ahead.arrivals(key, now), *(Step(on, -amount) for on, amount in ahead.waiting.get(key, ()))]
        kept = supply(line, terms) - offered.get(line.location, _ZERO)
        # A day more, and one for zones: whatever may be promised anywhere lies within.
        until = now + HORIZON + 2 * _DAY
        places.append(Outlook(line.location, available(line) - place.safety_stock - kept, steps, until))
    held = stock.channels.get((rule.channel, terms.owner), Held()).open
    return Seen(places, terms, held + ahead.held.get((item, rule.channel, terms.owner), _ZERO))


def stocks_of(items: Iterable[str], lines: Iterable[Any], channels: Iterable[Any]) -> dict[str, ItemStock]:
    """Rows of stock lines and channel lines, by item."""
    stocks = {item: ItemStock(lines=[], channels={}) for item in items}
    for row in lines:
        stocks[row["item"]].lines.append(line_of_row(row))
    for row in channels:
        held = Held(row["open"], row["version"], row["allotment"], row["drawn"])
        stocks[row["item"]].channels[row["channel"], row["owner"]] = held
    return stocks


class Foreseer:
    """Answers what may be promised, and when."""

    def __init__(
        self, store: Store, items: ResolvesItems, kits: ResolvesKits, calendar: Calendar, clock: Clock
    ) -> None:
        self._kits = kits
        self._store = store
        self._items = items
        self._calendar = calendar
        self._clock = clock

    async def promises(
        self,
        tenant: str,
        *,
        rule: ChannelRule,
        fencing: Sequence[ChannelRule],
        items: Sequence[str],
        dates: Sequence[date],
        amount: Decimal | None,
    ) -> list[ItemPromises]:
        """For each known item what `rule` lets its channel promise for each date, and when first `amount`.

        Raises `Rejected` (``promise.date_too_far``).
        """
        for on in dates:
            self._calendar.check(tenant, on)
        described = await self._items.by_id(tenant, items)
        wanted = [item for item in items if item in described]
        book = await self._kits.book(tenant)
        needed = book.with_components(wanted)
        async with self._store.connection() as connection:
            lines = await connection.fetch(_sql.lines_of_items, tenant, needed)
            channels = await connection.fetch(_sql.channels_of_items, tenant, needed)
            ahead = await look_ahead(connection, tenant, needed)
        now, today = self._clock.now(), self._calendar.today(tenant)
        alone: dict[str, Seen] = {
            item: foresee(item, stock, rule, fencing, ahead, partial(self._calendar.today, tenant))
            for item, stock in stocks_of(needed, lines, channels).items()
        }
        seen: dict[str, Seen | SeenKit] = dict(alone)
        for item, kit in book.among(wanted).items():
            parts = {each: alone[each] for each in (item, *(part.item for part in kit.components))}
            seen[item] = SeenKit(kit, terms_at(rule, item), parts)
        return [
            ItemPromises(
                item=item,
                uom=described[item].base_uom,
                promises=tuple(DatePromise(on, seen[item].promisable(max(on, today))) for on in dates),
                earliest=None if amount is None else seen[item].earliest(amount, today),
                as_of=now,
            )
            for item in wanted
        ]

    async def supply(self, tenant: str, items: Sequence[str]) -> list[tuple[SupplyLine, Decimal, Any]]:
        """Every supply line of `items`, how much of it is to come, and its row with dates and when it was told."""
        rows = await self._store.fetch(_supply.supply_of_items, tenant, list(items))
        lines = [supply_line(row) for row in rows]
        return list(zip(lines, still_to_come(lines), rows, strict=True))
