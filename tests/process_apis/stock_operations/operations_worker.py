"""A worker process for tests that kill it: stock operations on DBOS, killed before or after what the plan says."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import asyncpg

from gateway.canonical.location import Location, LocationMap
from gateway.canonical.task import Pace
from gateway.durable.runtime import Durable
from gateway.kernel.clock import SystemClock
from gateway.outbound.door import Outbound
from gateway.store.postgres import Store
from gateway.systems.directory import Directory
from gateway.systems.loader import load_system
from process_apis.availability.process import Availability
from process_apis.items.process import Items
from process_apis.stock_operations.process import OperationTurns, StockOperations


class Deaths:
    """Each file of the folder is a death to come; whoever takes it away dies there and then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def due(self, seam: str) -> None:
        try:
            (self._folder / seam).unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def deadly(inner, deaths, seam):
    """A call that dies before it is made, or once it was answered."""

    async def call(*args, **named):
        deaths.due(f"{seam}-before")
        answer = await inner(*args, **named)
        deaths.due(f"{seam}-after")
        return answer

    return call


async def main(url: str, told: dict) -> None:
    deaths = Deaths(Path(told["deaths"]))
    store, clock = Store(url, size=8), SystemClock()
    await store.open()
    places = [Location(**each) for each in told["places"]]
    locations = LocationMap({told["tenant"]: places})
    items = Items(store, clock)
    availability = Availability(store=store, cache=None, items=items, locations=locations, clock=clock)
    async with Outbound() as outbound:
        system = load_system("wms", "regional_wms", told["wms"], outbound=outbound, clock=clock)
        for name in ("release_transfer", "cancel_transfer", "change_status", "post_count"):
            setattr(system.adapter, name, deadly(getattr(system.adapter, name), deaths, name))
        availability.record = deadly(availability.record, deaths, "record")
        operations = StockOperations(
            store, clock, items=items, locations=locations, claims=availability, records=availability,
            positions=availability, lots=availability, warehouses=Directory([system], places, tenant=told["tenant"]),
            turning=OperationTurns(
                pace=Pace(first_retry=0.05, settle=0.2), call_timeout=20, poll=0.05, overdue_after=2
            ),
        )  # fmt: skip
        _die_at_commits(deaths)
        durable = Durable(url, workflows=operations.workflows(), queues=operations.queues(), grace=0.5, watch=0.2)
        await durable.start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            await operations.sweep()
            await asyncio.sleep(0.3)


def _die_at_commits(deaths: Deaths) -> None:
    """Before and after each commit of a turn, as many as the plan has: `commit-before-1`, `commit-before-2`, ..."""
    commit = asyncpg.transaction.Transaction._Transaction__commit
    count = 0

    async def deadly_commit(self):
        nonlocal count
        count += 1
        deaths.due(f"commit-before-{count}")
        await commit(self)
        deaths.due(f"commit-after-{count}")

    asyncpg.transaction.Transaction._Transaction__commit = deadly_commit


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
