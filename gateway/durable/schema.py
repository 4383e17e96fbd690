"""DBOS's own tables, made in the record's database under the schema `dbos` when we migrate."""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg
from dbos import DBOS

from gateway.kernel.errors import Unavailable

_LOCK: Final = 0x44757261626C65  # "Durable", one key for all who migrate
_POLLS: Final = 300
_POLL_S: Final = 0.2


async def migrate_durable(url: str) -> None:
    """Create or upgrade the tables of DBOS. Safe with any number of processes at once.

    The lock is polled for, never waited for inside PostgreSQL: DBOS builds indexes concurrently, and those wait for
    every statement in progress, a waiting `pg_advisory_lock` included.
    """
    connection = await asyncpg.connect(url, server_settings={"application_name": "crossdock-migrate"})
    try:
        for _ in range(_POLLS):
            if await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
                await asyncio.to_thread(DBOS.migrate, url)
                return
            await asyncio.sleep(_POLL_S)
    finally:
        await connection.close()
    raise Unavailable("another process has been migrating for a minute: try again when it has ended")
