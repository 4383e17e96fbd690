"""What is dated of items (kits, substitutes), as a copy in this process that is compared with the record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Generic, Protocol, TypeVar

from gateway.canonical.capabilities import Connection
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Unavailable
from gateway.store.postgres import Store

_POLL_S: Final = 1.0
_TRUST_S: Final = 30.0
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Dated(Protocol):
    """Something of an item that holds from an instant on, until something else of that item does."""

    @property
    def of(self) -> str:
        """The item."""
        ...

    @property
    def effective_from(self) -> datetime:
        """From when on it holds."""
        ...


_Entry = TypeVar("_Entry", bound=Dated)
_Book = TypeVar("_Book")


class DatedCopies(Generic[_Entry, _Book]):
    """A copy for each tenant. `read` gives what holds now and what is to come, in the order of their dates."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        version: str,
        read: Callable[[Connection, str, datetime], Awaitable[Sequence[_Entry]]],
        opened: Callable[[Sequence[_Entry]], _Book],
    ) -> None:
        self._store = store
        self._clock = clock
        self._version = version
        self._read = read
        self._opened = opened
        self._copies: dict[str, _Copy[_Entry, _Book]] = {}

    async def book(self, tenant: str, connection: Connection | None = None) -> _Book:
        """What holds now, by a copy that is a second old at most."""
        copy = self._copies.get(tenant)
        if copy is None:
            copy = self._copies[tenant] = _Copy(
                self._store, tenant, self._clock, self._version, self._read, self._opened
            )
        return await copy.book(connection)

    def forget(self, tenant: str) -> None:
        """Compare with the record before the next answer: this process changed it."""
        if (copy := self._copies.get(tenant)) is not None:
            copy.checked = float("-inf")


class _Copy(Generic[_Entry, _Book]):
    """One tenant's. While the record is away the copy is trusted for `_TRUST_S` and no longer."""

    def __init__(
        self,
        store: Store,
        tenant: str,
        clock: Clock,
        version: str,
        read: Callable[[Connection, str, datetime], Awaitable[Sequence[_Entry]]],
        opened: Callable[[Sequence[_Entry]], _Book],
    ) -> None:
        self.checked = float("-inf")
        self._store = store
        self._tenant = tenant
        self._clock = clock
        self._sql = version
        self._read = read
        self._opened = opened
        self._read_at = float("-inf")
        self._version = -1
        self._entries: Sequence[_Entry] = ()
        self._book = opened(())
        self._until = _NEVER
        self._comparing = asyncio.Lock()

    async def book(self, connection: Connection | None) -> _Book:
        if self._clock.monotonic() - self.checked >= _POLL_S:
            if connection is not None:
                at = self._clock.monotonic()
                await self._compare_on(connection)
                self.checked = self._read_at = at
                return self._begun()
            async with self._comparing:
                if self._clock.monotonic() - self.checked >= _POLL_S:
                    await self._compare()
        return self._begun()

    def _begun(self) -> _Book:
        if self._until is not _NEVER and self._clock.now() >= self._until:
            self._open(self._clock.now())
        return self._book

    async def _compare(self) -> None:
        at = self._clock.monotonic()
        try:
            async with self._store.connection() as connection:
                await self._compare_on(connection)
        except Unavailable:
            if at - self._read_at > _TRUST_S:
                raise
            self.checked = at
            return
        self.checked = self._read_at = at

    async def _compare_on(self, connection: Connection) -> None:
        version = await connection.fetchval(self._sql, self._tenant) or 0
        if version > self._version:
            entries = await self._read(connection, self._tenant, self._clock.now()) if version else []
            if version > self._version:  # else somebody else read a newer one meanwhile
                self._entries, self._version = entries, version
                self._open(self._clock.now())

    def _open(self, now: datetime) -> None:
        begun = {each.of: each for each in self._entries if each.effective_from <= now}
        self._until = min((each.effective_from for each in self._entries if each.effective_from > now), default=_NEVER)
        self._book = self._opened(list(begun.values()))
