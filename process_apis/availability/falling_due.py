"""Supply that did not come by its date is none any more: promises on it are told so, once the date is over there."""

from __future__ import annotations

from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.canonical.location import LocationMap
from gateway.kernel.clock import Clock
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.arriving import Arrivals
from process_apis.availability.foreseeing import Calendar, look_ahead
from process_apis.availability.lines import Cause, lock_lines
from process_apis.availability.models import LineKey

_supply: Final = queries_beside(__file__, "supply_queries.sql")
_SECONDS: Final = 30.0
_LIMIT: Final = 200


class DueDates:
    """Watches the dates of supply lines. Any number of workers may do so at once."""

    def __init__(
        self, store: Store, locations: LocationMap, calendar: Calendar, arrivals: Arrivals, clock: Clock
    ) -> None:
        self._store = store
        self._locations = locations
        self._calendar = calendar
        self._arrivals = arrivals
        self._clock = clock
        self._next = float("-inf")

    async def watch(self, tenant: str) -> None:
        """`pass_over` every half minute, however often this is called."""
        if self._clock.monotonic() >= self._next:
            self._next = self._clock.monotonic() + _SECONDS
            await self.pass_over(tenant)

    async def pass_over(self, tenant: str) -> int:
        """Mark supply whose date is over at its location, one transaction per line; returns how many lines were."""
        places = [place.location for place in self._locations.of(tenant)]
        days = [self._calendar.today(tenant, place) for place in places]
        marked = 0
        while rows := await self._store.fetch(_supply.overdue_supply, tenant, places, days, _LIMIT):
            before = marked
            for row in rows:
                marked += await self._mark(tenant, row)
            if marked == before:
                break
        return marked

    async def _mark(self, tenant: str, row: Any) -> bool:
        key = LineKey(row["item"], row["location"], row["owner"])
        today = self._calendar.today(tenant, key.location)
        name = (row["source"], row["document"], row["line"])
        async with self._store.transaction() as connection:
            awaited = await lock_lines(connection, tenant, [key])
            marked = await connection.fetchrow(_supply.mark_overdue, tenant, *name, today, *key)
            if marked is None:
                return False
            events = await self._told(connection, tenant, key, name, marked)
            cause = Cause(f"{row['source']}:{row['document']}")
            events += await self._arrivals.attend_alone(connection, tenant, awaited, cause)
            await log.append(connection, events)
        return True

    async def _told(
        self, connection: Connection, tenant: str, key: LineKey, name: tuple[str, str, int], marked: Any
    ) -> list[Event]:
        source, document, line = name
        ahead = await look_ahead(connection, tenant, [key.item])
        missing = sum(
            amount for each, amount in ahead.supply.get(key, ()) if (each.source, each.document, each.line) == name
        )
        if not missing:
            return []
        data = {
            "item": key.item,
            "location": key.location,
            "owner": key.owner,
            "due": marked["due"],
            "missing": missing,
        }
        return [
            Event(
                tenant=tenant,
                type="supply.overdue",
                aggregate=f"supply/{source}/{document}/{line}",
                aggregate_version=marked["version"],
                occurred_at=self._clock.now(),
                correlation_id=f"{source}:{document}",
                data={"source": source, "document": document, "line": line, **data},
            )
        ]
