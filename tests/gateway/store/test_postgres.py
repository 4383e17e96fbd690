import asyncio
import contextlib
from datetime import date

import asyncpg
import pytest

from gateway.kernel.errors import CrossdockError, Misconfigured, Unavailable
from gateway.store.postgres import CommitUnknown, Store

pytestmark = pytest.mark.integration


async def test_a_transaction_commits_at_the_end_and_rolls_back_when_it_raises(store):
    await store.execute("create table t (n int)")
    async with store.transaction() as connection:
        await connection.execute("insert into t values (1)")
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is the transaction
        async with store.transaction() as connection:
            await connection.execute("insert into t values (2)")
            raise ZeroDivisionError
    assert [row["n"] for row in await store.fetch("select n from t")] == [1]


async def test_a_swallowed_statement_error_does_not_pass_for_a_commit(store):
    await store.execute("create table t (n int primary key)")
    with pytest.raises(CrossdockError) as caught:  # noqa: PT012 - the block is the transaction
        async with store.transaction() as connection:
            await connection.execute("insert into t values (1)")
            with contextlib.suppress(asyncpg.UniqueViolationError):
                await connection.execute("insert into t values (1)")
    assert caught.value.code == "store.rolled_back"
    assert await store.fetchval("select count(*) from t") == 0


async def test_a_failed_savepoint_leaves_the_transaction_usable(store):
    await store.execute("create table t (n int primary key)")
    async with store.transaction() as connection:
        await connection.execute("insert into t values (1)")
        with pytest.raises(asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute("insert into t values (1)")
    assert await store.fetchval("select count(*) from t") == 1


async def test_a_deadlock_says_that_nothing_was_committed(store):
    await store.execute("create table t (n int primary key, v int); insert into t values (1, 0), (2, 0)")
    locked = asyncio.Barrier(2)

    async def swap(first, second):
        async with store.transaction() as connection:
            await connection.execute("update t set v = v + 1 where n = $1", first)
            await locked.wait()
            await connection.execute("update t set v = v + 1 where n = $1", second)

    results = await asyncio.gather(swap(1, 2), swap(2, 1), return_exceptions=True)
    failed = [result for result in results if result is not None]
    assert len(failed) == 1
    assert isinstance(failed[0], Unavailable)
    assert failed[0].code == "store.contended"


async def test_a_mistake_of_ours_is_not_disguised_as_an_outage(store):
    with pytest.raises(asyncpg.DataError):
        await store.fetchval("select $1::int", "not a number")


async def test_a_connection_killed_in_mid_transaction_is_unavailable_and_the_pool_recovers(store):
    with pytest.raises(Unavailable) as caught:  # noqa: PT012 - the block is the transaction
        async with store.transaction() as connection:
            pid = await connection.fetchval("select pg_backend_pid()")
            await store.execute("select pg_terminate_backend($1, 5000)", pid)
            await connection.execute("select 1")
    assert not isinstance(caught.value, CommitUnknown)
    assert await store.fetchval("select 1") == 1


async def test_a_connection_lost_at_the_commit_is_an_unknown_outcome(store):
    with pytest.raises(CommitUnknown):  # noqa: PT012 - the block is the transaction
        async with store.transaction() as connection:
            pid = await connection.fetchval("select pg_backend_pid()")
            await store.execute("select pg_terminate_backend($1, 5000)", pid)


async def test_a_transaction_as_a_whole_is_capped(store):
    async with store.connection() as connection:
        assert await connection.fetchval("show transaction_timeout") == "30s"
        assert await connection.fetchval("show idle_in_transaction_session_timeout") == "10s"


async def test_after_a_commit_the_hints_run_and_after_a_rollback_they_do_not(store):
    hints = []
    store.after_commit.append(lambda: hints.append(1))
    async with store.transaction():
        pass
    with pytest.raises(ZeroDivisionError):
        async with store.transaction():
            raise ZeroDivisionError
    assert hints == [1]


async def test_a_wrong_password_refuses_to_start_and_a_dead_server_is_unavailable(database):
    user, _, rest = database.partition("@")
    wrong = Store(f"{user.rpartition(':')[0]}:wrong-password@{rest}")
    with pytest.raises(Misconfigured) as caught:
        await wrong.open()
    assert "wrong-password" not in caught.value.detail
    with pytest.raises(Unavailable):
        await Store("postgresql://a:b@127.0.0.1:1/x").open()


async def test_a_store_that_is_not_open_is_unavailable():
    with pytest.raises(Unavailable):
        await Store("postgresql://a:b@127.0.0.1:1/x").fetchval("select 1")


async def test_a_connection_cut_in_the_middle_of_an_answer_is_replaced(store):
    async with store.connection() as cut:
        confused = await cut.fetchval("select pg_backend_pid()")
    with pytest.raises(Unavailable) as caught:
        async with store.connection():
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    assert caught.value.code == "store.unavailable"
    assert await store.fetchval("select pg_backend_pid()") != confused


async def test_a_connection_that_goes_while_it_is_given_back_fails_nobody(store, monkeypatch):
    async with store.connection() as connection:
        assert await connection.fetchval("select 1") == 1
        # as when the server dies between the pool's look at the connection and its release
        monkeypatch.setattr(type(connection._con), "_on_release", lambda gone, **_: gone.terminate())
    monkeypatch.undo()
    assert await store.fetchval("select 2") == 2


@pytest.mark.parametrize("day", [date.min, date(2028, 2, 29), date.max])
async def test_every_date_is_kept_as_the_date_it_is(store, day):
    row = await store.fetchrow("select $1::date as day, ($1::date)::text as text, $2::date[] as days", day, [day, None])
    assert tuple(row) == (day, day.isoformat(), [day, None])


@pytest.mark.parametrize(("text", "day"), [("infinity", date.max), ("-infinity", date.min)])
async def test_what_was_kept_as_infinity_is_read_as_the_last_date(store, text, day):
    assert await store.fetchval(f"select '{text}'::date") == day


async def test_what_the_servers_own_types_are_is_asked_once_and_not_of_every_connection(store):
    async def asked_by_a_new_connection():
        seen = []
        fresh = Store(store.url, size=1)
        await fresh.open()
        try:
            async with fresh.connection() as connection:
                connection.add_query_logger(lambda query: seen.append(query.query))
                assert await connection.fetchval("select $1::smallint[]", [1, 2]) == [1, 2]
        finally:
            await fresh.close()
        return sum("typeinfo_tree" in query for query in seen)

    await asked_by_a_new_connection()
    assert await asked_by_a_new_connection() == 0


async def test_types_that_one_record_made_for_itself_are_asked_for_by_every_connection(store):
    await store.execute("create type mood as enum ('calm', 'busy')")
    for _ in range(2):
        fresh = Store(store.url, size=1)
        await fresh.open()
        try:
            assert await fresh.fetchval("select $1::mood[]", ["calm"]) == ["calm"]
        finally:
            await fresh.close()
