"""The PostgreSQL pool and its transactions.

Sessions are capped so that one slow transaction cannot hold back ordered delivery for long (`semantics.md` 1): the
log is delivered below the oldest running transaction. From PostgreSQL 17 on a transaction as a whole is capped; before,
its statements and its pauses are.

Pooled connections hold no session state (no session advisory locks, no `set`, no `listen`), so releasing one costs no
round trip. Who needs a session opens a connection of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Final

import asyncpg

from gateway.kernel.errors import CrossdockError, Misconfigured, Unavailable

_SESSION: Final = {
    "application_name": "crossdock",
    "timezone": "UTC",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
}
_INFINITE: Final = {"infinity": date.max, "-infinity": date.min}
_TRANSACTION_CAP: Final = {"transaction_timeout": "30s"}
_CAPS_TRANSACTIONS: Final = 17
_OLDEST_SERVER: Final = 15
_ASSIGNED_BY_HAND: Final = 10_000  # PostgreSQL's src/include/access/transam.h, FirstGenbkiObjectId
# What a connection raises that has failed or is gone. Cut in the middle of an answer, asyncpg no longer knows where it
# is and tells that as an internal error of its own.
CONNECTION_FAILED: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_introspected: Final[dict[frozenset[int], Any]] = {}
_GONE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
)
_CONTENDED: Final = (
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.TransactionTimeoutError,
)


class _Nothing:
    """Stands where asyncpg looks for the statement of an introspection that was not made."""

    name = "none"


class _Session(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that owns up when COMMIT of a failed transaction was answered by ROLLBACK."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109
        tag: str = await super().execute(query, *args, timeout=timeout)
        if tag == "ROLLBACK" and query == "COMMIT;":
            raise CrossdockError(
                "a statement failed in this transaction and its error was swallowed: nothing was committed",
                code="store.rolled_back",
            )
        return tag

    def get_reset_query(self) -> str:
        return ""

    async def _introspect_types(self, typeoids: Any, timeout: float | None) -> Any:  # noqa: ASYNC109
        """What the server says of types that asyncpg does not know by heart, such as arrays of what it does.

        Of the server's own it says the same to every connection (their numbers are assigned by hand, below 10000), and
        asking takes it 8 ms: that is asked once.
        """
        wanted = frozenset(typeoids)
        if known := _introspected.get(wanted):
            return known, _Nothing
        rows, statement = await super()._introspect_types(typeoids, timeout)
        if max(wanted) < _ASSIGNED_BY_HAND:
            _introspected[wanted] = rows
        return rows, statement


async def _exact_dates(connection: asyncpg.Connection) -> None:
    """Dates as text: asyncpg sends the first and the last date that there are as infinity, which no JSON reads back."""
    await connection.set_type_codec(
        "date", schema="pg_catalog", encoder=date.isoformat, decoder=_date_of, format="text"
    )


def _date_of(text: str) -> date:
    return _INFINITE.get(text) or date.fromisoformat(text)


class Store:
    """A pool on the record. Every failure that says "nothing was committed" becomes `Unavailable`.

    The code tells why: ``store.unavailable`` when the server cannot be reached, ``store.contended`` after a deadlock, a
    lock or a statement that took too long. A connection lost while COMMIT was under way raises `CommitUnknown`, a kind
    of `Unavailable` that callers with an idempotency record must treat as an unknown outcome.

    `after_commit` holds callbacks to run after each commit of `transaction`: hints, which must neither wait nor raise.
    """

    def __init__(self, url: str, *, size: int = 10) -> None:
        self._url = url
        self._size = size
        self._pool: asyncpg.Pool | None = None
        self.after_commit: list[Callable[[], object]] = []

    @property
    def url(self) -> str:
        """Where the record is, password included: for connections of one's own, never for printing."""
        return self._url

    async def open(self) -> None:
        """Connect; raises `Misconfigured` when the address or the password is wrong, `Unavailable` when it is down."""
        try:
            settings = await self._session_settings()
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=0,  # a floor is looked after in vain, and loudly, while the server is away
                init_size=1,
                max_size=self._size,
                server_settings=settings,
                command_timeout=20,
                connection_class=_Session,
                init=_exact_dates,
            )
        except (
            asyncpg.InvalidPasswordError,
            asyncpg.InvalidCatalogNameError,
            asyncpg.InvalidAuthorizationSpecificationError,
        ) as e:
            raise Misconfigured(f"PostgreSQL refuses us: {e}; check store.url") from e
        except _GONE as e:
            raise Unavailable("PostgreSQL does not answer; check that it runs and that store.url is right") from e

    async def _session_settings(self) -> dict[str, str]:
        probe = await asyncpg.connect(self._url, timeout=10)
        try:
            major = probe.get_server_version().major
        finally:
            await probe.close(timeout=5)
        if major < _OLDEST_SERVER:
            raise Misconfigured(f"PostgreSQL {major} is too old: the record needs {_OLDEST_SERVER} or newer")
        return _SESSION | _TRANSACTION_CAP if major >= _CAPS_TRANSACTIONS else dict(_SESSION)

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
        """The pool of asyncpg, for COPY and the like; raises `Unavailable` before `open`."""
        if self._pool is None:
            raise Unavailable("the store is not open")
        return self._pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection from the pool, outside any transaction."""
        try:
            acquired = await self.pool.acquire(timeout=5)
        except (*_GONE, asyncpg.InterfaceError) as e:
            raise Unavailable("the record cannot be reached; try again", code="store.unavailable") from e
        try:
            yield acquired
        except (*_CONTENDED, *_GONE) as e:
            if isinstance(e, asyncpg.ReadOnlySQLTransactionError):  # a fail-over left us with a standby
                await self.pool.expire_connections()
            raise outage_of(e) or e from e
        except asyncpg.InterfaceError as e:
            if not _is_gone(acquired):  # our own mistake, such as an argument of the wrong type
                raise
            raise Unavailable("the record went away; nothing was committed", code="store.unavailable") from e
        except asyncpg.InternalClientError as e:  # cut in the middle of an answer, asyncpg no longer knows where it is
            _give_up(acquired)
            raise Unavailable("the record went away; nothing was committed", code="store.unavailable") from e
        finally:
            await asyncio.shield(self._release(acquired))

    async def _release(self, acquired: asyncpg.Connection) -> None:
        try:
            await self.pool.release(acquired, timeout=5)
        except (*_GONE, asyncpg.InterfaceError, asyncpg.InternalClientError, Unavailable):
            return  # the pool dropped it, in the middle of this very release even, or was closed meanwhile

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """One read-committed transaction: committed at the end of the block, rolled back when it raises."""
        async with self.connection() as connection, self.transaction_on(connection):
            yield connection

    @asynccontextmanager
    async def transaction_on(self, connection: asyncpg.Connection) -> AsyncIterator[None]:
        """As `transaction`, on a `connection` that is in none."""
        transaction = connection.transaction()
        await transaction.start()
        try:
            yield
        except BaseException:
            await _rollback(transaction)
            raise
        try:
            await transaction.commit()
        except (*_GONE, asyncpg.InterfaceError, asyncpg.InternalClientError) as e:
            _give_up(connection)
            raise CommitUnknown("the record went away during the commit", code="store.commit_unknown") from e
        for hint in self.after_commit:
            hint()

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


def outage_of(error: Exception) -> Unavailable | None:
    """What `Store` raises for an error of asyncpg that says "not now"; None for every other error."""
    if isinstance(error, _CONTENDED):
        return Unavailable(f"the record is busy ({error}); nothing was committed", code="store.contended")
    if isinstance(error, _GONE):
        return Unavailable("the record went away; nothing was committed", code="store.unavailable")
    return None


def _is_gone(acquired: Any) -> bool:
    try:
        return bool(acquired.is_closed())
    except asyncpg.InterfaceError:  # the pool has taken a dead connection back already
        return True


def _give_up(acquired: Any) -> None:
    """Close it without a word: the pool makes a new one in its place."""
    with contextlib.suppress(asyncpg.InterfaceError):  # the pool has taken a dead connection back already
        acquired.terminate()


async def _rollback(transaction: Any) -> None:
    try:
        await transaction.rollback()
    except (*_GONE, asyncpg.InterfaceError, asyncpg.InternalClientError):
        return
