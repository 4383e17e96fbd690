"""The fixtures that everybody stands on."""

import asyncpg
import nats
import pytest
import redis.asyncio as redis

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("attempt", [1, 2])
async def test_every_test_gets_an_empty_database(database, attempt):
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.execute("CREATE TABLE left_behind (id int)")
    await connection.close()


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
