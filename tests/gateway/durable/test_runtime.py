import asyncio

import pytest

from gateway.durable.runtime import Durable, Workflow, WorkQueue
from gateway.durable.schema import migrate_durable
from gateway.kernel.errors import Unavailable

pytestmark = pytest.mark.integration


async def test_the_loop_still_has_threads_after_the_stop(database):
    await migrate_durable(database)

    async def run(number: str) -> None:
        raise Unavailable(number)

    durable = Durable(database, workflows=[Workflow("tests.idle", run)], queues=[WorkQueue(name="tests")])
    await durable.start()
    await durable.stop(drain=1)
    assert await asyncio.to_thread(lambda: "done") == "done"
