"""The way from the door to the audit trail: a bounded queue and one writer, so that no request waits for its entry."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from gateway.kernel.background import background
from gateway.kernel.errors import CrossdockError
from gateway.store.audit import AuditEntry, record_many
from gateway.store.postgres import Store

_log: Final = logging.getLogger("crossdock.audit")
_BATCH: Final = 500
_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0

Write = Callable[[Sequence[AuditEntry]], Awaitable[None]]


def writes_to(store: Store) -> Write:
    """The record as the place where entries go."""

    async def write(entries: Sequence[AuditEntry]) -> None:
        async with store.connection() as connection:
            await record_many(connection, entries)

    return write


class AuditQueue:
    """At most `size` entries waiting for `write`; `lost` counts what never reached it."""

    def __init__(self, write: Write, *, size: int, patience: float) -> None:
        self._write = write
        self._entries: asyncio.Queue[AuditEntry] = asyncio.Queue(size)
        self._patience = patience
        self.lost = 0

    def offer(self, entry: AuditEntry) -> None:
        """Take `entry` if less than half is waiting: what may be lost never crowds out what may not."""
        if self._entries.qsize() * 2 < self._entries.maxsize:
            self._entries.put_nowait(entry)
        else:
            self.lost += 1

    def keep(self, entry: AuditEntry) -> Awaitable[None] | None:
        """Take `entry`; an awaitable when there is no room now."""
        try:
            self._entries.put_nowait(entry)
        except asyncio.QueueFull:
            return self._wait_for_room(entry)
        return None

    async def _wait_for_room(self, entry: AuditEntry) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._entries.put(entry)
        except TimeoutError:
            self.lost += 1
            _log.error("the audit trail has no room; this entry is only here: %s", entry)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write what comes, until the end of the block; what is then left is written or logged."""
        try:
            async with background(self._run(), name="audit-writer"):
                yield
        finally:
            await self._last_words()

    async def _run(self) -> None:
        pause = _PAUSE
        batch: list[AuditEntry] = []
        try:
            while True:
                if not batch:
                    batch.append(await self._entries.get())
                    await asyncio.sleep(_PAUSE)
                while len(batch) < _BATCH and not self._entries.empty():
                    batch.append(self._entries.get_nowait())
                try:
                    await self._write(batch)
                except CrossdockError as error:
                    _log.warning("the audit trail cannot be written, %d entries wait: %s", len(batch), error.detail)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
                else:
                    batch, pause = [], _PAUSE
        finally:
            self._unwritten = batch

    _unwritten: Sequence[AuditEntry] = ()

    async def _last_words(self) -> None:
        left = [*self._unwritten]
        while not self._entries.empty():
            left.append(self._entries.get_nowait())
        if not left:
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._write(left)
        except (CrossdockError, TimeoutError):
            self.lost += len(left)
            for entry in left:
                _log.error("the audit trail cannot be written; this entry is only here: %s", entry)
