"""Reading a source's own journal again: which of its events never came to us.

Done only where a difference is left that nothing explains. What is found missing is recorded there and then, so that
it also counts for orders, transfers and returns; a figure it explains is classed as a loss from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from gateway.canonical.capabilities import Call, RecordsStock, ReportsMovements
from gateway.canonical.reconciliation import EventLine
from gateway.canonical.stock import ReportedMovement
from gateway.kernel.clock import Clock
from gateway.store.postgres import Store
from process_apis.reconciliation.records import sql

_MOST_PAGES: Final = 500


class Journals:
    """Reads on from where it stopped the last time; a page is recorded before the cursor moves past it."""

    def __init__(self, store: Store, stock: RecordsStock, clock: Clock, *, in_flight: timedelta) -> None:
        self._store = store
        self._stock = stock
        self._clock = clock
        self._in_flight = in_flight

    async def recover(self, call: Call, source: str, journal: ReportsMovements) -> int:
        """Record what `source` tells and never told before; how many lines of its events had been lost."""
        cursor: str | None = await self._store.fetchval(sql.journal_cursor, call.tenant, source)
        lost = 0
        for _ in range(_MOST_PAGES):
            report, following = await journal.read_movements(call, cursor=cursor)
            if not report.movements and not report.snapshots:
                break
            since = self._clock.now() - self._in_flight
            receipt = await self._stock.record_again(call.tenant, report)
            others = {(line.event_id, line.line) for line in receipt.others}
            missing = [
                each
                for each in report.movements
                if (each.event_id, each.line) not in others and each.occurred_at < since
            ]
            await self._keep(call.tenant, source, missing, following)
            lost += len(missing)
            if following is None:
                break
            cursor = following
        return lost

    async def recovered(self, tenant: str, source: str, events: Sequence[str]) -> frozenset[EventLine]:
        """Which lines of these events had been lost."""
        rows = await self._store.fetch(sql.recovered_of, tenant, source, list(events))
        return frozenset(EventLine(row["source"], row["event_id"], row["line"]) for row in rows)

    async def _keep(self, tenant: str, source: str, missing: Sequence[ReportedMovement], following: str | None) -> None:
        async with self._store.transaction() as connection:
            if missing:
                events, lines = [each.event_id for each in missing], [each.line for each in missing]
                await connection.execute(sql.keep_recovered, tenant, source, events, lines)
            if following is not None:
                await connection.execute(sql.keep_cursor, tenant, source, following)
