import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.durable.schema import migrate_durable
from gateway.durable.shapes import Shape
from gateway.durable.slots import claim_slot
from gateway.durable.worker_figures import worker_families
from gateway.durable.workers import (
    LiveWorker,
    ask_to_drain,
    is_aside,
    list_shapes,
    list_turns,
    list_workers,
    others_run,
    registration,
    sql,
)
from gateway.kernel.errors import Conflict, NotFound
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from tests.records import enqueue_now

ROOT = Path(__file__).parents[3]
MIGRATIONS = find_migrations([ROOT / "gateway/store/migrations", ROOT / "gateway/durable/migrations"])
ONE, TWO = Shape(name="1"), Shape(name="2", succeeds=("1",))


pytestmark = pytest.mark.integration


@pytest.fixture
async def store(database):
    await migrate(database, MIGRATIONS)
    await migrate_durable(database)
    store = Store(database, size=2)
    await store.open()
    yield store
    await store.close()


@asynccontextmanager
async def at_work(database, shape, *earlier, registered=True):
    slot = await claim_slot(database, on_lost=print)
    if registered:
        await slot.fetch(sql.register, *registration(slot.number, shape, earlier))
    try:
        yield slot
    finally:
        await slot.release()


async def test_who_holds_a_slot_is_told_with_what_it_runs_and_who_let_go_is_not(store, database):
    async with at_work(database, ONE), store.connection() as connection:
        async with at_work(database, TWO, "1"):
            lines = await list_workers(connection)
            assert [(each.worker.slot, each.worker.shape, each.standing) for each in lines] == [
                (1, "1", "aside"),
                (2, "2", "at work"),
            ]
            assert all(each.worker.release and each.worker.host and each.worker.pid for each in lines)
        assert [(each.worker.slot, each.standing) for each in await list_workers(connection)] == [(1, "at work")]


async def test_turns_of_a_shape_that_nobody_runs_or_succeeds_are_told_as_left(store, database):
    async with store.transaction() as connection:
        for shape in ("1", "2", "3"):
            await enqueue_now(connection, workflow="w", workflow_id=shape, args=[], queue="q", shape=shape)
    async with at_work(database, TWO, "1"), store.connection() as connection:
        shapes = await list_shapes(connection)
        assert [(each.shape, each.waiting, each.workers, each.successors, each.is_left) for each in shapes] == [
            ("1", 1, 0, 1, False),
            ("2", 1, 1, 0, False),
            ("3", 1, 0, 0, True),
        ]
        figures = {family.name: family.series for family in await worker_families(store)}
        assert figures["crossdock_turns_left"] == [(("3",), 1.0)]


async def test_draining_is_asked_of_who_is_there_and_never_of_the_last_that_works_for_all(store, database):
    async with at_work(database, ONE) as slot, store.connection() as connection:
        with pytest.raises(NotFound, match="no worker holds slot 9; held are: 1"):
            await ask_to_drain(connection, 9)
        with pytest.raises(Conflict, match="start another one first") as last:
            await ask_to_drain(connection, slot.number)
        assert last.value.code == "worker.last"
        async with at_work(database, ONE, registered=False) as silent:
            with pytest.raises(Conflict, match="SIGTERM"):
                await ask_to_drain(connection, silent.number)
            assert (await ask_to_drain(connection, slot.number)).shape == "1"
            assert [each.worker.draining for each in await list_workers(connection)] == [True, False]


async def test_two_who_drain_at_once_leave_one_and_a_slot_that_changed_hands_is_told(store, database):
    async with at_work(database, ONE) as first, at_work(database, ONE) as second:
        async with store.transaction() as connection:
            found = await ask_to_drain(connection, first.number)
            other = asyncio.ensure_future(_drain(store, second.number))
            await asyncio.sleep(0)
        with pytest.raises(Conflict) as last:
            await other
        assert last.value.code == "worker.last"
        async with store.connection() as connection:
            with pytest.raises(Conflict) as changed:
                await ask_to_drain(connection, first.number, known=found.since - timedelta(seconds=1))
        assert changed.value.code == "worker.changed"


async def _drain(store, slot):
    async with store.transaction() as connection:
        await ask_to_drain(connection, slot)


async def test_what_each_worker_is_at_is_told_by_its_slot_the_eldest_first(store, database):
    async with at_work(database, ONE) as slot, store.connection() as connection:
        for number in range(3):
            await enqueue_now(connection, workflow="w", workflow_id=f"ord_{number}:1", args=[], queue="q", shape="1")
        await connection.execute(
            "update dbos.workflow_status set status = 'PENDING', executor_id = 'slot-1',"
            " started_at_epoch_ms = 1000 * (10 - right(split_part(workflow_uuid, ':', 1), 1)::int)"
        )
        turns = await list_turns(connection, 2)
        assert {number: [turn.subject for turn in each] for number, each in turns.items()} == {
            slot.number: ["ord_2", "ord_1"]
        }


def test_a_worker_stands_aside_for_later_shapes_and_while_it_drains():
    old, new = LiveWorker(slot=1, shape="1"), LiveWorker(slot=2, shape="2", earlier=("1",))
    twin = LiveWorker(slot=3, shape="1", draining=True)
    assert is_aside(old, [old, new])
    assert not is_aside(new, [old, new])
    assert not is_aside(old, [old])
    assert is_aside(twin, [twin])
    assert others_run(twin, [old, twin])
    assert not others_run(old, [old, new, twin])
