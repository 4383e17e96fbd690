"""The record itself dies under several processes, or one of them freezes with its locks in hand: nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from gateway.engines import Engines
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store

from .conftest import _module as stock_world
from .conftest import processes_on

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]

DAY = 86_400


def orders_of(buyer, number):
    """Bought, kept, shipped, given back: what is left of each order is known."""
    commands = []
    for turn in range(number):
        order = f"o-{buyer}-{turn}"
        named = {"order": order, "action": f"r-{order}"}
        commands += [
            {"do": "reserve", **named, "lines": [["A", 2], ["B", 1]], "expires_in": DAY},
            {"do": "allocate", "order": order, "action": f"a-{order}"},
            {"do": "move", "event": f"p-{order}", "kind": "shipment_confirmed", "amount": 2, "order": order},
            {"do": "release", "order": order, "action": f"x-{order}", "lines": [2]},
        ]
    return commands


@pytest.fixture
async def own(tmp_path):
    engines = Engines(tmp_path / "engines")
    await engines.start()
    yield engines
    await engines.stop()


@pytest.fixture
async def mortal_world(own):
    url = own.urls.postgres
    await migrate(url, find_migrations(stock_world.FOLDERS))
    store = Store(url, size=4)
    await store.open()
    world = stock_world.World(store, url)
    await world.fill()
    for sku in "AB":
        await world.stock(sku, 1_000)
    yield world
    await store.close()


async def books(world):
    rows = await world.store.fetch(
        "select state, sum(amount)::int, sum(consumed)::int, sum(released)::int, count(*)"
        " from availability.claim group by 1 order by 1"
    )
    return [tuple(row) for row in rows]


async def ask(world, query):
    """An answer once the record is back."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await world.store.fetchval(query)
            except Exception:  # noqa: BLE001 - it is away in any of the ways there are
                await asyncio.sleep(0.1)


async def test_a_record_killed_under_several_processes_has_lost_and_doubled_nothing(own, mortal_world):
    number = 40
    plans = [{"commands": orders_of(name, number), "deaths": [["during", 25]]} for name in "abc"]
    async with processes_on(own.urls.postgres) as processes:
        fighting = asyncio.ensure_future(processes.until_done(*plans))
        for part in (10, 40, 80):
            counted = f"select count(*) >= {part} from availability.action"
            async with asyncio.timeout(120):
                while not await ask(mortal_world, counted):  # noqa: ASYNC110 - bounded
                    await asyncio.sleep(0.02)
            if part == 40:  # as `pg_ctl stop -m immediate`: its watcher starts it again
                os.kill(own.status()["postgres"].pid, signal.SIGQUIT)
            else:
                await own.kill("postgres")
                await own.restart("postgres")
        ended, deaths = await fighting
        assert deaths == 3
        answers = [answer for each in ended for answer in each["answers"].values()]
        assert [answer for answer in answers if str(answer).startswith("failed")] == []
        wrong = await processes.wrong()
        assert wrong == {}, wrong
    assert await ask(mortal_world, "select 1") == 1
    # Of each order two A are used up, and one B was given back.
    assert await books(mortal_world) == [
        ("fulfilled", 6 * number, 6 * number, 0, 3 * number),
        ("released", 3 * number, 0, 3 * number, 3 * number),
    ]


async def test_a_process_that_freezes_with_its_locks_in_hand_holds_up_nobody_for_long(world, processes):
    for sku in "AB":
        await world.stock(sku, 100)
    frozen = {"commands": orders_of("frozen", 2), "die": ["stopped", 3]}
    others = [{"commands": orders_of(name, 4)} for name in "ab"]
    stopped, *ended = await processes.side_by_side(frozen, *others)
    assert [each["code"] for each in ended] == [0, 0]
    assert stopped["code"] == 0, "it wakes up, finds its transaction gone, and begins again"
    answers = [answer for each in (stopped, *ended) for answer in each["answers"].values()]
    assert [answer for answer in answers if str(answer).startswith("failed")] == []
    assert await books(world) == [("fulfilled", 20, 20, 0, 10), ("released", 10, 0, 10, 10)]
    wrong = await processes.wrong()
    assert wrong == {}, wrong
