"""What is told later than what it concerns is kept: it waits for a person, and is neither applied nor lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.stock import Outcome, Receipt, ReceiptLine, ReportedSnapshot
from gateway.kernel.clock import Clock
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.models import Mapped, Parked, Refusal
from process_apis.availability.parking import park
from process_apis.availability.translating import fingerprint, park_movement

_sql: Final = queries_beside(__file__, "history_queries.sql")
_stock_sql: Final = queries_beside(__file__)
_CAUSE: Final = "stock.too_late"
_WAY_OUT: Final = "count what it concerns and tell the count, or adjust it with a movement of today"


class Lateness:
    """Tells what comes too late. Costs a comparison for what does not."""

    def __init__(self, store: Store, late: timedelta, clock: Clock) -> None:
        self._store = store
        self._late = late
        self._clock = clock

    async def set_aside(
        self, connection: Connection, tenant: str, mapped: Sequence[Mapped]
    ) -> tuple[Sequence[Mapped], list[Parked]]:
        """Split off what happened too long ago and was never told before."""
        floor = self._clock.now() - self._late
        late = [each for each in mapped if each.reported.occurred_at < floor]
        if not late:
            return mapped, []
        names = sorted({(each.reported.source, each.reported.event_id, each.reported.line) for each in late})
        rows = await connection.fetch(_sql.told_before, tenant, *map(list, zip(*names, strict=True)))
        known = {(row["source"], row["event_id"], row["line"]) for row in rows}
        unknown = {id(each) for each in late if _name(each) not in known}
        return [each for each in mapped if id(each) not in unknown], [
            self.park_movement(each) for each in late if id(each) in unknown
        ]

    async def gone(self, connection: Connection, tenant: str, replaced: Iterable[str]) -> set[str]:
        """Which of these movements are no longer kept one by one: nothing can replace them."""
        names = sorted(set(replaced))
        rows = await connection.fetch(_sql.kept_of, tenant, names) if names else []
        return set(names) - {row["movement"] for row in rows}

    def refusal(self, happened_at: datetime) -> Refusal:
        """Of something that happened then."""
        return Refusal(
            _CAUSE,
            f"it happened at {happened_at:%Y-%m-%dT%H:%M:%SZ}, and what happened more than {self._late.days} days ago,"
            f" or is condensed by now, cannot be told any more (history.movement_days): {_WAY_OUT}",
            mendable=False,
        )

    def park_movement(self, each: Mapped) -> Parked:
        """To wait for a person."""
        return park_movement(each.reported, self.refusal(each.reported.occurred_at))

    async def is_late(self, tenant: str, snapshot: ReportedSnapshot) -> bool:
        """Whether its figures were taken too long ago, and it was never told before."""
        if snapshot.taken_at >= self._clock.now() - self._late:
            return False
        name = ([snapshot.source], [snapshot.event_id], [-1])
        return not await self._store.fetch(_sql.told_before, tenant, *name)

    async def park_snapshot(self, tenant: str, snapshot: ReportedSnapshot) -> Receipt:
        """Keep it whole for a person."""
        refusal = self.refusal(snapshot.taken_at)
        waiting = Parked(
            source=snapshot.source,
            event_id=snapshot.event_id,
            line=-1,
            kind="snapshot",
            fingerprint=fingerprint(snapshot),
            refusal=refusal,
            payload=snapshot,
        )
        async with self._store.transaction() as connection:
            await log.append(connection, await park(connection, tenant, [waiting], self._clock.now()))
        line = ReceiptLine(
            source=snapshot.source, event_id=snapshot.event_id, line=-1, outcome=Outcome.PARKED, cause=refusal.cause,
            detail=refusal.detail,
        )  # fmt: skip
        return Receipt(others=(line,))

    async def resolve(
        self,
        connection: Connection,
        tenant: str,
        resolved: Mapping[tuple[str, str, int], int],
        refused: Mapping[tuple[str, str, int], Refusal],
    ) -> None:
        """Let go of what was parked and let in now; what was refused now goes on waiting, with its new cause."""
        if done := [parked for name, parked in resolved.items() if name not in refused]:
            await connection.fetch(_stock_sql.resolve_parked, tenant, done)
        for name, parked in resolved.items():
            if why := refused.get(name):
                await connection.execute(_sql.keep_waiting, tenant, [parked], why.cause, why.detail)

    async def keep_waiting(self, tenant: str, parked: Sequence[int], happened_at: datetime) -> None:
        """What waited for its mapping for so long that it is too late now waits for a person."""
        refusal = self.refusal(happened_at)
        await self._store.execute(_sql.keep_waiting, tenant, list(parked), refusal.cause, refusal.detail)


def _name(each: Mapped) -> tuple[str, str, int]:
    return each.reported.source, each.reported.event_id, each.reported.line


def counted_at(each: Mapped) -> tuple[Any, ...]:
    """The key of the figure that a count states."""
    bucket = each.way.target
    return each.location, each.item, each.owner, bucket.value if bucket else "sellable", each.reported.lot or ""
