import asyncio
from pathlib import Path

import pytest

from gateway.durable.runtime import Durable, Workflow, WorkQueue
from gateway.durable.schema import migrate_durable
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
