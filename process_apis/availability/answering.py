"""Answers: what a channel may sell, how sure that is, and why."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import ResolvesItems
from gateway.canonical.kit import ResolvesKits
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import ItemAvailability, LocationAvailability
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Unavailable
from gateway.kernel.quantity import UnitConversion
from gateway.store.batches import Batches
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.explaining import Account, account
from process_apis.availability.foreseeing import stocks_of
from process_apis.availability.freshness import Certainty, Heard, Holding, SourceObjectives, certainty
from process_apis.availability.holding import read_held
from process_apis.availability.kit_answers import KitAccount, kit_account, with_made
from process_apis.availability.lots import dates_at, lots_of, with_lots
from process_apis.availability.models import ChannelRule, Held, StockLine
from process_apis.availability.narrowing import for_class
from process_apis.availability.projecting import ItemStock, Projection
from process_apis.availability.rulebook import Rulebook, fencing_of, open_rule
from process_apis.availability.rules import available, usable
from process_apis.availability.selling import Offer, Sells, offer, selling_by, terms_for

_sql: Final = queries_beside(__file__)
_rules: Final = queries_beside(__file__, "rules.sql")
_ZERO: Final = Decimal(0)
_POLL_S: Final = 1.0
_MOVEMENTS: Final = 3
_READ_TOGETHER: Final = 500
_NOTHING: Final = Held()
_EMPTY: Final = ItemStock(lines=[], channels={})


class Explained(Struct, frozen=True):
    """An answer with the rule it follows, how it comes about, and the latest movements by location.

    `account` is of the item's own stock; `kit` has what its components add.
    """

    answer: ItemAvailability
    rule: ChannelRule
    account: Account
    movements: Mapping[str, Sequence[Any]]
    kit: KitAccount | None = None
    group: str | None = None


class _Known:
    """What answers need besides stock: rules and when each source was heard. A copy, renewed once a second."""

    def __init__(self) -> None:
        self.rules: Mapping[str, ChannelRule] = {}
        self.fencing: Sequence[ChannelRule] = ()
        self.has_lots = False
        self.heard: dict[str, Heard] = {}
        self.held: dict[str, Holding] = {}
        self.read_at = float("-inf")
        self.reading = asyncio.Lock()


class Answerer:
    """Implements `AnswersAvailability`: the projection first, the record where that cannot answer."""

    def __init__(
        self,
        store: Store,
        projection: Projection | None,
        items: ResolvesItems,
        locations: LocationMap,
        clock: Clock,
        freshness: Mapping[str, SourceObjectives],
        rulebook: Rulebook,
        kits: ResolvesKits,
    ) -> None:
        self._store = store
        self._kits = kits
        self._projection = projection
        self._items = items
        self._locations = locations
        self._clock = clock
        self._freshness = freshness
        self._rulebook = rulebook
        self._known: dict[str, _Known] = {}
        self._reading = Batches(self._read_each, largest=_READ_TOGETHER, lanes=2)

    async def availability(
        self,
        tenant: str,
        *,
        channel: str,
        items: Sequence[str],
        locations: bool = False,
        from_record: bool = False,
        customer_class: str | None = None,
    ) -> Sequence[ItemAvailability]:
        """Figures of known `items`, in their order; unknown ones are left out.

        `from_record` asks PostgreSQL alone: for whoever tells others about a change that the projection may not have
        seen yet.
        """
        known = await self._renewed(tenant)
        described = await self._items.by_id(tenant, items)
        wanted = [item for item in items if item in described]
        book = await self._kits.book(tenant)
        needed = book.with_components(wanted) if book.kits else wanted
        stocks = dict(await self._read(tenant, needed, from_record=from_record)) if wanted else {}
        now = self._clock.now()
        if known.has_lots:
            stocks = await self._with_lots(tenant, stocks)
        rule, sure = self._in_doubt(tenant, known.rules.get(channel) or open_rule(channel), known, now)
        if customer_class is not None:
            rule = for_class(rule, customer_class)
        tell = partial(_answer, rule, known.fencing, selling_by(rule, known.fencing), sure, locations=locations)
        answers = [tell(described[item].base_uom, item, stocks.get(item, _EMPTY)) for item in wanted]
        if len(needed) == len(wanted) and not book.among(wanted):
            return answers
        return [
            with_made(answer, book.kits[answer.item], stocks, rule, known.fencing, locations=locations)
            if answer.item in book.kits
            else answer
            for answer in answers
        ]

    async def explained(
        self, tenant: str, *, channel: str, items: Sequence[str], customer_class: str | None = None
    ) -> Sequence[Explained]:
        """The same figures from one reading of the record, with how each comes about."""
        known = await self._renewed(tenant)
        described = await self._items.by_id(tenant, items)
        wanted = [item for item in items if item in described]
        rule, sure = self._in_doubt(tenant, known.rules.get(channel) or open_rule(channel), known, self._clock.now())
        rule = for_class(rule, customer_class)
        book = await self._kits.book(tenant)
        stocks = await self._with_lots(tenant, await self._read_record(tenant, book.with_components(wanted)))
        rows = await self._store.fetch(_rules.latest_movements, tenant, wanted, rule.terms.owner, _MOVEMENTS)
        latest: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for row in rows:
            latest[row["item"], row["location"]].append(row)
        tell = partial(_answer, rule, known.fencing, selling_by(rule, known.fencing), sure, locations=True)
        found = [
            Explained(
                answer=tell(described[item].base_uom, item, stock),
                rule=rule,
                account=account(item, stock.lines, rule, known.fencing, stock.channels),
                movements={place: some for (of, place), some in latest.items() if of == item},
                group=described[item].group,
            )
            for item in wanted
            for stock in [stocks[item]]
        ]
        return [
            replace(
                each,
                answer=with_made(each.answer, book.kits[item], stocks, rule, known.fencing, locations=True),
                kit=kit_account(book.kits[item], stocks, rule, known.fencing),
            )
            if (item := each.answer.item) in book.kits
            else each
            for each in found
        ]

    async def units(self, tenant: str, items: Sequence[str], uom: str) -> Mapping[str, UnitConversion]:
        """What `uom` holds of each item, in base units; items without such a unit are left out."""
        known = await self._items.by_id(tenant, items)
        return {item: found for item, each in known.items() if (found := each.factor(uom)) is not None}

    async def rule(self, tenant: str, channel: str) -> ChannelRule:
        """The rule in force for `channel`."""
        known = await self._renewed(tenant)
        return known.rules.get(channel) or open_rule(channel)

    async def rules_now(self, tenant: str, channel: str) -> tuple[ChannelRule, Sequence[ChannelRule]]:
        """The rule in force for `channel`, as it holds while some sources are in doubt, and those that `offer` asks."""
        known = await self._renewed(tenant)
        rule = known.rules.get(channel) or open_rule(channel)
        return self._in_doubt(tenant, rule, known, self._clock.now())[0], known.fencing

    def forget(self, tenant: str) -> None:
        """Read rules and sources again before the next answer."""
        if (known := self._known.get(tenant)) is not None:
            known.read_at = float("-inf")

    def _in_doubt(self, tenant: str, rule: ChannelRule, known: _Known, now: datetime) -> tuple[ChannelRule, Certainty]:
        places = (place for place in self._locations.of(tenant) if usable(place.location, rule.terms) is not None)
        sure = certainty(places, self._freshness, known.heard, now, known.held)
        return replace(rule, doubtful=sure.doubtful) if sure.doubtful else rule, sure

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _read(self, tenant: str, items: Sequence[str], *, from_record: bool) -> Mapping[str, ItemStock]:
        found: dict[str, ItemStock] = {}
        if self._projection is not None and not from_record:
            try:
                found.update(await self._projection.read(tenant, items))
            except Unavailable:
                found = {}
        missing = [item for item in items if item not in found]
        if len(missing) == 1:  # as messages about one change each are rendered, many at once
            found[missing[0]] = await self._reading.ask((tenant, missing[0]))
        elif missing:
            found.update(await self._read_record(tenant, missing))
        return found

    async def _read_each(self, asked: Sequence[tuple[str, str]]) -> list[ItemStock]:
        wanted: dict[str, list[str]] = defaultdict(list)
        for tenant, item in dict.fromkeys(asked):
            wanted[tenant].append(item)
        stocks = {tenant: await self._read_record(tenant, items) for tenant, items in wanted.items()}
        return [stocks[tenant].get(item, _EMPTY) for tenant, item in asked]

    async def _with_lots(self, tenant: str, stocks: Mapping[str, ItemStock]) -> dict[str, ItemStock]:
        async with self._store.connection() as connection:
            lots = await lots_of(connection, tenant, list(stocks))
        today = dates_at(self._locations, tenant, self._clock.now())
        return {item: ItemStock(with_lots(stock.lines, lots, today), stock.channels) for item, stock in stocks.items()}

    async def _read_record(self, tenant: str, items: Sequence[str]) -> Mapping[str, ItemStock]:
        async with self._store.connection() as connection:
            lines = await connection.fetch(_sql.lines_of_items, tenant, list(items))
            channels = await connection.fetch(_sql.channels_of_items, tenant, list(items))
        return stocks_of(items, lines, channels)

    async def _renewed(self, tenant: str) -> _Known:
        known = self._known.setdefault(tenant, _Known())
        if self._clock.monotonic() - known.read_at < _POLL_S:
            return known
        async with known.reading:
            if self._clock.monotonic() - known.read_at >= _POLL_S:
                await self._renew(tenant, known)
        return known

    async def _renew(self, tenant: str, known: _Known) -> None:
        at = self._clock.monotonic()
        try:
            async with self._store.connection() as connection:
                has_lots = await connection.fetchval(_rules.has_lots, tenant)
                rules = await self._rulebook.in_force(connection, tenant, self._clock.now())
                sources = await connection.fetch(_sql.sources, tenant)
                known.held = await read_held(connection, tenant, self._locations)
        except Unavailable:
            if known.read_at == float("-inf") and not known.heard:
                raise
            return  # the copy goes on being used; its sources age meanwhile, and the confidence with them
        known.rules, known.fencing, known.has_lots = rules, fencing_of(rules), has_lots
        known.heard = {row["source"]: Heard(*row[1:]) for row in sources}
        known.read_at = at


def _answer(
    rule: ChannelRule,
    fencing: Sequence[ChannelRule],
    sells: Sells,
    sure: Certainty,
    uom: str,
    item: str,
    stock: ItemStock,
    *,
    locations: bool,
) -> ItemAvailability:
    own_version = stock.channels.get((rule.channel, rule.terms.owner), _NOTHING).version
    return ItemAvailability(
        item=item,
        available_to_sell=sells(item, stock.lines, stock.channels),
        uom=uom,
        as_of=sure.as_of,
        confidence=sure.confidence,
        version=sum(line.version for line in stock.lines) + own_version,
        locations=_places(item, stock, rule, fencing) if locations else (),
        silent=sure.silent,
    )


def _places(
    item: str, stock: ItemStock, rule: ChannelRule, fencing: Sequence[ChannelRule]
) -> tuple[LocationAvailability, ...]:
    terms, found = terms_for(rule.terms, item), offer(item, stock.lines, rule, fencing, stock.channels)
    shown = [line for line in stock.lines if line.owner == terms.owner and usable(line.location, terms)]
    return tuple(_at(line, found) for line in sorted(shown, key=_place))


def _place(line: StockLine) -> str:
    return line.location


def _at(line: StockLine, found: Offer) -> LocationAvailability:
    return LocationAvailability(
        location=line.location,
        on_hand=line.on_hand,
        sellable=line.sellable,
        reserved=line.reserved,
        allocated=line.allocated,
        external=line.external,
        available=available(line),
        available_to_sell=found.places[line.location],
    )


async def explain(store: Store, tenant: str, *, item: str, location: str, limit: int) -> dict[str, Sequence[Any]]:
    """Why a figure is what it is: positions with what they stand on, movements (latest first), open claims."""
    async with store.connection() as connection:
        return {
            "lines": await connection.fetch(_sql.lines_of_items, tenant, [item]),
            "positions": await connection.fetch(_sql.positions, tenant, [item], location),
            "movements": await connection.fetch(_sql.movements_of_line, tenant, location, item, limit),
            "claims": await connection.fetch(_sql.claims_of_line, tenant, item, location, limit),
        }
