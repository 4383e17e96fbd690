"""Reading a system's own list of records: how far it came, what of it was refused and why.

Any process may begin a reading; the one that began last goes on, and every page of an older one is refused in its
transaction (`Conflict` ``reference.reading_taken_over``), so that an older page never overwrites what a newer said.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.kernel.errors import Conflict
from gateway.kernel.ids import new_id
from gateway.reference.outcomes import Outcome, Refusal
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)
_RUN_PREFIX: Final = "read"
_MOST_TOLD: Final = 300


class Reading(Struct, frozen=True, kw_only=True):
    """A reading under way. `began_at` and `whole_at` are those of the last that came to their end, if any did."""

    tenant: str
    domain: str
    source: str
    run: str
    began_at: datetime | None
    whole_at: datetime | None


class Read(Struct, frozen=True, kw_only=True):
    """What a reading came to, in numbers of records; `closed` are those that a whole list has no more."""

    source: str
    whole: bool
    listed: int = 0
    created: int = 0
    changed: int = 0
    closed: int = 0
    refused: tuple[Refusal, ...] = ()

    def plus(self, outcome: Outcome, refused: Sequence[Refusal], listed: int) -> Read:
        """With what became of a page."""
        return replace(
            self,
            listed=self.listed + listed,
            created=self.created + len(outcome.created),
            changed=self.changed + len(outcome.changed),
            refused=(*self.refused, *refused),
        )


class Known(Struct, frozen=True, kw_only=True):
    """How far a source has been read. `ended_at` is None until a reading came to its end; `failed` tells of a later."""

    source: str
    began_at: datetime | None
    whole_at: datetime | None
    ended_at: datetime | None
    listed: int
    created: int
    changed: int
    closed: int
    refused: int
    failed: str | None


class RefusedRecord(Struct, frozen=True, kw_only=True):
    """What of a source's record is not taken, since when, and what to do; `record` is the source's own code."""

    source: str
    record: str
    attribute: str
    code: str
    detail: str
    told_at: datetime


async def begin(store: Store, tenant: str, domain: str, source: str) -> Reading:
    """Begin to read; whoever was at it ends with its next page."""
    run = new_id(_RUN_PREFIX)
    async with store.transaction() as connection:
        row = await connection.fetchrow(_sql.begin_reading, tenant, domain, source, run)
    assert row is not None  # noqa: S101 - an insert that returns
    return Reading(
        tenant=tenant, domain=domain, source=source, run=run, began_at=row["began_at"], whole_at=row["whole_at"]
    )


async def hold(connection: Connection, reading: Reading) -> None:
    """Go on in this transaction; raises `Conflict` when another reading of the same list began since."""
    if not await connection.fetchval(_sql.hold_reading, *_key(reading), reading.run):
        raise Conflict(
            f"another reading of the list of {reading.source} took over: look what it came to",
            code="reference.reading_taken_over",
        )


async def tell(
    connection: Connection, reading: Reading, records: Sequence[str], refused: Sequence[Refusal], now: datetime
) -> None:
    """What of `records` (the source's codes) is refused from now on; what was before and is not any more is settled."""
    still = [each.record for each in refused], [each.attribute for each in refused]
    await connection.execute(_sql.settle_refusals, *_key(reading), list(records), *still)
    if refused:
        rows = [(each.record, each.attribute, each.code, each.detail) for each in refused]
        await connection.execute(_sql.add_refusals, *_key(reading), now, *map(list, zip(*rows, strict=True)))


async def end(connection: Connection, reading: Reading, read: Read, began_at: datetime, now: datetime) -> None:
    """The list has been read to its end. After a whole one, what it has no more is not refused any more."""
    if read.whole:
        await connection.execute(_sql.forget_refusals, *_key(reading), began_at)
    await connection.execute(
        _sql.end_reading, *_key(reading), began_at, began_at if read.whole else None, now,
        read.listed, read.created, read.changed, read.closed,
    )  # fmt: skip


async def fail(store: Store, reading: Reading, why: str) -> None:
    """Tell why it did not come to its end."""
    async with store.transaction() as connection:
        await connection.execute(_sql.fail_reading, *_key(reading), reading.run, why[:_MOST_TOLD])


async def readings(store: Store, tenant: str, domain: str) -> list[Known]:
    """How far each source has been read."""
    names = Known.__struct_fields__
    rows = await store.fetch(_sql.readings, tenant, domain)
    return [Known(**{name: row[name] for name in names}) for row in rows]


async def refusals(
    store: Store,
    tenant: str,
    domain: str,
    *,
    source: str | None = None,
    after: tuple[str, str, str] | None = None,
    limit: int = 100,
) -> list[RefusedRecord]:
    """What is refused, by source, record and attribute, those that come after `after`."""
    names = RefusedRecord.__struct_fields__
    rows = await store.fetch(_sql.refusals, tenant, domain, source, *(after or (None, None, None)), limit)
    return [RefusedRecord(**{name: row[name] for name in names}) for row in rows]


def _key(reading: Reading) -> tuple[str, str, str]:
    return (reading.tenant, reading.domain, reading.source)
