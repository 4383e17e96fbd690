"""Commands of several processes at once: however they meet, each has its effect once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import asyncpg
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DAY = 86_400


def reserve(order, *lines, action=None, **more):
    return {"do": "reserve", "action": action or f"reserve-{order}", "order": order, "lines": list(lines), **more}


def verb(name, order, number=0, **more):
    return {"do": name, "action": f"{name}-{order}-{number}", "order": order, **more}


def answers_of(results):
    assert [each["code"] for each in results] == [0] * len(results)
    found = [answer for each in results for answer in each["answers"].values()]
    assert [answer for answer in found if str(answer).startswith("failed")] == []
    return found


async def test_of_many_buyers_on_several_processes_as_many_win_as_there_are_units(world, processes):
    await world.stock("A", 20)
    plans = [
        {"commands": [reserve(f"ord_{process}_{buyer}", ["A", 1]) for buyer in range(40)], "width": 40}
        for process in range(3)
    ]
    won = Counter(isinstance(answer, list) for answer in answers_of(await processes.side_by_side(*plans)))
    assert won == {True: 20, False: 100}
    assert (await world.figures())["reserved"] == 20
    assert await processes.wrong() == {}


async def test_each_command_delivered_ten_times_in_parallel_has_one_effect(world, processes):
    await world.stock("A", 1_000)
    orders = [f"ord_{number}" for number in range(4)]
    steps = [
        [reserve(order, ["A", 5], expires_in=DAY) for order in orders],
        [verb("extend", order, by=2 * DAY) for order in orders],
        [verb("transfer", orders[0], to="ord_to"), *(verb("allocate", order) for order in orders[1:3])],
        [verb("release", orders[1]), verb("cancel", orders[2]), verb("allocate", "ord_to")],
    ]
    for step in steps:
        plans = [{"commands": step * 5, "width": 10} for _ in range(2)]
        results = await processes.side_by_side(*plans)
        answers_of(results)
        for number in range(len(step)):
            told = {str(each["answers"][str(number + again * len(step))]) for each in results for again in range(5)}
            assert len(told) == 1, step[number]
    line = await world.figures()
    assert (line["reserved"], line["allocated"]) == (5, 5)
    assert await world.store.fetchval("select count(*) from availability.claim") == 5
    assert await processes.wrong() == {}


@pytest.mark.long
async def test_overlapping_cancels_of_one_order_release_each_line_once(world, processes):
    await world.stock("A", 100)
    await world.stock("B", 100)
    lines = [[sku, 1] for sku in "ABABA"]
    answers_of(await processes.side_by_side({"commands": [reserve(f"ord_{n}", *lines) for n in range(8)]}))
    parts = [[1, 2], [2, 3], [3, 4], [4, 5], [5, 1]]
    plans = [
        {
            "commands": [
                verb("release", f"ord_{order}", f"{process}-{number}", lines=part)
                for order in range(8)
                for number, part in enumerate(parts[process:] + parts[:process])
            ],
            "width": 10,
        }
        for process in range(2)
    ]
    given_back = answers_of(await processes.side_by_side(*plans))
    assert sum(len(answer) for answer in given_back) == 8 * 5
    assert [(await world.figures(sku))["reserved"] for sku in "AB"] == [0, 0]
    assert await processes.wrong() == {}


@pytest.mark.long
async def test_a_thousand_cancels_and_restores_leave_nothing_reserved_and_nothing_negative(world, processes):
    await world.stock("A", 50)
    plans = [
        {
            "commands": [
                command
                for turn in range(500)
                for order in [f"ord_{process}_{turn}"]
                for command in (reserve(order, ["A", 1 + turn % 4]), verb("release", order), verb("release", order, 1))
            ],
            "width": 1,
        }
        for process in range(2)
    ]
    answers = answers_of(await processes.side_by_side(*plans))
    assert sum(isinstance(answer, list) and bool(answer) for answer in answers) == 2 * 2 * 500
    assert (await world.figures())["reserved"] == 0
    assert await processes.wrong() == {}


async def test_clocks_that_are_wrong_by_a_day_expire_nothing_early_and_nothing_late(world, processes):
    await world.stock("A", 100)
    kept = [reserve(f"ord_kept_{number}", ["A", 1], expires_in=600) for number in range(5)]
    over = [reserve(f"ord_over_{number}", ["A", 1], expires_in=0) for number in range(5)]
    plans = [{"commands": [*kept, *over, {"do": "expire"}], "ahead": ahead} for ahead in (DAY, -DAY)]
    answers_of(await processes.side_by_side(*plans))
    answers_of(await processes.side_by_side(*({"commands": [{"do": "expire"}], "ahead": each} for each in (DAY, -DAY))))
    rows = await world.store.fetch("select order_id, state from availability.claim order by 1")
    assert Counter((row["order_id"][:8], row["state"]) for row in rows) == {
        ("ord_kept", "reserved"): 5,
        ("ord_over", "released"): 5,
    }
    assert await processes.wrong() == {}


@pytest.mark.long
async def test_expiry_beside_extending_allocating_and_releasing_ends_each_reservation_once(world, processes):
    await world.stock("A", 200)
    orders = [f"ord_{number}" for number in range(12)]
    answers_of(await processes.side_by_side({"commands": [reserve(each, ["A", 2], expires_in=0) for each in orders]}))
    verbs = ("allocate", "release", "extend")
    plans = [
        {
            "commands": [
                command
                for number, order in enumerate(orders)
                for name in [verbs[(number + process) % 3]]
                for command in (
                    verb(name, order, process, **({"by": 600} if name == "extend" else {})),
                    {"do": "expire"},
                )
            ],
            "width": 6,
        }
        for process in range(2)
    ]
    answers_of(await processes.side_by_side(*plans))
    ended = await world.events("claim.ended")
    assert len({row["aggregate"] for row in ended}) == len(ended)
    assert await processes.wrong() == {}


@pytest.mark.long
async def test_a_deadlock_with_a_stranger_is_tried_again(world, processes):
    await world.stock("A", 10)
    await world.stock("B", 10)
    first, last = sorted((world.id["A"], world.id["B"]))
    lock = "select 1 from availability.stock_line where item = $1 for update"
    stranger = await asyncpg.connect(world.url)
    transaction = stranger.transaction()
    await transaction.start()
    await stranger.fetch(lock, last)
    basket = reserve("ord_1", ["A", 1], ["B", 1])
    reserving = asyncio.ensure_future(processes.side_by_side({"commands": [basket]}))
    while not await world.store.fetchval("select count(*) from pg_locks where not granted"):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    with contextlib.suppress(asyncpg.DeadlockDetectedError):  # on a machine that stalls it may be who gives way
        await stranger.fetch(lock, first)
    await transaction.rollback()
    await stranger.close()
    [answer] = answers_of(await reserving)
    assert len(answer) == 2
    assert await processes.wrong() == {}
