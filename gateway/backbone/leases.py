"""Who may run what: one process at a time per name, by session advisory locks of PostgreSQL.

One connection of its own holds all of a process's locks. When it is lost, everything that runs under it is
cancelled; the server frees the locks with the session, and a survivor takes them within a second. A process that does
not notice in time does no harm: what it commits is guarded by the row lock on the consumer's position.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg

from gateway.store.log_reader import NewerRelease
from gateway.store.postgres import CONNECTION_FAILED

_logger = logging.getLogger(__name__)

_BEAT_S: Final = 0.5
_PATIENCE_S: Final = 3.0
_AFTER_FAILURE_S: Final = 0.5
_GIVE_WAY_S: Final = 5.0
_TRY: Final = """
select name from unnest($1::text[]) as wanted (name)
where pg_try_advisory_lock(hashtextextended('crossdock lease ' || name, 0))
"""
_RELEASE: Final = "select pg_advisory_unlock(hashtextextended('crossdock lease ' || $1, 0))"
_SESSION: Final = {"application_name": "crossdock-leases", "tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2"}


class Leases:
    """The names this process holds. `run` keeps the connection; `while_held` runs work under a name."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wanted: set[str] = set()
        self._held: dict[str, asyncio.Event] = {}
        self._given_up: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def held(self) -> frozenset[str]:
        """The names held now."""
        return frozenset(self._held)

    async def while_held(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` whenever this process holds `name`, again after it failed, until cancelled.

        `work` is cancelled when the lease is lost. `NewerRelease` gives the lease to another process for a while.
        """
        self._wanted.add(name)
        while True:
            over = await self._gained(name)
            try:
                await _until(over, work)
            except NewerRelease as error:
                _logger.warning("%s gives way: %s", name, error.detail)
                self._wanted.discard(name)
                self._given_up.add(name)
                await asyncio.sleep(_GIVE_WAY_S)
                self._wanted.add(name)
            except Exception:
                _logger.exception("%s failed and is started again", name)
                await asyncio.sleep(_AFTER_FAILURE_S)

    async def run(self) -> None:
        """Hold what is wanted and free, until cancelled."""
        while True:
            connection: asyncpg.Connection | None = None
            try:
                connection = await asyncpg.connect(self._url, timeout=_PATIENCE_S, server_settings=_SESSION)
                connection.add_termination_listener(lambda _: self._drop_all())
                await self._beat(connection)
            except CONNECTION_FAILED as error:
                _logger.warning("the leases are lost: %s", type(error).__name__)
            finally:
                self._drop_all()
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(_BEAT_S)

    async def _beat(self, connection: asyncpg.Connection) -> None:
        while not connection.is_closed():
            for name in self._given_up & self._held.keys():
                await connection.execute(_RELEASE, name, timeout=_PATIENCE_S)
                self._held.pop(name).set()
            self._given_up.clear()
            missing = sorted(self._wanted - self._held.keys())
            for row in await connection.fetch(_TRY, missing, timeout=_PATIENCE_S):
                self._held[row["name"]] = asyncio.Event()
            self._tell()
            await asyncio.sleep(_BEAT_S)

    async def _gained(self, name: str) -> asyncio.Event:
        while True:
            changed = self._changed
            if name in self._held and name not in self._given_up:
                return self._held[name]
            await changed.wait()

    def _drop_all(self) -> None:
        for over in self._held.values():
            over.set()
        self._held.clear()
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _until(over: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
    working = asyncio.ensure_future(work())
    watching = asyncio.ensure_future(over.wait())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)
