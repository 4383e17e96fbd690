"""External demand: open lines of other systems that do not bear our reference lower what we may promise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.item import Item
from gateway.canonical.stock import DemandFeed, DemandLine, OrderKey, Outcome, Receipt, ReceiptLine
from gateway.kernel.clock import Clock
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.demand import NEVER, DemandKey, ParkedDemand, Standing, Told, Word, open_amounts, tell
from process_apis.availability.hearing import hear
from process_apis.availability.lines import Cause, LineChange, lock_lines, tell_lines
from process_apis.availability.locking import location_keys
from process_apis.availability.models import DEFAULT_OWNER, LineKey, Parked, Refusal
from process_apis.availability.parking import ALL, Codes, code_columns, park
from process_apis.availability.rules import base_amount
from process_apis.availability.translating import Translator, fingerprint

_sql: Final = queries_beside(__file__)
_own: Final = queries_beside(__file__, "demand_queries.sql")
_ZERO: Final = Decimal(0)


class DemandRecorder:
    """Keeps the open demand lines of each source."""

    def __init__(self, store: Store, translator: Translator, items: ResolvesItems, clock: Clock) -> None:
        self._store = store
        self._translator = translator
        self._items = items
        self._clock = clock

    async def record(self, tenant: str, feed: DemandFeed) -> Receipt:
        """Take a feed, full or not, in one transaction: see `tell`. What cannot be mapped is parked."""
        return await self._record(tenant, feed, [])

    async def unpark(self, tenant: str, source: str | None = None, codes: Codes = ALL) -> Receipt:
        """Try what waits for a mapping again, each line at its own place in its source's order."""
        receipt = Receipt()
        feeds: dict[tuple[str, OrderKey, bool], list[tuple[int, DemandLine]]] = defaultdict(list)
        for row in await self._store.fetch(_own.parked_demand, tenant, source, *code_columns(codes)):
            waiting = msgspec.json.decode(row["payload"], type=ParkedDemand)
            feeds[row["source"], waiting.order_key, waiting.full].append((row["id"], waiting.line))
        for (name, at, full), some in sorted(feeds.items(), key=lambda entry: entry[0][:2]):
            items = await self._items.by_source(tenant, name, sorted({line.source_item for _, line in some}))
            mended = [
                (parked, line)
                for parked, line in some
                if not isinstance(self._one(tenant, name, line, items.get(line.source_item)), Refusal)
            ]
            if mended:
                # One line of a full feed that was let in says nothing of the others: it counts from just behind it.
                feed = DemandFeed(source=name, order_key=at, full=False, lines=[line for _, line in mended])
                receipt = receipt.plus(await self._record(tenant, feed, [parked for parked, _ in mended], of_full=full))
        return receipt

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _record(
        self, tenant: str, feed: DemandFeed, resolved: Sequence[int], *, of_full: bool = False
    ) -> Receipt:
        source, at = feed.source, feed.order_key
        items = await self._items.by_source(tenant, source, sorted({line.source_item for line in feed.lines}))
        wanted, parked = self._map(tenant, feed, items)
        references = None if feed.full else sorted({line.source_reference for line in feed.lines})
        now = self._clock.now()
        async with self._store.transaction() as connection:
            # One feed of a source at a time: each is decided on what the one before left.
            await connection.fetch(_sql.lock_locations, location_keys(tenant, [f"demand/{source}"]))
            cut = await _cut(connection, tenant, source)
            standing = await _standing(connection, tenant, source, references, cut)
            if of_full and at == cut:
                standing = standing._replace(cut=NEVER)
            told = tell(standing, wanted, at, full=feed.full)
            outdated = feed.full and at <= cut
            if resolved:
                await connection.fetch(_sql.resolve_parked, tenant, list(resolved))
            events = []
            if not outdated:
                await connection.execute(_own.outdate_parked, tenant, source, references, at.epoch, at.sequence)
                events = await park(connection, tenant, parked, now)
            changes = await _write(connection, tenant, source, standing, told)
            if feed.full and not outdated:
                await connection.execute(_own.move_cut, tenant, source, at.epoch, at.sequence)
            events += await tell_lines(connection, tenant, changes, now, {}, Cause(f"demand:{source}"))
            await hear(connection, tenant, [f"{source}/demand"], self._clock)
            await log.append(connection, events)
        late = [_late(feed, line) for line in feed.lines if self._is_late(tenant, feed, line, items, told)]
        others = (*late, *(_line(each) for each in parked))
        return Receipt(recorded=len(feed.lines) - len(others), others=others)

    def _is_late(self, tenant: str, feed: DemandFeed, line: DemandLine, items: Mapping[str, Item], told: Told) -> bool:
        made = self._one(tenant, feed.source, line, items.get(line.source_item))
        return not isinstance(made, Refusal) and made[0] in told.late

    def _map(
        self, tenant: str, feed: DemandFeed, items: Mapping[str, Item]
    ) -> tuple[dict[DemandKey, Word], list[Parked]]:
        wanted: dict[DemandKey, Word] = {}
        parked: list[Parked] = []
        for number, line in enumerate(feed.lines):
            made = self._one(tenant, feed.source, line, items.get(line.source_item))
            if isinstance(made, Refusal):
                parked.append(_park(feed, number, line, made))
                continue
            key, amount = made
            before = wanted.get(key, Word(_ZERO, line.due, feed.order_key))
            wanted[key] = Word(before.amount + amount, line.due or before.due, feed.order_key)
        return wanted, parked

    def _one(
        self, tenant: str, source: str, line: DemandLine, item: Item | None
    ) -> tuple[DemandKey, Decimal] | Refusal:
        place = self._translator.place(tenant, source, line.source_location)
        if isinstance(place, Refusal):
            return place
        if item is None:
            return Refusal("stock.item_unknown", f"{source} knows an item {line.source_item!r}: add its code")
        based = base_amount(item, line.amount, line.uom)
        if isinstance(based, Refusal):
            return based
        return DemandKey(line.source_reference, place.location, item.item, DEFAULT_OWNER), based[0]


