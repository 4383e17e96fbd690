"""A worker in a process of its own, for tests that kill it: a turn writes `begun`, waits, and writes `done`."""

import asyncio
import signal
import sys

from gateway.durable.runtime import Durable, Workflow, WorkQueue
from gateway.store.postgres import Store


async def main(url: str, seconds: float, grace: float, drain: float) -> None:
    store = Store(url)
    await store.open()

    async def count(key: str, *_: int) -> None:
        await store.execute("insert into trace (key, what) values ($1, 'begun')", key)
        await asyncio.sleep(seconds)
        await store.execute("insert into trace (key, what) values ($1, 'done')", key)

    queue = WorkQueue(name="counting", poll=0.05)
    durable = Durable(url, workflows=[Workflow("count", count)], queues=[queue], grace=grace, watch=0.2)
    await durable.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write(f"{durable.executor_id}\n")
    sys.stdout.flush()
    await stop.wait()
    await durable.stop(drain=drain)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(float, sys.argv[2:5])))
