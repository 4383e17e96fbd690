"""Gateway, worker, every engine, Tryton and a warehouse are killed under traffic; carrier and cache lose their data.

An independent checker reads the client's log, the record, Tryton and the warehouses: no accepted order is lost or
doubled, nothing is oversold, and every answer meanwhile was clear.
"""

import asyncio
import io
import json
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from gateway.plays.outage_plan import MORTAL, WAREHOUSES, WIPED, baskets, outages
from gateway.plays.outages import Options, Outages, second_unit
from gateway.plays.stack import Stack


@pytest.mark.integration
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("stack")
async def test_nothing_accepted_is_lost_or_doubled_when_worker_and_record_die(stack):
    await play(stack, Options(seed=4, orders=6, only=("worker", "postgres"), limit=200))


@pytest.mark.integration
@pytest.mark.long
@pytest.mark.timeout(500)
@pytest.mark.xdist_group("stack")
async def test_nothing_accepted_is_lost_or_doubled_when_everything_dies_once(stack):
    await play(stack, Options(seed=1, orders=18, limit=300))


@pytest.mark.integration
@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [2, 3, 5])
async def test_nothing_accepted_is_lost_or_doubled_when_everything_dies_twice(seed, tryton_cache, tmp_path):
    async with Stack(tmp_path, demo=True, gateway_workers=2, cache=tryton_cache, progress=lambda _: None) as stack:
        await play(stack, Options(seed=seed, orders=90, rounds=2))


@pytest.mark.integration
@pytest.mark.long
@pytest.mark.timeout(2400)
async def test_a_second_business_unit_loses_and_doubles_nothing_either(tryton_cache, tmp_path):
    """`make chaos` in short: a tenth of the orders, everything dies twice as they come in and once after."""
    options = Options(seed=7, orders=100, other_orders=1_000, rounds=2, late_rounds=1, buyers=12, limit=1_500.0)
    unit = second_unit(tmp_path, options)
    async with Stack(
        tmp_path, demo=True, gateway_workers=2, cache=tryton_cache, unit=unit, progress=lambda _: None
    ) as stack:
        await play(stack, options)


async def play(stack, options):
    played = Outages(stack, options)
    await played.run(Console(file=io.StringIO()))
    failed = [finding for finding in played.findings if not finding["ok"]]
    assert not failed, f"{json.dumps(failed, indent=1, ensure_ascii=False)}\nlogs: {played.folder}"
    assert played.findings


@pytest.mark.integration
@pytest.mark.xdist_group("stack")
async def test_no_gateway_worker_outlives_its_server(stack):
    server = stack._children["gateway"].identity.pid
    workers = children(server)
    assert len(workers) == 2
    os.kill(server, signal.SIGKILL)
    await until(lambda: not any(alive(worker) for worker in workers))
    await until(lambda: stack._children["gateway"].identity.pid != server)  # its watcher starts it again
    await stack._ready()


async def until(holds):
    end = asyncio.get_running_loop().time() + 30
    while not holds():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.05)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def alive(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def test_each_round_kills_everything_and_wipes_carrier_and_cache():
    drawn = outages(random.Random(7), 2)
    named = Counter((one.name, one.wiped) for one in drawn)
    assert all(named[name, False] == 2 for name in MORTAL)
    assert sum(named[name, False] for name in WAREHOUSES) == 2
    assert all(named[name, True] == 2 for name in WIPED)


def test_a_seed_draws_the_same_day_again():
    assert outages(random.Random(7), 1) == outages(random.Random(7), 1)
    assert outages(random.Random(7), 1) != outages(random.Random(8), 1)


def test_more_is_asked_for_than_there_is():
    stock = {"SKU-0120": 140, "SKU-0121": 140, "SKU-0122": 40}
    asked = baskets(random.Random(7), "play", 60, stock)
    assert len({basket.number for basket in asked}) == 60
    assert sum(amount for basket in asked for _, amount in basket.lines) > sum(stock.values())
