"""External demand: open lines of other systems that do not bear our reference lower what we may promise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.item import Item
from gateway.canonical.stock import DemandLine, Outcome, Receipt, ReceiptLine
from gateway.kernel.clock import Clock
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.counting import location_keys
from process_apis.availability.hearing import hear
from process_apis.availability.lines import Cause, LineChange, line_events, lock_lines, refresh_lines
from process_apis.availability.models import DEFAULT_OWNER, LineKey, Parked, Refusal
from process_apis.availability.parking import park
from process_apis.availability.rules import base_amount
from process_apis.availability.translating import Translator, fingerprint

_sql: Final = queries_beside(__file__)
_ZERO: Final = Decimal(0)


class _Key(NamedTuple):
    reference: str
    location: str
    item: str
    owner: str


class _Open(NamedTuple):
    amount: Decimal
    due: date | None


class DemandRecorder:
    """Keeps the open demand lines of each source."""

    def __init__(self, store: Store, translator: Translator, items: ResolvesItems, clock: Clock) -> None:
        self._store = store
        self._translator = translator
        self._items = items
        self._clock = clock

    async def record(self, tenant: str, source: str, lines: Sequence[DemandLine]) -> Receipt:
        """Replace all open demand of `source` by `lines`, in one transaction. What cannot be mapped is parked."""
        codes = sorted({line.source_item for line in lines})
        items = await self._items.by_source(tenant, source, codes)
        wanted, parked = self._map(tenant, source, lines, items)
        now = self._clock.now()
        async with self._store.transaction() as connection:
            # One feed of a source at a time: otherwise an older one could finish last.
            await connection.fetch(_sql.lock_locations, location_keys(tenant, [f"demand/{source}"]))
            await connection.execute(_sql.resolve_parked_demand, tenant, source)
            events = await park(connection, tenant, parked, now)
            changes = await _replace(connection, tenant, source, wanted)
            rows = await refresh_lines(connection, tenant, changes, physical=True)
            events += line_events(tenant, rows, now, {}, Cause(f"demand:{source}"), changes)
            await hear(connection, tenant, [f"{source}/demand"], self._clock)
            await log.append(connection, events)
        return Receipt(recorded=len(lines) - len(parked), others=tuple(_line(each) for each in parked))

    def _map(
        self, tenant: str, source: str, lines: Sequence[DemandLine], items: Mapping[str, Item]
    ) -> tuple[dict[_Key, _Open], list[Parked]]:
        wanted: dict[_Key, _Open] = {}
        parked: list[Parked] = []
        for number, line in enumerate(lines):
            made = self._one(tenant, source, line, items.get(line.source_item))
            if isinstance(made, Refusal):
                parked.append(_park(source, number, line, made))
                continue
            key, amount = made
            before = wanted.get(key, _Open(_ZERO, line.due))
            wanted[key] = _Open(before.amount + amount, line.due or before.due)
        return wanted, parked

    def _one(self, tenant: str, source: str, line: DemandLine, item: Item | None) -> tuple[_Key, Decimal] | Refusal:
        place = self._translator.place(tenant, source, line.source_location)
        if isinstance(place, Refusal):
            return place
        if item is None:
            return Refusal("stock.item_unknown", f"{source} knows an item {line.source_item!r}: add its code")
        based = base_amount(item, line.amount, line.uom)
        if isinstance(based, Refusal):
            return based
        return _Key(line.source_reference, place.location, item.item, DEFAULT_OWNER), based[0]


async def _replace(
    connection: Connection, tenant: str, source: str, wanted: dict[_Key, _Open]
) -> dict[LineKey, LineChange]:
    rows = await connection.fetch(_sql.demand_of_source, tenant, source)
    current = {
        _Key(row["source_reference"], row["location"], row["item"], row["owner"]): _Open(row["amount"], row["due"])
        for row in rows
    }
    gone = sorted(current.keys() - wanted.keys())
    moved = sorted(key for key, each in wanted.items() if current.get(key) != each)
    deltas: dict[LineKey, Decimal] = defaultdict(Decimal)
    for key in {*gone, *moved}:
        delta = wanted.get(key, _Open(_ZERO, None)).amount - current.get(key, _Open(_ZERO, None)).amount
        deltas[LineKey(key.item, key.location, key.owner)] += delta
    await lock_lines(connection, tenant, deltas)
    if gone:
        await connection.execute(_sql.drop_demand, tenant, source, *map(list, zip(*gone, strict=True)))
    if moved:
        rows = [(*key, *wanted[key]) for key in moved]
        await connection.execute(_sql.write_demand, tenant, source, *map(list, zip(*rows, strict=True)))
    return {key: LineChange(external=delta) for key, delta in deltas.items()}


def _park(source: str, number: int, line: DemandLine, refusal: Refusal) -> Parked:
    return Parked(
        source=source,
        event_id=line.source_reference,
        line=number,
        kind="demand",
        fingerprint=fingerprint(line),
        refusal=refusal,
        payload=line,
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
