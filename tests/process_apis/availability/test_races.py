from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

BUYER = Path(__file__).with_name("buyer.py")


async def several(world, job, rounds, processes=3):
    await world.store.execute("create unlogged table race_gate (gate text, number integer)")
    await world.store.execute("create index on race_gate (gate)")
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(BUYER), world.url, job, str(number), str(rounds), str(processes),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        for number in range(processes)
    ]  # fmt: skip
    try:
        ended = await asyncio.wait_for(asyncio.gather(*(each.communicate() for each in started)), 300)
    finally:
        for each in started:
            if each.returncode is None:
                each.kill()
                await each.wait()
    assert [each.returncode for each in started] == [0] * processes, ended[0][1].decode()
    return [json.loads(out) for out, _ in ended]


@pytest.mark.parametrize("rounds", [50, pytest.param(300, marks=pytest.mark.long)])
async def test_one_unit_has_one_winner_in_each_round_over_several_processes(world, rounds):
    told = await several(world, "one_unit", rounds)
    assert [each["errors"] for each in told] == [[]] * 3
    winners = Counter(turn for each in told for turn in each["won"])
    assert winners == Counter(range(rounds))
    line = await world.figures()
    assert (line["sellable"], line["reserved"]) == (rounds, rounds)
    assert await world.broken_invariants() == []


@pytest.mark.parametrize("rounds", [10, pytest.param(200, marks=pytest.mark.long)])
async def test_buyers_of_kits_and_of_their_components_never_get_more_than_there_is(world, rounds):
    await world.make_kit(("A", 2), ("B", 1))
    told = await several(world, "kits", rounds)
    assert [each["errors"] for each in told] == [[]] * 3
    assert sum(each["sold"] for each in told) == 3 * rounds
    assert [(await world.figures(sku))["reserved"] for sku in "AB"] == [2 * rounds, rounds]
    assert await world.broken_invariants() == []


@pytest.mark.parametrize("rounds", [12, pytest.param(150, marks=pytest.mark.long)])
async def test_reservations_in_crossing_orders_neither_deadlock_nor_oversell_and_sell_all_of_it(world, rounds):
    there = 3 * 8 * rounds * 3 // 4
    for sku in "AB":
        await world.stock(sku, there)
    await world.record(world.movement("k", 1, "stock_adjusted", there, sku="K", uom="KGM"))
    told = await several(world, "shoppers", rounds)
    assert [each["errors"] for each in told] == [[]] * 3
    assert sum(each["got"] for each in told) == there
    assert [(await world.figures(sku))["reserved"] for sku in "ABK"] == [there] * 3
    assert await world.store.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == 0
    assert await world.broken_invariants() == []


async def test_baskets_in_any_order_beside_bulk_loads_neither_deadlock_nor_drift(world):
    await world.stock("A", 200)
    await world.stock("B", 200)
    await world.record(world.movement("k", 1, "stock_adjusted", 200, sku="K", uom="KGM"))
    told = await several(world, "baskets", 20)
    assert [each["errors"] for each in told] == [[]] * 3
    assert sum(each["done"] for each in told) == 3 * 4 * 20
    assert await world.broken_invariants() == []
