"""The fixtures that everybody stands on."""

from pathlib import Path

import asyncpg
import nats
import pytest
import redis.asyncio as redis

import gateway.store
from gateway.store.migrations import find_migrations

MIGRATIONS = find_migrations([Path(gateway.store.__file__).parent / "migrations"])
pytestmark = pytest.mark.integration


@pytest.mark.parametrize("attempt", [1, 2])
async def test_every_test_gets_an_empty_database(database, attempt):
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.execute("CREATE TABLE left_behind (id int)")
    await connection.close()


@pytest.fixture
async def record_url(records):
    async with records.lent(MIGRATIONS) as url:
        yield url


@pytest.mark.parametrize(("before", "alters"), [(0, False), (1, True), (2, False)])
async def test_a_record_that_was_used_is_as_new(record_url, before, alters):
    connection = await asyncpg.connect(record_url)
    assert await connection.fetchval("select count(*) from store.event") == 0
    assert await connection.fetchval("select count(*) from store.migration") == len(MIGRATIONS)
    assert await connection.fetchval("select count(*) from store.installation") == 1
    assert await connection.fetchval("select to_regclass('store.left_behind')") is None
    written = "insert into store.audit (tenant, actor, action, subject, outcome, correlation_id) "
    written += "values ('a', 'b', 'c', 'd', 'e', 'f')"
    await connection.execute(written)
    assert await connection.fetchval("select array_agg(id) from store.audit") == [1]
    if alters:
        await connection.execute("create table store.left_behind (id int)")
    await connection.execute("begin; lock table store.audit")  # a lock that somebody who died still holds
    connection.terminate()


@pytest.mark.parametrize("attempt", [1, 2])
async def test_streams_left_behind_are_gone_in_the_next_test(nats_url, attempt):
    client = await nats.connect(nats_url)
    jetstream = client.jetstream()
    assert await jetstream.streams_info() == []
    await jetstream.add_stream(name="left_behind", subjects=["left"])
    await client.close()


@pytest.mark.parametrize("attempt", range(16))
async def test_every_test_gets_an_empty_valkey(valkey_url, attempt):
    client = redis.Redis.from_url(valkey_url)
    assert await client.dbsize() == 0
    await client.set("left", "behind")
    await client.aclose()
