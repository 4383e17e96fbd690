"""Snapshots in the record: written once, under a lock that is only optimistic, and kept for ever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.configuration.tree import Configuration, decode, encode, sha256_of
from gateway.kernel.errors import Conflict, NotFound
from gateway.store.audit import record_audit
from gateway.store.queries import queries_beside

sql = queries_beside(__file__)


class Snapshot(Struct, frozen=True, kw_only=True):
    """One version. `content` is canonical JSON; `restores` the version that a rollback brought back."""

    version: int
    content: str
    sha256: str
    restores: int | None
    actor: str
    note: str
    created_at: datetime

    @property
    def configuration(self) -> Configuration:
        """The tree; raises `Misconfigured` where this release does not understand it."""
        return decode(self.content)


async def newest(connection: Connection, count: int) -> list[Snapshot]:
    """The last `count` snapshots, newest first; empty before the first `apply`."""
    return [_snapshot(row) for row in await connection.fetch(sql.newest, count)]


async def read(connection: Connection, version: int) -> Snapshot:
    """One snapshot; raises `NotFound` (code ``configuration.no_version``)."""
    row = await connection.fetchrow(sql.one, version)
    if row is None:
        raise NotFound(
            f"there is no version {version}: `crossdock config history` lists them", code="configuration.no_version"
        )
    return _snapshot(row)


async def write(
    connection: Connection,
    configuration: Configuration,
    *,
    replaces: int,
    tenant: str,
    actor: str,
    note: str,
    restores: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> int:
    """Write the version after `replaces` with its audit entry, inside the caller's transaction; returns its number.

    Raises `Conflict` (code ``configuration.moved_on``) when `replaces` is no longer the newest.
    """
    content = encode(configuration).decode()
    version = await connection.fetchval(sql.write, replaces, content, sha256_of(configuration), restores, actor, note)
    if version is None:
        raise Conflict(
            f"version {replaces} is no longer the newest: look at `crossdock config diff` again, then apply",
            code="configuration.moved_on",
        )
    number = int(version)
    await record_audit(
        connection,
        tenant=tenant,
        actor=actor,
        action="configuration.rolled_back" if restores is not None else "configuration.applied",
        subject=f"configuration/{number}",
        outcome="done",
        correlation_id=f"configuration-{number}",
        detail={"replaces": replaces, "restores": restores, "note": note, **(changes or {})},
    )
    return number


def _snapshot(row: asyncpg.Record) -> Snapshot:
    return Snapshot(**dict(row))
