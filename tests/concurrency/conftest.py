"""One small distributor, processes that act on it, and a checker that knows only its tables."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store
from tests.records import Records

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location(
    "world_of_claims", HERE.parent / "process_apis" / "availability" / "conftest.py"
)
_module = importlib.util.module_from_spec(_spec)
sys.modules["world_of_claims"] = _module
_spec.loader.exec_module(_module)


class Processes:
    """Groups of processes on the record at `url`, started one group after the other."""

    def __init__(self, running, url):
        self._running, self.url = running, url

    async def side_by_side(self, *plans):
        """Carry out `plans` at once; what each process answered, and how it ended."""
        self._running.stdin.write(json.dumps(plans).encode() + b"\n")
        await self._running.stdin.drain()
        line = await asyncio.wait_for(self._running.stdout.readline(), 240)
        assert line, "the processes are gone: see the output above"
        return json.loads(line)

    async def until_done(self, *plans):
        """Carry out `plans`; whoever is killed is started again, and every command delivered again, until all end."""
        alive, ended = list(range(len(plans))), {}
        plans = [dict(plan, deaths=list(plan.get("deaths", ()))) for plan in plans]
        deaths = 0
        while alive:
            todo = [dict(plans[n], die=plans[n]["deaths"].pop(0) if plans[n]["deaths"] else None) for n in alive]
            for number, result in zip(list(alive), await self.side_by_side(*todo), strict=True):
                deaths += result["killed"]
                if not result["killed"]:
                    assert result["code"] == 0
                    ended[number] = result
                    alive.remove(number)
        return [ended[number] for number in range(len(plans))], deaths

    async def wrong(self):
        """What the checker finds, run as the script that it is."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(HERE / "checker.py"), self.url, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(process.communicate(), 120)
        return json.loads(out)["wrong"]


@pytest.fixture
async def record_url(records: Records) -> AsyncIterator[str]:
    async with records.lent(find_migrations(_module.FOLDERS)) as url:
        yield url


@pytest.fixture
async def world(record_url: str) -> AsyncIterator[object]:
    """See tests/process_apis/availability/conftest.py."""
    store = Store(record_url, size=4)
    await store.open()
    made = _module.World(store, record_url)
    await made.fill()
    yield made
    await store.close()


@contextlib.asynccontextmanager
async def processes_on(url: str) -> AsyncIterator[Processes]:
    """A process that has imported everything, to be forked."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "processes.py"), url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
    )  # fmt: skip
    yield Processes(running, url)
    running.stdin.close()
    await asyncio.wait_for(running.wait(), 60)


@pytest.fixture
async def processes(world) -> AsyncIterator[Processes]:
    """On the record of `world`."""
    async with processes_on(world.url) as made:
        yield made
