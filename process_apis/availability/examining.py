"""What reconciliation asks of the books: drifted snapshots, what bears on each difference, what is on hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from gateway.canonical.capabilities import ResolvesItems
from gateway.canonical.reconciliation import BearingEvent, DriftedSnapshot, StockDifference, StockFigure
from gateway.canonical.stock import ReportedFigure, ReportedMovement
from gateway.kernel.errors import NotFound
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.drifting import (
    Told,
    Waiting,
    bearing_events,
    difference_of_row,
    told_of_row,
    unmapped_difference,
    waiting_of_row,
)
from process_apis.availability.models import ParkedFigure, Refusal
from process_apis.availability.translating import Translator

_sql: Final = queries_beside(__file__, "drift_queries.sql")
_MANY: Final = 500
_MOST_WAITING: Final = 5_000


class Examiner:
    """Reads; holds no locks. Part of `Availability`: what `ExaminesStock` asks for."""

    def __init__(self, store: Store, translator: Translator, items: ResolvesItems) -> None:
        self._store = store
        self._translator = translator
        self._items = items

    async def drifted(
        self, tenant: str, *, since: datetime, source: str | None, limit: int
    ) -> Sequence[DriftedSnapshot]:
        """Snapshots recorded from `since` on that drifted or could not all be mapped, eldest first."""
        rows = await self._store.fetch(_sql.drifted_snapshots, tenant, since, source, limit)
        return [DriftedSnapshot(**dict(row)) for row in rows]

    async def differences(self, tenant: str, snapshot: str) -> Sequence[StockDifference]:
        """Every figure of `snapshot` that drifted or is not mapped, with the events that bear on it by now."""
        head = await self._store.fetchrow(_sql.snapshot_head, tenant, snapshot)
        if head is None:
            raise NotFound(f"there is no snapshot {snapshot[:40]!r}", code="stock.snapshot_not_found")
        waiting = await self._waiting(tenant, head)
        by_key: dict[tuple[str, str], list[BearingEvent]] = defaultdict(list)
        for each in waiting:
            if each.item is not None and not isinstance(each.location, Refusal):
                by_key[each.location, each.item].append(each.event)
        found: list[StockDifference] = []
        drifted = await self._store.fetch(_sql.drift_of, tenant, snapshot)
        for start in range(0, len(drifted), _MANY):
            found += await self._explained(tenant, head, drifted[start : start + _MANY], by_key)
        found += [unmapped_difference(each) for each in waiting if each.figure is not None and each.item is None]
        return found

    async def on_hand(self, tenant: str, locations: Sequence[str]) -> Sequence[StockFigure]:
        """All that is on hand there, by item and location."""
        rows = await self._store.fetch(_sql.on_hand, tenant, list(locations))
        return [StockFigure(**dict(row)) for row in rows]

    async def _explained(
        self, tenant: str, head: Any, drifted: Sequence[Any], waiting: dict[tuple[str, str], list[BearingEvent]]
    ) -> list[StockDifference]:
        keys = [(*(row[name] for name in _KEY), row["was_epoch"], row["was_sequence"]) for row in drifted]
        columns = map(list, zip(*keys, strict=True))
        cut = (head["cut_epoch"], head["cut_sequence"], head["recorded_at"])
        told: dict[int, list[Told]] = defaultdict(list)
        for row in await self._store.fetch(_sql.movements_about, tenant, *columns, *cut):
            if (each := told_of_row(row)) is not None:
                told[row["number"]].append(each)
        found = []
        for number, row in enumerate(drifted, start=1):
            events = bearing_events(row["bucket"], (row["was_epoch"], row["was_sequence"]), told[number])
            found.append(difference_of_row(row, [*events, *waiting.get((row["location"], row["item"]), ())]))
        return found

    async def _waiting(self, tenant: str, head: Any) -> list[Waiting]:
        source, cut = head["source"], (head["cut_epoch"], head["cut_sequence"])
        rows = await self._store.fetch(_sql.parked_of_source, tenant, source, head["event_id"], _MOST_WAITING)
        told = [one for row in rows if (one := waiting_of_row(row, source, cut)) is not None]
        codes = {payload.source_item for payload in (_line_of(one) for _, one in told)}
        items = await self._items.by_source(tenant, source, sorted(codes)) if codes else {}
        found = []
        for event, payload in told:
            line = _line_of(payload)
            place = self._translator.place(tenant, source, line.source_location)
            item = items.get(line.source_item)
            found.append(
                Waiting(
                    event,
                    place if isinstance(place, Refusal) else place.location,
                    None if item is None else item.item,
                    line.source_item,
                    payload if isinstance(payload, ParkedFigure) else None,
                )
            )
        return found


_KEY: Final = ("location", "item", "owner", "bucket", "lot")


def _line_of(payload: ReportedMovement | ParkedFigure) -> ReportedMovement | ReportedFigure:
    return payload if isinstance(payload, ReportedMovement) else payload.figure
