"""Who calls which version: counted in this process, added to the record every few seconds.

A call costs a look into a dictionary. What a process had counted since it last wrote is lost when it is killed: up to
`FLUSH_SECONDS` of calls. While the record is away the counts wait, at most `LARGEST` callers and versions of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Final

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.kernel.background import background
from gateway.kernel.errors import CrossdockError
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from policies.version.tally import Counted, Key, Tally

_sql: Final = queries_beside(__file__)
_log: Final = logging.getLogger("crossdock.usage")
_KEPT_DAYS: Final = 400
FLUSH_SECONDS: Final = 5.0
LARGEST: Final = 10_000
_LAST_WORDS_SECONDS: Final = 5.0


class ClientUsage(Struct, frozen=True, kw_only=True):
    """One client of one version over some days; `days` has the calls by day (UTC)."""

    api: str
    version: str
    partner: str | None
    client: str
    calls: int
    last_seen_at: datetime
    days: Mapping[str, int]


Write = Callable[[Sequence[tuple[Key, Counted]]], Awaitable[None]]


class Usage:
    """The counts of one process; `count` counts a finished exchange."""

    def __init__(self, write: Write, *, every: float = FLUSH_SECONDS, largest: int = LARGEST) -> None:
        self._write = write
        self._every = every
        self._tally = Tally(largest)
        self.count = self._tally.count

    @property
    def uncounted(self) -> int:
        """Calls that there was no room for."""
        return self._tally.uncounted

    async def flush(self) -> None:
        """Write what was counted; what cannot be written now is counted on."""
        cells = self._tally.take()
        if not cells:
            return
        try:
            await self._write(sorted(cells.items(), key=_key))
        except BaseException:
            for key, cell in cells.items():
                self._tally.add(key, cell)
            raise

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[None]:
        """Write every few seconds inside the block, and once at its end."""
        try:
            async with background(self._run(), name="version-usage"):
                yield
        finally:
            await self._last_words()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.flush()
            except CrossdockError as error:
                _log.warning("the use of versions cannot be written, it is counted on: %s", error.detail)

    async def _last_words(self) -> None:
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self.flush()
        except (CrossdockError, TimeoutError):
            _log.exception("the use of versions of the last seconds is lost")


def _key(entry: tuple[Key, Counted]) -> Key:
    return entry[0]


def writes_to(store: Store) -> Write:
    """The record as the place where counts are added up; days long past are dropped once a day."""
    dropped_on: date | None = None

    async def write(counted: Sequence[tuple[Key, Counted]]) -> None:
        nonlocal dropped_on
        rows = [(*key, cell.partner, cell.calls) for key, cell in counted]
        columns = [list(column) for column in zip(*rows, strict=True)]
        async with store.connection() as connection:
            await connection.execute(_sql.add_usage, *columns)
            if dropped_on != (today := datetime.now(UTC).date()):
                await connection.execute(_sql.drop_old_usage, _KEPT_DAYS)
                dropped_on = today

    return write


async def read_usage(connection: Connection, *, tenant: str, days: int) -> list[ClientUsage]:
    """Who called which version during the last `days` (today included), the busiest of each version first."""
    rows = await connection.fetch(_sql.read_usage, tenant, days)
    return [ClientUsage(**{**dict(row), "days": msgspec.json.decode(row["days"], type=dict[str, int])}) for row in rows]
