"""The connection that holds the leases may fail in any way: another one takes its place."""

import asyncio

import asyncpg
import pytest

from gateway.backbone import leases
from gateway.backbone.leases import Leases


class Connection:
    """Holds what is asked for, or fails once it is asked."""

    def __init__(self, failure):
        self._failure = failure
        self.ended = False

    def add_termination_listener(self, _):
        pass

    def is_closed(self):
        return self.ended

    def terminate(self):
        self.ended = True

    async def fetch(self, _, missing, **__):
        if self._failure is not None:
            raise self._failure
        return [{"name": name} for name in missing]


@pytest.mark.parametrize(
    "failure",
    [
        OSError("gone"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_whatever_the_connection_fails_with_the_next_one_holds_the_lease(monkeypatch, failure):
    made = []

    async def connect(*_, **__):
        made.append(Connection(failure if not made else None))
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
