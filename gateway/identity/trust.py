"""What a worker may believe at this moment: key set, revocations, and until when.

Whatever takes a right away bumps an epoch in PostgreSQL in its own transaction. Each worker reads the epoch every
`poll_every` seconds, on a connection of its own that a busy pool cannot delay; a new epoch replaces the snapshot.
A worker that could not read it for `trust_for` seconds believes nothing any more (`semantics.md` 7).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from msgspec import Struct

from gateway.identity.options import IdentityOptions
from gateway.identity.signing_keys import KeySet, ensure_signing_keys, load_key_set, rotate_signing_keys
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, Unavailable
from gateway.kernel.keyring import KeyRing
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_logger = logging.getLogger(__name__)
_sql = queries_beside(__file__)


class Snapshot(Struct, frozen=True, eq=False):
    """One consistent reading. A token is revoked when its generation is below its client's, or its id is listed."""

    epoch: int
    keys: KeySet
    generations: Mapping[str, int]
    revoked_tokens: frozenset[str]


class Trust:
    """Keeps the snapshot fresh. `changed` is called after each replacement, before anyone can see it."""

    def __init__(
        self, store: Store, ring: KeyRing, options: IdentityOptions, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._store = Store(store.url, size=1)
        self._ring = ring
        self._options = options
        self._clock = clock
        self._changed = changed
        self._snapshot: Snapshot | None = None
        self._task: asyncio.Task[None] | None = None
        self.until = 0.0

    async def open(self) -> None:
        """Make signing keys where there are none, read the first snapshot, and start watching."""
        await self._store.open()
        try:
            async with self._store.transaction() as connection:
                await ensure_signing_keys(connection, self._ring)
            await self.refresh()
        except BaseException:
            await self._store.close()
            raise
        self._task = asyncio.create_task(self._watch(), name="identity-trust")

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._store.close()

    @property
    def snapshot(self) -> Snapshot:
        """What holds now; raises `Unavailable` (code ``identity.unavailable``) when it is too old to be believed."""
        if self._snapshot is None or self._clock.monotonic() >= self.until:
            raise Unavailable(
                "credentials cannot be checked at the moment: the record of revocations cannot be read",
                code="identity.unavailable",
            )
        return self._snapshot

    async def refresh(self) -> None:
        """Read the epoch, and everything else when it moved. Raises `Unavailable` when the record does not answer."""
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._options.trust_for - self._options.poll_every):
                epoch = await self._store.fetchval(_sql.read_epoch)
                if self._snapshot is None or epoch != self._snapshot.epoch:
                    self._snapshot = await self._read()
                    self._changed()
        except TimeoutError as error:
            raise Unavailable("the record does not answer in time", code="identity.unavailable") from error
        self.until = started + self._options.trust_for

    async def _read(self) -> Snapshot:
        async with (
            self._store.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            known = self._snapshot.keys if self._snapshot else None
            return Snapshot(
                await connection.fetchval(_sql.read_epoch),
                await load_key_set(connection, self._ring, known),
                {row["client_id"]: row["generation"] for row in await connection.fetch(_sql.revoked_generations)},
                frozenset(row["token_id"] for row in await connection.fetch(_sql.revoked_tokens)),
            )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._options.poll_every)
            try:
                await self.refresh()
                await self._rotate_when_due()
            except CrossdockError as error:
                _logger.warning("the revocation epoch could not be read: %s", error.detail)
            except Exception:
                _logger.exception("the revocation epoch could not be read")

    async def _rotate_when_due(self) -> None:
        due = self._options.rotate_keys_after
        age = self._clock.now().timestamp() - self.snapshot.keys.current.current_since
        if age < due:
            return
        async with self._store.transaction() as connection:
            await connection.execute(_sql.drop_expired_revocations)
            await rotate_signing_keys(
                connection, self._ring, token_lifetime=self._options.token_lifetime, younger_than=due
            )
