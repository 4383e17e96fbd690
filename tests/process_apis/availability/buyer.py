"""One process of several that buy the same stock: started by test_races.py as `python buyer.py URL JOB NUMBER ROUNDS`.

It prints one JSON object: what it won, and every error that is not "not enough stock".
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import random
import sys
import time
from decimal import Decimal
from pathlib import Path

spec = importlib.util.spec_from_file_location("availability_world", Path(__file__).with_name("conftest.py"))
conftest = importlib.util.module_from_spec(spec)
sys.modules["availability_world"] = conftest
spec.loader.exec_module(conftest)

from gateway.canonical.stock import ClaimLine, ClaimRequest  # noqa: E402
from gateway.kernel.errors import Conflict  # noqa: E402
from gateway.store.postgres import Store  # noqa: E402


async def meet(store, gate, number, processes):
    """Wait for the other processes at this gate: a barrier in the database."""
    await store.execute("insert into race_gate values ($1, $2)", gate, number)
    while await store.fetchval("select count(*) from race_gate where gate = $1", gate) < processes:  # noqa: ASYNC110
        await asyncio.sleep(0.002)


async def one_unit(world, number, rounds, processes):
    """Each round one unit of a fresh location-less line: three buyers per process go for it at once."""
    won, errors = [], []

    async def buy(turn, buyer):
        order = f"ord_{turn}_{number}_{buyer}"
        try:
            await world.claim(order, ("A", 1))
            won.append(turn)
        except Conflict as error:
            if error.code != "stock.insufficient":
                errors.append(error.code)

    for turn in range(rounds):
        if number == 0:
            await world.record(world.movement(f"round-{turn}", turn + 2, "stock_adjusted", 1))
        await meet(world.store, f"start-{turn}", number, processes)
        await asyncio.gather(*(buy(turn, buyer) for buyer in range(3)))
        await meet(world.store, f"end-{turn}", number, processes)
    return {"won": won, "errors": errors}


async def kits(world, number, rounds, processes):
    """Each round stock for one kit, or for its components alone: buyers of each go for it at once."""
    sold, errors = 0, []

    async def buy(turn, buyer, sku, amount):
        nonlocal sold
        try:
            await world.claim(f"ord_{turn}_{number}_{buyer}", (sku, amount))
            sold += 3 if sku == "KIT" else amount
        except Conflict as error:
            if error.code != "stock.insufficient":
                errors.append(error.code)

    for turn in range(rounds):
        if number == 0:
            moves = [world.movement(f"round-{turn}", turn + 2, "stock_adjusted", amount, sku=sku, line=amount)
                     for sku, amount in (("A", 2), ("B", 1))]  # fmt: skip
            await world.record(*moves)
        await meet(world.store, f"start-{turn}", number, processes)
        wants = [("KIT", 1), ("A", 2), ("B", 1), ("KIT", 1)]
        await asyncio.gather(*(buy(turn, buyer, *want) for buyer, want in enumerate(wants)))
        await meet(world.store, f"end-{turn}", number, processes)
    return {"sold": sold, "errors": errors}


async def shoppers(world, number, rounds, processes):
    """Reservations that share transactions, of the same items in crossing orders, until there is nothing left."""
    got, errors = 0, []
    await meet(world.store, "start", number, processes)

    async def shop(buyer):
        nonlocal got
        for turn in range(rounds):
            order = f"ord_{number}_{buyer}_{turn}"
            wanted = [("A", 1), ("B", 1), ("K", 1)] if (number + buyer) % 2 else [("K", 1), ("B", 1), ("A", 1)]
            lines = [ClaimLine(line=n, item=world.id[sku], amount=Decimal(a)) for n, (sku, a) in enumerate(wanted, 1)]
            request = ClaimRequest(action=order, order=order, channel="web", lines=lines, correlation_id=order)
            try:
                await world.availability.claims.reserve("acme", request)
                got += 1
            except Conflict as error:
                if error.code != "stock.insufficient":
                    errors.append(error.code)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test wants to know
                errors.append(repr(error))

    await asyncio.gather(*(shop(buyer) for buyer in range(8)))
    return {"got": got, "errors": errors}


async def baskets(world, number, rounds, processes):  # noqa: C901 - one script of a busy shop
    """Baskets in both orders, beside bulk loads of the same items, movements of the same orders, and releases."""
    chance, done, errors = random.Random(number), 0, []
    await meet(world.store, "start", number, processes)

    async def shop(buyer):
        nonlocal done
        for turn in range(rounds):
            order = f"ord_{number}_{buyer}_{turn}"
            lines = [("A", 1), ("B", 2), ("K", 1)]
            try:
                await world.claim(order, *(lines if (turn + buyer) % 2 else lines[::-1]))
                picked = world.movement(f"p-{order}", turn, "pick_confirmed", 1, order=order)
                await (world.record(picked) if chance.random() < 0.3 else world.allocate(order))
                if chance.random() < 0.7:
                    await world.release(order)
            except Conflict as error:
                if error.code != "stock.insufficient":
                    errors.append(error.code)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test wants to know
                errors.append(repr(error))
            done += 1

    async def load():
        for turn in range(rounds):
            skus = ["A", "B"] * 20 if turn % 2 else ["B", "A"] * 20
            moves = [
                world.movement(f"bulk-{number}-{turn}", turn, "stock_adjusted", 1, sku=sku, line=line)
                for line, sku in enumerate(skus)
            ]
            try:
                await world.record(*moves)
                if turn % 5 == 0:
                    await world.record(world.snapshot(f"snap-{number}-{turn}", turn, {"A": 500, "B": 500}, full=True))
            except Exception as error:  # noqa: BLE001
                errors.append(repr(error))

    await asyncio.gather(load(), *(shop(buyer) for buyer in range(4)))
    return {"done": done, "errors": errors}


async def main():
    url, job, number, rounds, processes = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    store = Store(url, size=6)
    await store.open()
    world = conftest.World(store, url)
    world.id = {sku: item.item for sku, item in (await world.items.by_sku("acme", ["A", "B", "K", "KIT"])).items()}
    began = time.monotonic()
    told = await {"one_unit": one_unit, "baskets": baskets, "kits": kits, "shoppers": shoppers}[job](
        world, number, rounds, processes
    )
    await store.close()
    sys.stdout.write(json.dumps(told | {"seconds": time.monotonic() - began}))


asyncio.run(main())
