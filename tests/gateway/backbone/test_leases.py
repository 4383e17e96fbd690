"""The connection that holds the leases may fail in any way: another one takes its place."""

import asyncio

import asyncpg

from gateway.backbone import leases
from gateway.backbone.leases import Leases
from tests.failing_connections import FailingConnection, each_failure


@each_failure
async def test_whatever_the_connection_fails_with_the_next_one_holds_the_lease(monkeypatch, failure):
    made = []

    async def connect(*_, **__):
        made.append(FailingConnection(failure if not made else None))
        return made[-1]

    monkeypatch.setattr(asyncpg, "connect", connect)
    monkeypatch.setattr(leases, "_BEAT_S", 0.01)
    held, worked = Leases("postgresql://nowhere"), asyncio.Event()

    async def work():
        worked.set()
        await asyncio.sleep(60)

    running = [asyncio.create_task(held.run()), asyncio.create_task(held.while_held("keeper", work))]
    async with asyncio.timeout(10):
        await worked.wait()
    assert [each.ended for each in made] == [True, False]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
