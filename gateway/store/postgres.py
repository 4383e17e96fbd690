"""The PostgreSQL pool and its transactions.

Sessions are capped so that one slow transaction cannot hold back ordered delivery for long (`semantics.md` 1): the
log is delivered below the oldest running transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from gateway.kernel.errors import Misconfigured, Unavailable

_SESSION: Final = {
    "application_name": "crossdock",
    "timezone": "UTC",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
}
_GONE: Final = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)


class Store:
    """A pool on the record. Every failure that says "nothing was committed" becomes `Unavailable`.

    A connection lost while COMMIT was under way raises `CommitUnknown`, a kind of `Unavailable` that callers with an
    idempotency record must treat as an unknown outcome.
    """

    def __init__(self, url: str, *, size: int = 10) -> None:
        self._url = url
        self._size = size
        self._pool: asyncpg.Pool | None = None

    @property
    def url(self) -> str:
        return self._url

    async def open(self) -> None:
        """Connect; raises `Misconfigured` when the address or the password is wrong, `Unavailable` when it is down."""
        try:
            self._pool = await asyncpg.create_pool(
                self._url, min_size=1, max_size=self._size, server_settings=_SESSION, command_timeout=20
            )
        except (
            asyncpg.InvalidPasswordError,
            asyncpg.InvalidCatalogNameError,
            asyncpg.InvalidAuthorizationSpecificationError,
        ) as e:
            raise Misconfigured(f"PostgreSQL refuses us: {e}; check store.url") from e
        except _GONE as e:
            raise Unavailable("PostgreSQL does not answer; check that it runs and that store.url is right") from e

    async def close(self) -> None:
        """Close what is idle and end what is not."""
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), 5)
            except (TimeoutError, *_GONE):
                self._pool.terminate()
            self._pool = None

    @property
    def pool(self) -> asyncpg.Pool:
        if self._pool is None:
            raise Unavailable("the store is not open")
        return self._pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection from the pool, outside any transaction."""
        try:
            acquired = await self.pool.acquire(timeout=5)
        except _GONE as e:
            raise Unavailable("the record cannot be reached; try again", code="store.unavailable") from e
        try:
            yield acquired
        except _GONE as e:
            raise Unavailable("the record went away; nothing was committed", code="store.unavailable") from e
        finally:
            await asyncio.shield(self._release(acquired))

    async def _release(self, acquired: asyncpg.Connection) -> None:
        try:
            await self.pool.release(acquired, timeout=5)
        except _GONE:
            acquired.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """One read-committed transaction: committed at the end of the block, rolled back when it raises."""
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except BaseException:
                await _rollback(transaction)
                raise
            try:
                await transaction.commit()
            except _GONE as e:
                raise CommitUnknown("the record went away during the commit", code="store.commit_unknown") from e

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Rows of one statement."""
        async with self.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *args)
            return rows

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        """The first row of one statement, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        async with self.connection() as connection:
            return await connection.fetchval(query, *args)

    async def execute(self, query: str, *args: Any) -> str:
        """One statement; returns its command tag."""
        async with self.connection() as connection:
            tag: str = await connection.execute(query, *args)
            return tag


class CommitUnknown(Unavailable):
    """The connection was lost while COMMIT was under way: it may have been committed."""

    default_code = "store.commit_unknown"


async def _rollback(transaction: Any) -> None:
    try:
        await transaction.rollback()
    except _GONE:
        return
