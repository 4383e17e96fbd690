"""What a worker may believe at this moment: key set, revocations, and until when.

Whatever takes a right away bumps an epoch in PostgreSQL in its own transaction. Each worker reads the epoch every
`poll_every` seconds, on a connection of its own that a busy pool cannot delay; a new epoch replaces the snapshot.
A worker that could not read it for `trust_for` seconds believes nothing any more (`semantics.md` 7).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gateway.identity.options import IdentityOptions
from gateway.identity.partners import Standing, standings
from gateway.identity.plans import PlanKey, all_limits
from gateway.identity.signing_keys import KeySet, ensure_signing_keys, load_key_set, rotate_signing_keys
from gateway.identity.tokens import VerifiedToken
from gateway.kernel.background import ended
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, Unavailable
from gateway.kernel.keyring import KeyRing
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

Change = frozenset[str] | None
_SWEEP_EVERY = 60.0
_logger = logging.getLogger(__name__)
_sql = queries_beside(__file__)


class Snapshot(Struct, frozen=True, eq=False):
    """One consistent reading. A token is revoked when its generation is below its client's, or its id is listed."""

    epoch: int
    keys: KeySet
    generations: Mapping[str, int]
    revoked_tokens: frozenset[str]
    token_epoch: int = 1
    standings: Mapping[str, Standing] = {}

    def has_revoked(self, token: VerifiedToken) -> bool:
        """Whether a verified token of ours is refused all the same."""
        return token.generation < self.generations.get(token.client_id, 0) or token.token_id in self.revoked_tokens


class Trust:
    """Keeps the snapshot fresh.

    `changed` is called after each replacement, before anyone can see it: with the ids of tokens where nothing but
    these was revoked, else with None. A caller that revokes token after token thus makes no worker verify all anew.
    `plans_changed`, where somebody sets it, is given the plans of the record with each new reading.
    """

    def __init__(
        self, store: Store, ring: KeyRing, options: IdentityOptions, clock: Clock, changed: Callable[[Change], None]
    ) -> None:
        self._store = Store(store.url, size=1)
        self._ring = ring
        self._options = options
        self._clock = clock
        self._changed = changed
        self._snapshot: Snapshot | None = None
        self._task: asyncio.Task[None] | None = None
        self._swept_at = 0.0
        self.until = 0.0
        self.plans_changed: Callable[[Mapping[PlanKey, Mapping[str, Any]]], None] | None = None

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
            await ended(self._task)
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
                row = await self._store.fetchrow(_sql.read_epoch)
                known = self._snapshot
                if known is None or row is None or (row["epoch"], row["tokens"]) != (known.epoch, known.token_epoch):
                    self._snapshot = fresh = await self._read()
                    everything = known is None or known.epoch != fresh.epoch
                    self._changed(None if everything or known is None else fresh.revoked_tokens - known.revoked_tokens)
                    if self.plans_changed is not None:
                        self.plans_changed(self._plans)
        except TimeoutError as error:
            raise Unavailable("the record does not answer in time", code="identity.unavailable") from error
        self.until = started + self._options.trust_for

    async def _read(self) -> Snapshot:
        async with (
            self._store.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            known = self._snapshot.keys if self._snapshot else None
            self._plans = await all_limits(connection)
            epochs = await connection.fetchrow(_sql.read_epoch)
            return Snapshot(
                epoch=epochs["epoch"],
                token_epoch=epochs["tokens"],
                keys=await load_key_set(connection, self._ring, known),
                generations={
                    row["client_id"]: row["generation"] for row in await connection.fetch(_sql.revoked_generations)
                },
                revoked_tokens=frozenset(row["token_id"] for row in await connection.fetch(_sql.revoked_tokens)),
                standings=await standings(connection),
            )

    _plans: Mapping[PlanKey, Mapping[str, Any]] = {}

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._options.poll_every)
            try:
                await self.refresh()
                await self._rotate_when_due()
                await self._sweep()
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
            await rotate_signing_keys(
                connection, self._ring, token_lifetime=self._options.token_lifetime, younger_than=due
            )

    async def _sweep(self) -> None:
        """Forget, once a minute, what has expired by itself."""
        if self._clock.monotonic() - self._swept_at >= _SWEEP_EVERY:
            self._swept_at = self._clock.monotonic()
            await self._store.execute(_sql.drop_expired_revocations)
            await self._store.execute(_sql.drop_expired_assertions)
