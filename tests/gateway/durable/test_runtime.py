import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.durable.runtime import Durable, Workflow, WorkQueue
from gateway.durable.schema import migrate_durable
from gateway.durable.shapes import CURRENT, Shape
from gateway.durable.slots import claim_slot
from gateway.durable.workers import Standing, registration, sql
from gateway.kernel.errors import Unavailable
from gateway.store.migrations import find_migrations, migrate

ROOT = Path(__file__).parents[3]
MIGRATIONS = find_migrations([ROOT / "gateway/store/migrations", ROOT / "gateway/durable/migrations"])
pytestmark = pytest.mark.integration


async def test_the_loop_still_has_threads_after_the_stop(database):
    await migrate(database, MIGRATIONS)
    await migrate_durable(database)

    async def run(number: str) -> None:
        raise Unavailable(number)

    durable = Durable(database, workflows=[Workflow("tests.idle", run)], queues=[WorkQueue(name="tests")])
    await durable.start()
    await durable.stop(drain=1)
    assert await asyncio.to_thread(lambda: "done") == "done"


@asynccontextmanager
async def draining(database, pinned):
    """A worker that is asked to drain, beside one of a later shape that does not succeed its own."""
    await migrate(database, MIGRATIONS)
    await migrate_durable(database)
    durable = Durable(database, workflows=[], queues=[], watch=0.05, on_lost=print, pinned=pinned)
    await durable.start()
    other = await claim_slot(database, on_lost=print)
    await other.fetch(sql.register, *registration(other.number, Shape(name="99"), [CURRENT.name]))
    try:
        await other.fetch(sql.ask_to_drain, 1)
        yield durable, other
    finally:
        await other.release()
        await durable.stop(drain=1)


async def stands(durable, standing):
    async with asyncio.timeout(30):
        while durable.standing is not standing:
            await durable.leaves(durable.standing)


async def test_a_worker_drains_only_when_nothing_of_its_shape_is_open_though_it_has_no_turn(database):
    asked, asked_often, is_open = [], asyncio.Event(), True

    async def pinned(shape):
        asked.append(shape)
        if len(asked) == 3:
            asked_often.set()
        return is_open

    async with draining(database, pinned) as (durable, _):
        await stands(durable, Standing.ASIDE)
        async with asyncio.timeout(30):
            await asked_often.wait()
        assert durable.standing is Standing.ASIDE
        assert set(asked) == {CURRENT.name}
        is_open = False
        await stands(durable, Standing.DONE)


async def test_a_worker_whose_shape_is_succeeded_does_not_wait_for_what_is_open(database):
    async def pinned(_shape):
        return True

    async with draining(database, pinned) as (durable, other):
        later = Shape(name="99", succeeds=(CURRENT.name,))
        await other.fetch(sql.register, *registration(other.number, later, [CURRENT.name]))
        await stands(durable, Standing.DONE)
