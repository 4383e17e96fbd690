"""How a process comes to hold the newest configuration, and says so.

Once a second it tells the record that it lives and which version it holds, and is told in the same statement which is
newest. A newer one is built whole beside the old and then taken; one that cannot be built is refused and reported, and
the last good one stays. So it does while the record is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from msgspec import Struct

from gateway.configuration.snapshots import Snapshot, newest, read, sql
from gateway.configuration.tree import Configuration, sha256_of
from gateway.kernel.background import background
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, Unavailable
from gateway.kernel.ids import new_id
from gateway.store.postgres import Store

_log: Final = logging.getLogger(__name__)
EVERY_SECONDS: Final = 1.0
_READ_SECONDS: Final = 5.0
# How far back a starting process looks for a version that it can build.
_LAST_GOOD_AMONG: Final = 20
_LONGEST_REFUSAL: Final = 500

Adopt = Callable[[Configuration], None]


class Held(Struct, frozen=True):
    """What this process holds: version 0 is what its settings say. `refused` is a newer version it could not build."""

    version: int
    sha256: str
    refused: int | None = None
    refusal: str | None = None


class Follower:
    """Keeps one process at the newest version. `adopt` builds and takes a tree at once, or raises and changes nothing.

    `role` is ``gateway``, ``worker`` or ``console``; `initial` is what holds while the record has no snapshot.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        role: str,
        initial: Configuration,
        adopt: Adopt,
        every: float = EVERY_SECONDS,
    ) -> None:
        # A connection of its own: a busy pool must not delay the heartbeat.
        self._store = Store(store.url, size=1)
        self._adopt = adopt
        self._initial = initial
        self._every = every
        self._identity = (new_id("wrk"), role, socket.gethostname(), os.getpid(), clock.now())
        self._held = Held(0, sha256_of(initial))
        self._settled = False

    @property
    def held(self) -> Held:
        """What is held now."""
        return self._held

    async def require(self) -> None:
        """Raise `Unavailable` (code ``configuration.missing``) until the first reading of the record."""
        if not self._settled:
            raise Unavailable("the configuration has not been read yet", code="configuration.missing")

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Hold the newest inside the block. Starts without where the schema is missing; `require` then says so."""
        await self._store.open()
        try:
            with contextlib.suppress(Unavailable):
                await self.follow()
            async with background(self._watch(), name="configuration"):
                yield
        finally:
            with contextlib.suppress(CrossdockError, asyncpg.PostgresError, TimeoutError):
                async with asyncio.timeout(_READ_SECONDS):
                    await self._store.execute(sql.leave, self._identity[0])
            await self._store.close()

    async def follow(self) -> None:
        """One round: tell, ask, take what is new, tell again. Raises `Unavailable` when the record does not answer."""
        try:
            async with asyncio.timeout(_READ_SECONDS):
                version = await self._beat()
                if version not in (self._held.version, self._held.refused):
                    await self._take(version)
                    await self._beat()
        except TimeoutError as error:
            raise Unavailable("the record does not answer in time") from error
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
            raise Unavailable("run `crossdock migrate`: the configuration has no tables yet") from error
        self._settled = True

    async def _beat(self) -> int:
        held = self._held
        return int(await self._store.fetchval(sql.beat, *self._identity, held.version, held.refused, held.refusal))

    async def _take(self, version: int) -> None:
        if version == 0:  # the record was restored to before the first snapshot
            self._adopt(self._initial)
            self._held = Held(0, sha256_of(self._initial))
            return
        async with self._store.connection() as connection:
            found = [await read(connection, version)] if self._settled else await newest(connection, _LAST_GOOD_AMONG)
        refused: tuple[int, str] | None = None
        for snapshot in found:
            refusal = self._refusal(snapshot)
            if refusal is None:
                self._held = Held(snapshot.version, snapshot.sha256, *(refused or (None, None)))
                _log.info("configuration %d holds", snapshot.version)
                return
            refused = refused or (snapshot.version, refusal)
        if refused is not None:
            self._held = Held(self._held.version, self._held.sha256, *refused)

    def _refusal(self, snapshot: Snapshot) -> str | None:
        """Take `snapshot`, or say why not."""
        try:
            self._adopt(snapshot.configuration)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the last good one stays
            _log.error("configuration %d was refused, %d stays: %s", snapshot.version, self._held.version, error)
            return (error.detail if isinstance(error, CrossdockError) else repr(error))[:_LONGEST_REFUSAL]
        return None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.follow()
            except CrossdockError as error:
                _log.warning("the configuration could not be read, %d stays: %s", self._held.version, error.detail)
            except Exception:  # noqa: BLE001 - the heartbeat goes on; the traceback is in the log
                _log.exception("the configuration could not be read, %d stays", self._held.version)
