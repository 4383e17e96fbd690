import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from gateway.durable.retention import prune_workflows
from gateway.durable.schema import migrate_durable
from gateway.store.migrations import find_migrations, migrate
from tests.records import enqueue_now

ROOT = Path(__file__).parents[3]
MIGRATIONS = find_migrations([ROOT / "gateway/store/migrations", ROOT / "gateway/durable/migrations"])
pytestmark = pytest.mark.integration
_WORKER = Path(__file__).with_name("counting_worker.py")


@asynccontextmanager
async def worker(url, *, seconds=0.0, grace=0.5, drain=60.0):
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_WORKER), url, str(seconds), str(grace), str(drain),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    try:
        name = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        yield process, name
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def record(database):
    await migrate(database, MIGRATIONS)
    await migrate_durable(database)
    connection = await asyncpg.connect(database)
    await connection.execute("create table trace (key text, what text)")
    yield connection
    await connection.close()


async def enqueue_many(connection, keys, **options):
    async with connection.transaction():
        for key in keys:
            await enqueue_now(connection, workflow="count", workflow_id=key, args=[key, 1], queue="counting", **options)


async def until(connection, query, wanted, seconds=60):
    seen = None
    for _ in range(int(seconds / 0.05)):
        seen = await connection.fetchval(query)
        if seen == wanted:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{query} gave {seen!r}, never {wanted!r}")


_DONE = "select count(distinct key) from trace where what = 'done'"
_BEGUN = "select count(distinct key) from trace where what = 'begun'"
_LEFT = "select count(*) from dbos.workflow_status where status <> 'SUCCESS'"


async def test_a_rolled_back_transaction_enqueues_nothing_and_an_id_runs_once(record, database):
    transaction = record.transaction()
    await transaction.start()
    await enqueue_now(record, workflow="count", workflow_id="never", args=["never"], queue="counting")
    await transaction.rollback()
    await enqueue_many(record, ["a", "a", "b"])
    async with worker(database):
        await until(record, _DONE, 2)
        await enqueue_many(record, ["a"])
        await enqueue_many(record, ["c"])
        await until(record, _DONE, 3)
    assert await record.fetchval("select count(*) from trace where what = 'begun'") == 3


async def test_a_killed_workers_work_is_finished_by_the_survivor(record, database):
    async with worker(database, seconds=60) as (doomed, doomed_name):
        await enqueue_many(record, [f"k{i}" for i in range(12)])
        await until(record, _BEGUN, 12)
        async with worker(database) as (_, survivor_name):
            assert (doomed_name, survivor_name) == ("slot-1", "slot-2")
            doomed.send_signal(signal.SIGKILL)
            await until(record, _DONE, 12)
            await until(record, _LEFT, 0)
    begun = await record.fetchval("select count(*) from trace where what = 'begun'")
    assert begun == 24, "the survivor runs each of them once more"


async def test_the_next_worker_to_claim_the_slot_resumes_its_work(record, database):
    async with worker(database, seconds=60) as (doomed, _):
        await enqueue_many(record, ["x", "y"])
        await until(record, _BEGUN, 2)
        doomed.send_signal(signal.SIGKILL)
        await doomed.wait()
    async with worker(database, grace=60) as (_, name):
        assert name == "slot-1"
        await until(record, _DONE, 2)


async def test_a_live_workers_work_is_left_alone(record, database):
    async with worker(database, seconds=2.5):
        await enqueue_many(record, ["slow"])
        await until(record, _BEGUN, 1)
        async with worker(database, grace=0.1):
            await until(record, _DONE, 1)
            await until(record, _LEFT, 0)
    assert await record.fetchval("select count(*) from trace where what = 'begun'") == 1


async def test_a_stopped_worker_finishes_or_hands_over(record, database):
    async with worker(database, seconds=1.0) as (stopping, _):
        await enqueue_many(record, ["short"])
        await until(record, _BEGUN, 1)
        stopping.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(stopping.wait(), 60) == 0
        assert await record.fetchval(_DONE) == 1
    async with worker(database, seconds=300, drain=0.5) as (stopping, _):
        await enqueue_many(record, ["long"])
        await until(record, _BEGUN, 2)
        stopping.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(stopping.wait(), 60) == 0
    async with worker(database):
        await until(record, _DONE, 2)
        await until(record, _LEFT, 0)


async def test_losing_postgresql_ends_the_worker(record, database):
    async with worker(database) as (process, _):
        await record.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'crossdock-slot'"
            " and datname = current_database()"
        )
        assert await asyncio.wait_for(process.wait(), 60) == 70


async def test_a_delayed_turn_waits(record, database):
    await enqueue_many(record, ["later"], delay=1.0)
    status = "select status from dbos.workflow_status where workflow_uuid = 'later'"
    assert await record.fetchval(status) == "DELAYED"
    async with worker(database):
        await until(record, _DONE, 1)


async def test_migrating_from_several_processes_at_once_ends_in_one_schema(database):
    await asyncio.gather(*(migrate_durable(database) for _ in range(4)))
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("select count(*) from pg_proc where proname = 'enqueue_workflow'") == 1
    await connection.close()


async def test_ended_workflows_are_pruned_when_they_are_old_and_waiting_ones_never(record, database):
    await enqueue_many(record, ["done-1", "done-2"])
    async with worker(database):
        await until(record, _LEFT, 0)
    await enqueue_many(record, ["waiting"])
    assert await prune_workflows(record, older_than=timedelta(hours=1)) == 0
    assert await prune_workflows(record, older_than=timedelta(0), limit=1) == 1
    assert await prune_workflows(record, older_than=timedelta(0)) == 1
    assert [row["workflow_uuid"] for row in await record.fetch("select * from dbos.workflow_status")] == ["waiting"]
    assert await record.fetchval("select count(*) from dbos.workflow_input") == 1
