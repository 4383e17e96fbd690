"""``make bench-beside``: claims on stock per second, and N buyers of one piece, ours beside Tryton and Vendure.

All run at the same time on the same cores and the same PostgreSQL, each in a database of its own and with as many
server processes, and are driven in turn by the same clients for as long. What was promised is counted by `checker`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import statistics
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.beside import checker
from benchmarks.beside import tryton as tryton_side
from benchmarks.beside import vendure as vendure_side
from benchmarks.beside.crossdock import crossdock
from benchmarks.beside.sides import PROMISED, Ran, Side, one_of, press, wants
from benchmarks.processes import machine
from gateway.engines import Engines, EngineUrls

PEERS = {
    "tryton": (tryton_side.missing, tryton_side.tryton),
    "vendure": (vendure_side.missing, vendure_side.vendure),
}
_SPARE = 1.5
_FIRST = 10.0


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside")
    parser.add_argument("--seconds", type=float, default=8.0, help="of load per side and turn")
    parser.add_argument("--turns", type=int, default=3, help="of each side; the figure is the median")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--processes", type=int, default=2, help="of each server")
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--lines", type=int, default=5)
    parser.add_argument("--buyers", type=int, default=16, help="of one piece, at once")
    parser.add_argument("--rounds", type=int, default=20, help="of buyers, each for another article")
    parser.add_argument("--only", nargs="*", choices=["crossdock", *PEERS], default=["crossdock", *PEERS])
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    given = parser.parse_args()
    _say(machine())
    with tempfile.TemporaryDirectory(prefix="bench-beside-") as folder:
        found = asyncio.run(measure(Path(folder), given))
    print(json.dumps(found))


async def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Engines up, every side on them, the turns, the buyers."""
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(Engines(folder / "engines", only={"postgres", "valkey"}))
        sides = [side for name in given.only if (side := await _open(stack, name, folder, urls, given)) is not None]
        rates = await _turns(sides, given)
        won = await _buyers(sides, given)
    none: dict[str, Any] = dict.fromkeys(given.only)
    return {
        "claims_per_s": none | {name: round(statistics.median(each), 1) for name, each in rates.items()},
        "claims_per_s_by_turn": {name: [round(rate, 1) for rate in each] for name, each in rates.items()},
        "winners_of_one_unit": none | won,
        **{
            name: getattr(given, name)
            for name in ("seconds", "turns", "clients", "processes", "items", "lines", "seed")
        },
    }


async def _open(stack: AsyncExitStack, name: str, folder: Path, urls: EngineUrls, given: Any) -> Side | None:
    own = folder / name
    own.mkdir()
    if name == "crossdock":
        side: Side = await stack.enter_async_context(crossdock(own, urls, given))
    else:
        missing, opened = PEERS[name]
        if (why := missing()) is not None:
            _say(f"{name}: {why}")
            return None
        connection = await asyncpg.connect(urls.postgres)
        await connection.execute(f"create database {name}")
        await connection.close()
        url = f"{urls.postgres.rpartition('/')[0]}/{name}"
        side = await stack.enter_async_context(opened(own, url, given))
    _say(f"{name}: {side.about}")
    return side


async def _turns(sides: list[Side], given: argparse.Namespace) -> dict[str, list[float]]:
    """Claims a second of each turn. How much work is made ready follows from the turn before; the first is to warm."""
    rates: dict[str, list[float]] = {side.name: [] for side in sides}
    chosen = random.Random(given.seed)
    expected = dict.fromkeys(rates, _FIRST)
    for turn in range(given.turns + 1):
        seconds = given.seconds if turn else min(given.seconds, 4.0)
        for side in sides[:: -1 if turn % 2 else 1]:
            count = max(4 * given.clients, int(expected[side.name] * seconds * _SPARE))
            for again in range(8):
                rate, ended = await _turn(side, wants(chosen, given, count), given, seconds, turn)
                expected[side.name] = rate
                if turn or not ended or again == 7:
                    break
                count *= 4  # the first turn is for finding out how much work there must be
            if turn:
                rates[side.name].append(rate)
    return rates


async def _turn(side: Side, orders: Any, given: argparse.Namespace, seconds: float, turn: int) -> tuple[float, bool]:
    work = await side.prepare(orders)
    connection = await asyncpg.connect(side.url)
    await connection.execute("vacuum analyze")  # as autovacuum does within its minute
    await connection.execute("checkpoint")
    await connection.close()
    before = await checker.orders(side.name, side.url)
    ran = await press(side, work, clients=given.clients, seconds=seconds, again=True)
    counted = await checker.orders(side.name, side.url) - before
    ended = ran.seconds < seconds
    _say(
        f"{side.name:10} {'turn ' + str(turn) if turn else 'warm'}: {counted / ran.seconds:7.1f} claims/s  p50 "
        f"{ran.at(0.5)} ms  p99 {ran.at(0.99)} ms  {counted} orders in the database in {ran.seconds:.1f} s, told "
        f"{dict(ran.outcomes)}{' (all that was prepared)' if ended else ''}  load average {os.getloadavg()[0]:.1f}"
    )
    return counted / ran.seconds, ended


async def _buyers(sides: list[Side], given: argparse.Namespace) -> dict[str, Any]:
    """Round by round, each side in turn: all buyers ask for the one piece at once."""
    work: dict[str, list[list[Any]]] = {}
    for side in sides:
        each = [await side.prepare([[(one_of(number), 1)]] * given.buyers, race=True) for number in range(given.rounds)]
        work[side.name] = each
    told: dict[str, Counter[str]] = {side.name: Counter() for side in sides}
    for number in range(given.rounds):
        for side in sides:
            ran: Ran = await press(side, work[side.name][number], clients=given.buyers, seconds=120)
            told[side.name] += ran.outcomes
    found = {}
    for side in sides:
        errors = {code: count for code, count in told[side.name].items() if code not in {*side.refusals, PROMISED}}
        counts = await checker.sold(side.name, side.url)
        found[side.name] = {**counts, "buyers": given.buyers, "told": dict(told[side.name]), "errors": errors}
        _say(f"{side.name:10} one piece, {given.buyers} buyers: {found[side.name]}")
    return found


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
