"""A worker process for tests that kill it: order to ship on DBOS, with stand-ins that really kill it where planned."""

import asyncio
import signal
import sys

import order_fakes as fakes

from gateway.durable.runtime import Durable
from gateway.durable.workers import Standing
from gateway.kernel.clock import SystemClock
from gateway.store.postgres import Store
from process_apis.order_to_ship.outcomes import Pace
from process_apis.order_to_ship.process import Options, OrderToShip


async def until_drained(durable):
    while durable.standing is not Standing.DONE:
        await durable.leaves(durable.standing)


async def main(url: str) -> None:
    store = Store(url, size=20)
    await store.open()
    seams = fakes.Seams(url, really_kill=True)
    await seams.open()
    process = OrderToShip(
        store, SystemClock(), items=fakes.Items(), claims=fakes.Claims(), systems=fakes.Systems(seams),
        options=Options(pace=Pace(first_retry=0.05, settle=0.2), call_timeout=10, poll=0.05),
    )  # fmt: skip
    durable = Durable(url, workflows=process.workflows(), queues=process.queues(), grace=0.5, watch=0.2)
    await durable.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write(f"{durable.executor_id}\n")
    sys.stdout.flush()
    ends = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(until_drained(durable))]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    await durable.stop(drain=3)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
