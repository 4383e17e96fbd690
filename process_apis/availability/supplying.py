"""Supply in: lines of purchase orders and transfers as their sources see them, the newest version of each.

Whoever writes a supply line holds the lock of the stock line that it comes to (and, moving it, of the one it came to
before), as whoever promises on it does. Receipts need not touch it: movements keep what a document received.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.canonical.item import Item
from gateway.canonical.stock import Outcome, Receipt, ReceiptLine, ReportedSupply
from gateway.kernel.clock import Clock
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.arriving import Arrivals
from process_apis.availability.hearing import hear
from process_apis.availability.lines import Cause, lock_lines
from process_apis.availability.locking import location_keys
from process_apis.availability.models import DEFAULT_OWNER, LineKey, Parked, Refusal
from process_apis.availability.parking import ALL, Codes, code_columns, park
from process_apis.availability.rules import base_amount
from process_apis.availability.translating import Translator, fingerprint

_sql: Final = queries_beside(__file__)
_supply: Final = queries_beside(__file__, "supply_queries.sql")
_BATCH: Final = 500
_CLASH: Final = "another content under the same order key: ask its source which is true"
_Key = tuple[str, str, int]


class _Row(NamedTuple):
    """The row of `write_supply`."""

    source: str
    document: str
    line: int
    kind: str
    item: str
    location: str
    owner: str
    ordered: Decimal
    cancelled: Decimal
    received: Decimal
    requested: date | None
    acknowledged: date | None
    advised: date | None
    epoch: int
    sequence: int
    fingerprint: bytes

    @property
    def key(self) -> _Key:
        return self.source, self.document, self.line

    @property
    def stock_line(self) -> LineKey:
        return LineKey(self.item, self.location, self.owner)

    @property
    def order(self) -> tuple[int, int]:
        return self.epoch, self.sequence


class SupplyRecorder:
    """Keeps the supply lines of each source."""

    def __init__(self, store: Store, translator: Translator, arrivals: Arrivals, clock: Clock) -> None:
        self._store = store
        self._translator = translator
        self._arrivals = arrivals
        self._clock = clock

    async def record(self, tenant: str, reported: Sequence[ReportedSupply]) -> Receipt:
        """Take what is newer than what is known of each line, in transactions of up to 500; older news changes nothing.

        What cannot be mapped is parked, and let in when its mapping is mended.
        """
        receipt = Receipt()
        for start in range(0, len(reported), _BATCH):
            receipt = receipt.plus(await self._record(tenant, reported[start : start + _BATCH], []))
        return receipt

    async def record_within(self, connection: Connection, tenant: str, reported: Sequence[ReportedSupply]) -> Receipt:
        """`record` in the caller's transaction, which holds no lock of a stock line yet; up to 500."""
        return await self._write(connection, tenant, reported, [], await self._map(tenant, reported))

    async def unpark(self, tenant: str, source: str | None = None, codes: Codes = ALL) -> Receipt:
        """Try what waits for a mapping again; what still cannot be mapped goes on waiting."""
        receipt, after = Receipt(), 0
        while rows := await self._store.fetch(
            _supply.parked_supply, tenant, source, after, _BATCH, *code_columns(codes)
        ):
            after = rows[-1]["id"]
            waiting = {row["id"]: msgspec.json.decode(row["payload"], type=ReportedSupply) for row in rows}
            mapped, _ = await self._map(tenant, list(waiting.values()))
            let_in = {row.key for row in mapped}
            resolved = [parked for parked, each in waiting.items() if (each.source, each.document, each.line) in let_in]
            if resolved:
                receipt = receipt.plus(await self._record(tenant, [waiting[each] for each in resolved], resolved))
        return receipt

    async def _record(self, tenant: str, reported: Sequence[ReportedSupply], resolved: Sequence[int]) -> Receipt:
        known = await self._map(tenant, reported)
        async with self._store.transaction() as connection:
            return await self._write(connection, tenant, reported, resolved, known)

    async def _write(
        self,
        connection: Connection,
        tenant: str,
        reported: Sequence[ReportedSupply],
        resolved: Sequence[int],
        known: tuple[list[_Row], list[Parked]],
    ) -> Receipt:
        mapped, parked = known
        chosen, others = _latest(mapped)
        others += [_line(each.source, each.event_id, each.line, Outcome.PARKED, each.refusal) for each in parked]
        now = self._clock.now()
        # One report of a source at a time, so that nobody moves a line between our look at it and our locks.
        names = [f"supply/{source}" for source in sorted({each.source for each in reported})]
        await connection.fetch(_sql.lock_locations, location_keys(tenant, names))
        events = await park(connection, tenant, parked, now)
        if resolved:
            await connection.fetch(_sql.resolve_parked, tenant, list(resolved))
        fresh, stale, keys = await _compare(connection, tenant, chosen)
        awaited = await lock_lines(connection, tenant, keys)
        events += await _write(connection, tenant, fresh, now)
        events += await self._arrivals.attend_alone(connection, tenant, awaited, Cause(names[0]))
        await hear(connection, tenant, names, self._clock)
        await log.append(connection, events)
        return Receipt(recorded=len(fresh), others=(*others, *stale))

    async def _map(self, tenant: str, reported: Sequence[ReportedSupply]) -> tuple[list[_Row], list[Parked]]:
        codes: dict[str, dict[str, None]] = defaultdict(dict)
        for each in reported:
            codes[each.source][each.source_item] = None
        known = self._translator.by_source
        items = {source: await known(tenant, source, list(wanted)) for source, wanted in codes.items()}
        rows: list[_Row] = []
        parked: list[Parked] = []
        for each in reported:
            made = self._one(tenant, each, items[each.source].get(each.source_item))
            if isinstance(made, _Row):
                rows.append(made)
            else:
                parked.append(_park(each, made))
        return rows, parked

    def _one(self, tenant: str, each: ReportedSupply, item: Item | None) -> _Row | Refusal:
        place = self._translator.place(tenant, each.source, each.source_location)
        if isinstance(place, Refusal):
            return place
        if item is None:
            detail = f"{each.source} knows an item {each.source_item!r}: add its code to an item's cross-references"
            return Refusal("stock.item_unknown", detail)
        amounts = []
        for amount in (each.ordered, each.cancelled, each.received):
            based = base_amount(item, amount, each.uom)
            if isinstance(based, Refusal):
                return based
            amounts.append(based[0])
        return _row(each, item.item, place.location, amounts)


