"""Which installation a database belongs to, and which log epoch it is in.

The settings name the installation they expect. A database with another id, or with none where one is expected, is
never written to: a lost environment variable must not boot an empty stranger.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg
from msgspec import Struct

from gateway.kernel.errors import Misconfigured
from gateway.store.log_reader import sql
from gateway.store.postgres import Store


class Installation(Struct, frozen=True):
    """`identity` is a UUID given by the first migration; `log_epoch` rises with each fail-over or restore."""

    identity: str
    log_epoch: int
    database: str


async def check_installation(store: Store, expected: str | None) -> Installation:
    """The installation behind `store`; raises `Misconfigured` unless it is the `expected` one.

    None accepts whatever is there: only for who has just created the database and will keep its id. Where the
    database has moved to another server or timeline since the last look (promotion, point-in-time recovery, dump and
    restore), a new log epoch begins. A copy of the files that keeps its timeline cannot be told apart: after such a
    restore call `begin_log_epoch`.
    """
    found, cluster = await _look(store)
    if expected is not None and not _same(found.identity, expected):
        raise Misconfigured(
            f"the database {found.database} belongs to installation {found.identity}, the settings name {expected}: "
            "correct store.url, or store.installation if this database is meant"
        )
    present = await _cluster(store)
    if present is None or present == cluster:
        return found
    async with store.transaction() as connection:
        await connection.execute(sql.stop_writers)
        before = (await connection.fetchrow(sql.read_installation))["cluster"]
        if before not in (None, present):
            await connection.fetchval(sql.begin_log_epoch)
        await connection.execute(sql.set_cluster, present)
    return (await _look(store))[0]


async def begin_log_epoch(store: Store) -> int:
    """Start a new log epoch after a restore; returns it. Waits for writers under way, so that none is split."""
    async with store.transaction() as connection:
        await connection.execute(sql.stop_writers)
        epoch: int = await connection.fetchval(sql.begin_log_epoch)
    return epoch


async def _look(store: Store) -> tuple[Installation, str | None]:
    try:
        row = await store.fetchrow(sql.read_installation)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        row = None
    if row is None:
        raise Misconfigured("the database holds no Crossdock installation: check store.url, or run `crossdock migrate`")
    return Installation(str(row["installation_id"]), row["log_epoch"], row["database"]), row["cluster"]


async def _cluster(store: Store) -> str | None:
    try:
        cluster: str = await store.fetchval(sql.read_cluster)
    except asyncpg.InsufficientPrivilegeError:  # a managed server that hides it: epochs are begun by hand there
        return None
    return cluster


def _same(identity: str, expected: str) -> bool:
    try:
        return UUID(expected) == UUID(identity)
    except ValueError:
        raise Misconfigured(f"store.installation is {expected!r}, which is not a UUID") from None
