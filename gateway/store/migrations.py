"""Migrations: each component owns a folder `migrations/` of numbered SQL files and its own PostgreSQL schema.

They run once, in the order of the components given and of their numbers, each component's file in one transaction,
under one advisory lock: several workers starting together wait for the first. A file that changed after it ran is
refused, as is a database that was migrated by a newer release.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import asyncpg
from msgspec import Struct

from gateway.kernel.errors import Misconfigured, Unavailable
from gateway.store.postgres import Store

_LOCK: Final = 0x43726F7373  # "Cross", one key for all who migrate
_LEDGER: Final = """
create schema if not exists store;
create table if not exists store.migration (
    component text not null,
    number integer not null,
    name text not null,
    sha256 text not null,
    applied_at timestamptz not null default now(),
    primary key (component, number)
);
"""


class Migration(Struct, frozen=True):
    """One numbered file of one component."""

    component: str
    number: int
    path: Path

    @property
    def sha256(self) -> str:
        """Of the file as it is now, in hexadecimal."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


async def require_migrations(store: Store, migrations: Sequence[Migration]) -> None:
    """Raise `Unavailable` (code ``store.schema``) unless all of `migrations` have run. One small query."""
    rows = await store.fetch("select component, number from store.migration")
    done = {(row["component"], row["number"]) for row in rows}
    missing = [f"{each.component} {each.number}" for each in migrations if (each.component, each.number) not in done]
    if missing:
        raise Unavailable(f"run crossdock migrate: {', '.join(missing)} is missing", code="store.schema")


def find_migrations(folders: Sequence[Path]) -> list[Migration]:
    """The files of `folders` (each ``<component>/migrations``), in order; gaps in the numbers are refused."""
    found: list[Migration] = []
    for folder in folders:
        component = f"{folder.parent.parent.name}/{folder.parent.name}"
        for expected, path in enumerate(sorted(folder.glob("*.sql")), start=1):
            prefix = path.name.split("_", 1)[0]
            number = int(prefix) if prefix.isdecimal() else 0
            if number != expected:
                raise Misconfigured(
                    f"{path} should have the number {expected:04d}: migrations are numbered without gaps"
                )
            found.append(Migration(component, number, path))
    return found


async def migrate(
    url: str,
    migrations: Sequence[Migration],
    progress: Callable[[str], None] | None = None,
    *,
    installation: str | None = None,
) -> int:
    """Apply what has not run yet; returns how many ran. Safe with any number of processes at once.

    `installation` is the id that the settings expect: a database with another one, or an empty one, raises
    `Misconfigured` and is not written to. None is for creating an installation and for who keeps no id yet.
    """
    connection = await _connect(url)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        if installation is not None:
            await _refuse_stranger(connection, installation)
        await connection.execute(_LEDGER)
        return await _apply(connection, migrations, progress or (lambda _: None))
    finally:
        await connection.close()


async def _connect(url: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(url, timeout=10, server_settings={"application_name": "crossdock-migrate"})
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidCatalogNameError) as error:
        raise Misconfigured(f"PostgreSQL refuses us: {error}; check store.url") from error
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
        raise Unavailable("PostgreSQL does not answer; check that it runs and that store.url is right") from error


async def _refuse_stranger(connection: asyncpg.Connection, installation: str) -> None:
    found = None
    if await connection.fetchval("select to_regclass('store.installation')") is not None:
        found = await connection.fetchval("select installation_id::text from store.installation")
    if found != installation.lower():
        raise Misconfigured(
            f"the database belongs to installation {found or '(none: it is empty)'}, the settings name {installation}: "
            "correct store.url, or clear store.installation to set up a new one"
        )


async def _apply(
    connection: asyncpg.Connection, migrations: Sequence[Migration], progress: Callable[[str], None]
) -> int:
    rows = await connection.fetch("select component, number, sha256 from store.migration")
    done = {(row["component"], row["number"]): row["sha256"] for row in rows}
    known = {(migration.component, migration.number) for migration in migrations}
    if unknown := sorted(set(done) - known):
        raise Misconfigured(
            f"the database was migrated by another release ({unknown[0]}): run that release or a newer one"
        )
    count = 0
    for migration in migrations:
        sha256 = migration.sha256
        if (before := done.get((migration.component, migration.number))) is not None:
            if before != sha256:
                raise Misconfigured(f"{migration.path} changed after it ran: write a new migration instead")
            continue
        progress(f"{migration.component} {migration.path.name}")
        async with connection.transaction():
            await connection.execute(migration.path.read_text(encoding="utf-8"))
            await connection.execute(
                "insert into store.migration (component, number, name, sha256) values ($1, $2, $3, $4)",
                migration.component,
                migration.number,
                migration.path.name,
                sha256,
            )
        count += 1
    return count
