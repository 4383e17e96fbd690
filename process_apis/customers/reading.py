"""Reads systems' own lists of customers: what changed, and now and then the whole list, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Call, Connection, ListsCustomers
from gateway.canonical.party import ReportedCustomer
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError
from gateway.reference import readings
from gateway.reference.readings import Read, Reading
from gateway.reference.statements import statements_of
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.customers.changing import change_customers, lock_customers
from process_apis.customers.listing import Standing, listing_of, number_of
from process_apis.customers.models import DOMAIN, Change, SourceOptions, Status

_sql: Final = queries_beside(__file__)
_CALL_SECONDS: Final = 60.0
_OVERLAP: Final = timedelta(minutes=10)
"""How far before the last reading's beginning changes are asked for: a system's clock and its open transactions."""
_PAGE: Final = 200
_UNLISTED: Final = 500


class CustomerLists:
    """Reads lists into the record. Each page is one transaction; reading again changes nothing."""

    def __init__(self, store: Store, clock: Clock, options: Mapping[str, SourceOptions]) -> None:
        self._store = store
        self._clock = clock
        self._options = options

    def is_read(self, source: str) -> bool:
        """Whether the settings ask for the list of `source`."""
        return self._options_of(source).listed

    async def read(self, tenant: str, source: str, lister: ListsCustomers, *, whole: bool = False) -> Read:
        """Read what changed since the last time, or the `whole` list, as is due after `whole_seconds` anyway.

        Raises what `lister` raises, after the pages before it were taken; the next reading begins where this one did.
        """
        reading = await readings.begin(self._store, tenant, DOMAIN, source)
        began_at = self._clock.now()
        since = None if whole else self._since(reading, began_at)
        try:
            read, codes = await self._pages(reading, lister, since)
            async with self._store.transaction() as connection:
                await readings.hold(connection, reading)
                if since is None and codes:
                    read = replace(read, closed=await self._close(connection, reading, codes))
                await readings.end(connection, reading, read, began_at, self._clock.now())
        except CrossdockError as error:
            await readings.fail(self._store, reading, error.detail)
            raise
        return read

    def _since(self, reading: Reading, now: datetime) -> datetime | None:
        due = timedelta(seconds=self._options_of(reading.source).whole_seconds)
        if reading.began_at is None or reading.whole_at is None or now - reading.whole_at >= due:
            return None
        return reading.began_at - _OVERLAP

    async def _pages(self, reading: Reading, lister: ListsCustomers, since: datetime | None) -> tuple[Read, set[str]]:
        read = Read(source=reading.source, whole=since is None)
        codes: set[str] = set()
        cursor = None
        while True:
            call = Call(
                tenant=reading.tenant, correlation_id=reading.run, deadline=self._clock.monotonic() + _CALL_SECONDS
            )
            page = await lister.list_customers(call, cursor=cursor, changed_since=since, limit=_PAGE)
            if page.customers:
                read = await self._take(reading, page.customers, read)
                codes |= {each.source_code for each in page.customers}
            cursor = page.next_cursor
            if cursor is None:
                return read, codes

    async def _take(self, reading: Reading, reported: Sequence[ReportedCustomer], read: Read) -> Read:
        tenant, source = reading.tenant, reading.source
        options = self._options_of(source)
        async with self._store.transaction() as connection:
            await readings.hold(connection, reading)
            # Before looking whom a number means: two systems may name it at the same moment.
            await lock_customers(connection, tenant)
            standing = await _standing(connection, tenant, source, reported, options)
            listing = listing_of(reported, source, options, standing)
            outcome = await change_customers(
                connection, self._clock, tenant=tenant, source=source, changes=listing.changes,
                correlation_id=reading.run,
            )  # fmt: skip
            refused = listing.told(outcome.refused)
            await readings.tell(
                connection, reading, [each.source_code for each in reported], refused, self._clock.now()
            )
        return read.plus(outcome, refused, len(reported))

    async def _close(self, connection: Connection, reading: Reading, codes: set[str]) -> int:
        """What the source spoke of and lists no more is closed there; an empty list closes nothing."""
        tenant, source = reading.tenant, reading.source
        closed, after = 0, None
        while rows := await connection.fetch(_sql.unlisted, tenant, source, sorted(codes), after, _UNLISTED):
            after = rows[-1]["customer"]
            said = await statements_of(connection, tenant, DOMAIN, [row["customer"] for row in rows])
            spoken = {
                customer
                for customer, each in said.items()
                if any(one.source == source and one.attributes.get("status") != Status.CLOSED for one in each)
            }
            changes = [
                Change(number=row["number"], attributes={"status": Status.CLOSED.value})
                for row in rows
                if row["customer"] in spoken
            ]
            if changes:
                await change_customers(
                    connection, self._clock, tenant=tenant, source=source, changes=changes, correlation_id=reading.run
                )
            closed += len(changes)
        return closed

    def _options_of(self, source: str) -> SourceOptions:
        return self._options.get(source, SourceOptions())


async def _standing(
    connection: Connection, tenant: str, source: str, reported: Sequence[ReportedCustomer], options: SourceOptions
) -> Standing:
    codes = {each.source_code for each in reported} | {each.parent for each in reported if each.parent is not None}
    rows = await connection.fetch(_sql.numbers_by_code, tenant, source, sorted(codes))
    numbers = {row["code"]: row["number"] for row in rows}
    fresh = {number_of(each, options) for each in reported if each.source_code not in numbers}
    coded = await connection.fetch(_sql.coded_numbers, tenant, sorted(fresh)) if fresh else []
    return Standing(numbers=numbers, coded={row["number"]: row["sources"] for row in coded})
