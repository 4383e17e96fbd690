"""Records for tests: made once per session with the tables that a folder's tests need, emptied between tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

import asyncpg

from gateway.durable.enqueue import enqueue
from gateway.store.migrations import Migration, migrate
from gateway.store.together import Together

Prepare = Callable[[str], Awaitable[object]]

_TABLES: Final = """
select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition
  and n.nspname not in ('pg_catalog', 'information_schema', 'kept_by_tests')
"""
# What migrations write (versions, the installation's id, first rows) is there again in an emptied record.
_KEEP: Final = f"""
create schema kept_by_tests;
do $$ declare part record; filled boolean; begin
  for part in {_TABLES} loop
    execute format('select exists (select from %s)', part.name) into filled;
    if filled then execute format('create table kept_by_tests.%I as table %s', part.name, part.name); end if;
  end loop;
end $$
"""
_EMPTY: Final = f"""
do $$ declare part record; filled boolean; names text[] := '{{}}'; begin
  for part in {_TABLES} loop
    execute format('select exists (select from %s)', part.name) into filled;
    if filled then names := names || part.name; end if;
  end loop;
  if names <> '{{}}' then
    execute 'truncate ' || array_to_string(names, ', ') || ' restart identity cascade';
  end if;
  for part in select relname as name from pg_class
    where relnamespace = 'kept_by_tests'::regnamespace and relkind = 'r'
  loop
    execute format('insert into %s overriding system value select * from kept_by_tests.%I', part.name, part.name);
  end loop;
end $$
"""
_OTHERS_END: Final = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
# A test that changed tables leaves another shape than the one that it was lent: that record is not used again.
_SHAPE: Final = """
select string_agg(concat_ws(' ', c.oid, c.relkind, c.relnatts), ',' order by c.oid) from pg_class c
join pg_namespace n on n.oid = c.relnamespace where n.nspname not like 'pg\\_%'
"""


class Records:
    """Databases of one PostgreSQL, lent to one test at a time; a new one costs some tenths of a second."""

    def __init__(self, postgres: str) -> None:
        self._postgres = postgres
        self._numbers = count()
        self._free: dict[object, list[tuple[str, str]]] = {}

    @asynccontextmanager
    async def lent(self, migrations: Sequence[Migration], prepare: Prepare | None = None) -> AsyncIterator[str]:
        """URL of a record with these migrations and what `prepare(url)` adds, as if nobody had used it before."""
        kind = (tuple(migrations), prepare)
        free = self._free.setdefault(kind, [])
        url, shape = free.pop() if free else await self._made(migrations, prepare)
        try:
            yield url
        finally:
            if await self._emptied(url, shape):
                free.append((url, shape))
            else:
                await self._dropped(url)

    async def _made(self, migrations: Sequence[Migration], prepare: Prepare | None) -> tuple[str, str]:
        name = f"record_{next(self._numbers)}"
        connection = await asyncpg.connect(self._postgres)
        await connection.execute(f"create database {name}")
        await connection.close()
        url = self._postgres.removesuffix("crossdock") + name
        await migrate(url, migrations)
        if prepare is not None:
            await prepare(url)
        connection = await asyncpg.connect(url)
        await connection.execute(_KEEP)
        shape = await connection.fetchval(_SHAPE)
        await connection.close()
        return url, shape

    async def _emptied(self, url: str, shape: str) -> bool:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(_OTHERS_END)
            if await connection.fetchval(_SHAPE) != shape:
                return False
            await connection.execute(_EMPTY)
            return True
        finally:
            await connection.close()

    async def _dropped(self, url: str) -> None:
        connection = await asyncpg.connect(self._postgres)
        await connection.execute(f"drop database {url.rpartition('/')[2]} with (force)")
        await connection.close()


async def enqueue_now(connection, **turn):
    """One turn, enqueued by itself on a connection."""
    writes = Together()
    enqueue(writes, **turn)
    await writes.run(connection)