def _row(each: ReportedSupply, item: str, location: str, amounts: Sequence[Decimal]) -> _Row:
    ordered, cancelled, received = amounts
    return _Row(
        each.source,
        each.document,
        each.line,
        each.kind.value,
        item,
        location,
        each.owner or DEFAULT_OWNER,
        ordered,
        cancelled,
        received,
        each.requested,
        each.acknowledged,
        each.advised,
        each.order_key.epoch,
        each.order_key.sequence,
        fingerprint(each),
    )


def _latest(mapped: Sequence[_Row]) -> tuple[dict[_Key, _Row], list[ReceiptLine]]:
    """Of several versions of one line in a batch, the latest."""
    chosen: dict[_Key, _Row] = {}
    others: list[ReceiptLine] = []
    for each in mapped:
        before = chosen.get(each.key)
        if before is None:
            chosen[each.key] = each
            continue
        verdict = _verdict(each, before.order, before.fingerprint)
        if verdict is None:
            chosen[each.key] = each
            others.append(_line(*before.key, Outcome.SUPERSEDED))
        else:
            others.append(_told(each, verdict))
    return chosen, others


async def _compare(
    connection: Connection, tenant: str, chosen: Mapping[_Key, _Row]
) -> tuple[list[_Row], list[ReceiptLine], set[LineKey]]:
    """What is newer than what is known, what is not, and the stock lines that the newer touches."""
    known: dict[_Key, Any] = {}
    if chosen:
        rows = await connection.fetch(_supply.known_supply, tenant, *map(list, zip(*sorted(chosen), strict=True)))
        known = {(row["source"], row["document"], row["line"]): row for row in rows}
    fresh: list[_Row] = []
    stale: list[ReceiptLine] = []
    keys: set[LineKey] = set()
    for key, each in sorted(chosen.items()):
        row = known.get(key)
        verdict = None if row is None else _verdict(each, (row["epoch"], row["sequence"]), row["fingerprint"])
        if verdict is not None:
            stale.append(_told(each, verdict))
            continue
        fresh.append(each)
        keys.add(each.stock_line)
        if row is not None:
            keys.add(LineKey(row["item"], row["location"], row["owner"]))
    return fresh, stale, keys


def _verdict(each: _Row, order: tuple[int, int], fingerprint: bytes) -> Outcome | None:
    """Against what is known of the line: None when `each` is newer."""
    if each.order != order:
        return None if each.order > order else Outcome.SUPERSEDED
    return Outcome.DUPLICATE if each.fingerprint == fingerprint else Outcome.CONFLICT


async def _write(connection: Connection, tenant: str, fresh: Sequence[_Row], now: datetime) -> list[Event]:
    if not fresh:
        return []
    rows = await connection.fetch(_supply.write_supply, tenant, *map(list, zip(*fresh, strict=True)))
    versions = {(row["source"], row["document"], row["line"]): row["version"] for row in rows}
    return [_event(tenant, each, versions[each.key], now) for each in fresh]


def _event(tenant: str, each: _Row, version: int, now: datetime) -> Event:
    data = each._asdict()
    del data["fingerprint"]
    return Event(
        tenant=tenant,
        type="supply.changed",
        aggregate=f"supply/{each.source}/{each.document}/{each.line}",
        aggregate_version=version,
        occurred_at=now,
        correlation_id=f"{each.source}:{each.document}",
        data=data,
    )


def _park(each: ReportedSupply, refusal: Refusal) -> Parked:
    return Parked(
        source=each.source,
        event_id=each.document,
        line=each.line,
        kind="supply",
        fingerprint=fingerprint(each),
        refusal=refusal,
        payload=each,
    )


def _told(each: _Row, outcome: Outcome) -> ReceiptLine:
    clash = Refusal("stock.supply_conflict", _CLASH, mendable=False) if outcome is Outcome.CONFLICT else None
    return _line(*each.key, outcome, clash)


def _line(source: str, document: str, line: int, outcome: Outcome, refusal: Refusal | None = None) -> ReceiptLine:
    return ReceiptLine(
        source=source,
        event_id=document,
        line=line,
        outcome=outcome,
        cause=refusal.cause if refusal else None,
        detail=refusal.detail if refusal else None,
    )
