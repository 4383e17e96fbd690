"""Workers killed before and after every call to the warehouse and every commit of a turn lose and double nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from msgspec import to_builtins

from process_apis.stock_operations.models import TransferState
from tests.process_apis.stock_operations.conftest import World
from tests.process_apis.stock_operations.test_restating import ask as ask_change

pytestmark = [pytest.mark.integration, pytest.mark.long]
WORKER = Path(__file__).with_name("operations_worker.py")
ROOT = Path(__file__).parents[3]
COMMITS = [f"commit-{side}-{number}" for number in range(1, 9) for side in ("before", "after")]


class Workers:
    """One worker at a time, begun again whenever it was killed, until something holds."""

    def __init__(self, world: World, deaths: Path) -> None:
        self.world = world
        self.deaths = deaths
        self.died = 0
        self.told = {
            "tenant": world.tenant,
            "deaths": str(deaths),
            "wms": world.wms.settings(),
            "places": to_builtins(world.places),
        }

    async def until(self, holds) -> None:
        process = await self._start()
        try:
            async with asyncio.timeout(200):
                while not await holds():
                    if process.returncode is not None:
                        self.died += 1
                        process = await self._start()
                    await asyncio.sleep(0.1)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _start(self):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), self.world.store.url, json.dumps(self.told), stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        await asyncio.wait_for(process.stdout.readline(), 60)
        return process


@pytest.fixture
def workers(world, tmp_path):
    return Workers(world, tmp_path)


@pytest.mark.parametrize("seam", ["release_transfer-before", "release_transfer-after", "record-before", "record-after"])
async def test_a_transfer_is_released_once_wherever_its_worker_dies(workers, seam):
    world = workers.world
    (workers.deaths / seam).touch()
    planned = await world.plan("a", 5, release=True)

    async def released():
        return (await world.transfer(planned.transfer)).state is TransferState.RELEASED

    await workers.until(released)
    assert workers.died == 1
    assert len(await world.orders(planned.transfer)) == 1
    assert len(await world.told("stock.transfer.released")) == 1
    [(supply, _, _)] = await world.availability.supply(world.tenant, [world.item])
    assert (supply.ordered, (await world.line())["allocated"]) == (5, 5)


@pytest.mark.parametrize("seam", ["cancel_transfer-before", "cancel_transfer-after"])
async def test_a_cancel_ends_with_nothing_held_wherever_its_worker_dies(workers, seam):
    world = workers.world
    planned = await world.plan("a", 5, release=True)
    await world.work(planned.transfer)
    (workers.deaths / seam).touch()
    await world.operations.transfers.cancel(world.caller(), planned.transfer, reason="not needed")

    async def cancelled():
        return (await world.transfer(planned.transfer)).state is TransferState.CANCELLED

    await workers.until(cancelled)
    assert workers.died == 1
    assert [order["status"] for order in await world.orders(planned.transfer)] == ["CANCELLED"]
    assert (await world.line())["allocated"] == 0


@pytest.mark.parametrize("seam", ["change_status-before", "change_status-after"])
async def test_a_hold_is_made_once_wherever_its_worker_dies(workers, seam):
    world = workers.world
    (workers.deaths / seam).touch()
    held = await ask_change(world, amount=4)

    async def made():
        return (await world.operations.changes.get(world.tenant, held.change)).state != "requested"

    await workers.until(made)
    assert workers.died == 1
    await world.listen()
    assert await world.buckets() == {"sellable": 16, "quality_hold": 4}
    back = await ask_change(world, action="b", kind="release", amount=4)
    await world.work(back.change)


async def test_killed_at_every_commit_of_its_turns_a_transfer_is_still_released_once(workers):
    world = workers.world
    for seam in COMMITS:
        (workers.deaths / seam).touch()
    planned = await world.plan("a", 5, release=True)

    async def released():
        return (await world.transfer(planned.transfer)).state is TransferState.RELEASED

    await workers.until(released)
    assert workers.died > 3
    assert len(await world.orders(planned.transfer)) == 1
    assert len(await world.told("stock.transfer.released")) == 1
    assert (await world.line())["allocated"] == 5