async def _cut(connection: Connection, tenant: str, source: str) -> OrderKey:
    rows = await connection.fetch(_own.cut_of, tenant, source)
    return OrderKey(rows[0]["epoch"], rows[0]["sequence"]) if rows else NEVER


async def _standing(
    connection: Connection, tenant: str, source: str, references: Sequence[str] | None, cut: OrderKey
) -> Standing:
    rows = await connection.fetch(_own.demand_of_source, tenant, source, references)
    return Standing({_key(row): _word(row) for row in rows}, cut)


async def _write(
    connection: Connection, tenant: str, source: str, standing: Standing, told: Told
) -> dict[LineKey, LineChange]:
    gone = sorted(told.forgotten)
    moved = sorted(told.written)
    before = open_amounts((key, standing.words[key]) for key in {*gone, *moved} & standing.words.keys())
    after = open_amounts(told.written.items())
    deltas = {
        LineKey(*place): after.get(place, _ZERO) - before.get(place, _ZERO) for place in before.keys() | after.keys()
    }
    changed = {key: delta for key, delta in deltas.items() if delta}
    await lock_lines(connection, tenant, changed)
    if gone:
        await connection.execute(_own.drop_demand, tenant, source, *map(list, zip(*gone, strict=True)))
    if moved:
        rows = [(*key, *told.written[key][:2], *_place(told.written[key].at)) for key in moved]
        await connection.execute(_own.write_demand, tenant, source, *map(list, zip(*rows, strict=True)))
    return {key: LineChange(external=delta) for key, delta in changed.items()}


def _place(at: OrderKey) -> tuple[int, int]:
    return (at.epoch, at.sequence)


def _key(row: Mapping[str, Any]) -> DemandKey:
    return DemandKey(row["source_reference"], row["location"], row["item"], row["owner"])


def _word(row: Mapping[str, Any]) -> Word:
    return Word(row["amount"], row["due"], OrderKey(row["epoch"], row["sequence"]))


def _park(feed: DemandFeed, number: int, line: DemandLine, refusal: Refusal) -> Parked:
    return Parked(
        source=feed.source,
        event_id=line.source_reference,
        line=number,
        kind="demand",
        fingerprint=fingerprint(line),
        refusal=refusal,
        payload=ParkedDemand(order_key=feed.order_key, full=feed.full, line=line),
    )


def _late(feed: DemandFeed, line: DemandLine) -> ReceiptLine:
    return ReceiptLine(
        source=feed.source,
        event_id=line.source_reference,
        line=feed.lines.index(line),
        outcome=Outcome.SUPERSEDED,
        cause="demand.superseded",
        detail="the source has told of it since: nothing changed",
    )


def _line(each: Parked) -> ReceiptLine:
    return ReceiptLine(
        source=each.source,
        event_id=each.event_id,
        line=each.line,
        outcome=Outcome.PARKED,
        cause=each.refusal.cause,
        detail=each.refusal.detail,
    )
