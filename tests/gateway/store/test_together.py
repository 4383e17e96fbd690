import pytest

from gateway.store.together import Together

from .conftest import event

pytestmark = pytest.mark.integration


async def test_what_is_gathered_runs_as_one_statement_and_answers_by_statement(store):
    writes = Together()
    first = "insert into one select * from unnest($1::int[]) returning *"
    second = "insert into two (id, note) select * from unnest($1::int[], $2::text[]) returning id"
    async with store.transaction() as connection:
        await connection.execute("create temporary table one (id int) on commit drop")
        await connection.execute("create temporary table two (id int, note text) on commit drop")
        writes.add(first, [1, 2])
        writes.row(second, 7, "a", returning="id")
        writes.row(second, 8, "b", returning="id")
        writes.tell([event(version=1), event(version=2)])
        results = await writes.run(connection)
        assert await connection.fetchval("select array_agg(id order by id) from one") == [1, 2]
        assert await connection.fetchval("select array_agg(note order by id) from two") == ["a", "b"]
    assert sorted(results[second]) == [7, 8]
    assert await store.fetchval("select array_agg(aggregate_version order by id) from store.event") == [1, 2]


async def test_nothing_gathered_asks_nothing(store):
    async with store.transaction() as connection:
        assert await Together().run(connection) == {}
