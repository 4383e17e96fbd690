"""``make bench-inventory``: movements, reservations and answers per second, counted in the record by `checker`.

Fresh engines with their durability on; processes of ours on cores of their own, PostgreSQL beside them on all. A figure
whose subject does not exist yet is null, and standard error says why. Nothing is taken from what the load says that
the record can tell: rates are rows there over seconds here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.edge.site import prepare
from benchmarks.inventory import answers, books, checker
from benchmarks.inventory.channels import channels
from benchmarks.inventory.drive import drive
from benchmarks.processes import machine, seconds_of_family
from gateway.engines import Engines

_WHOLE = 1_000_000


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inventory")
    parser.add_argument("--seconds", type=float, default=8.0, help="of load per phase")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--clients", type=int, default=32, help="of each process that reserves")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--lines", type=int, default=5)
    parser.add_argument("--scarce", type=int, default=6_000, help="orders of each process for too little stock")
    parser.add_argument("--movements", type=int, default=1_000, help="a second, on their way to channels")
    parser.add_argument("--positions", type=int, default=1_000_000, help="of the snapshot that is reconciled")
    parser.add_argument("--only", nargs="*", choices=[*PHASES, CHANNELS], default=[*PHASES, CHANNELS])
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    given = parser.parse_args()
    print(machine(), file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="bench-inventory-") as folder:
        found = asyncio.run(measure(Path(folder), given))
    print(json.dumps(found))


async def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Engines up, every phase on empty books."""
    found: dict[str, Any] = {}
    if CHANNELS in given.only:  # the whole product, on engines of its own
        (folder / CHANNELS).mkdir()
        found |= await channels(folder / CHANNELS, given)
    most = given.items * (10 if "scale" in given.only else 1)
    async with Engines(folder / "engines", only={"postgres", "valkey"}) as urls:
        lock = (folder / "engines" / "postgres" / "postmaster.pid").read_text(encoding="ascii")
        given.postgres = int(lock.split()[0])
        settings, _, credentials = await prepare(folder, urls, given.seed)
        await books.write_items(urls.postgres, most)
        for name in (name for name in given.only if name in PHASES):
            found |= await PHASES[name](folder, settings, credentials, urls, given)
        return {**found, **await checker.durability(urls.postgres), **_said(given)}


async def _reserve(url: str, given: argparse.Namespace, name: str, **more: Any) -> dict[str, Any]:
    plan = {
        "do": "reserve", "url": url, "items": given.items, "lines": given.lines, "clients": given.clients,
        "seconds": given.seconds, "count": int(given.seconds * 8_000), **more,
    }  # fmt: skip
    return await _phase(url, given, name, plan)


async def _phase(url: str, given: argparse.Namespace, name: str, plan: dict[str, Any]) -> dict[str, Any]:
    plans = [plan | {"name": f"{name}-{n}", "seed": f"{given.seed}-{name}-{n}"} for n in range(given.processes)]
    before = await checker.tally(url)
    spent = seconds_of_family(given.postgres)
    driven = await asyncio.to_thread(drive, plans)
    spent = seconds_of_family(given.postgres) - spent
    after = await checker.tally(url)
    rates = {
        f"{what}_per_s": (after[what] - before[what]) / driven["seconds"] for what in ("claimed_orders", "movements")
    }
    done = max(1, sum(driven["outcomes"].values()))
    each = {"cpu_us": round(driven["cpu_s"] / done * 1e6), "postgres_cpu_us": round(spent / done * 1e6)}
    found = {**driven, **rates, **each, **await checker.judge(url, given.lines)}
    print(
        f"{name:12} {rates['claimed_orders_per_s']:7.0f} reservations/s {rates['movements_per_s']:7.0f} movements/s  "
        f"p50 {found['p50_ms']:.1f} ms  p99 {found['p99_ms']:.1f} ms  CPU each: ours "
        f"{each['cpu_us']} us, PostgreSQL {each['postgres_cpu_us']} us  "
        f"{found['outcomes']}  oversold {found['oversold']}  wrong {found['wrong']}  "
        f"load average {found['load_average']:.1f}",
        file=sys.stderr,
    )
    return found


async def reservations(_: Path, __: Path, ___: Any, urls: Any, given: argparse.Namespace) -> dict[str, Any]:
    """Stock for everybody: how many a second, and how long each takes."""
    await books.stock(urls.postgres, 1_000_000)
    await _reserve(urls.postgres, given, "warm", seconds=2)
    found = await _reserve(urls.postgres, given, "plenty")
    return {"reservations_per_s": round(found["claimed_orders_per_s"]), "reservation_p99_ms": round(found["p99_ms"], 1),
            "reservation_cpu_us": found["cpu_us"],
            "reservation_postgres_cpu_us": found["postgres_cpu_us"], "wrong_plenty": found["wrong"]}  # fmt: skip


async def scarce(_: Path, __: Path, ___: Any, urls: Any, given: argparse.Namespace) -> dict[str, Any]:
    """Three pieces wanted for every two that are there."""
    wanted = given.scarce * given.processes * given.lines * 2  # an order line wants 1 to 3
    await books.stock(urls.postgres, max(1, round(wanted / 1.5 / given.items)))
    found = await _reserve(urls.postgres, given, "scarce", count=given.scarce, seconds=120)
    asked = given.scarce * given.processes
    return {
        "oversold": found["oversold"], "scarce_asked_per_s": round(asked / found["seconds"]),
        "scarce_p99_ms": round(found["p99_ms"], 1), "scarce_outcomes": found["outcomes"],
        "wrong_scarce": found["wrong"],
    }  # fmt: skip


async def movements(_: Path, __: Path, ___: Any, urls: Any, given: argparse.Namespace) -> dict[str, Any]:
    """Batches of 500 of random items: mapping, once, versions, log."""
    await books.stock(urls.postgres, 1_000_000)
    plan = {"do": "move", "url": urls.postgres, "items": given.items, "clients": 1, "lines": given.lines}
    await _phase(urls.postgres, given, "warm", plan | {"seconds": 2, "count": 20_000})
    more = {"seconds": given.seconds, "count": int(given.seconds * 12_000)}
    found = await _phase(urls.postgres, given, "movements", plan | more)
    return {
        "movements_per_s": round(found["movements_per_s"]),
        "movement_cpu_us": found["cpu_us"],
        "movement_postgres_cpu_us": found["postgres_cpu_us"],
        "wrong_movements": found["wrong"],
    }


async def scale(_: Path, __: Path, ___: Any, urls: Any, given: argparse.Namespace) -> dict[str, Any]:
    """What a reservation costs among 100 times as many items, beside what it costs among few; median of turns."""
    await books.stock(urls.postgres, 1_000_000)
    costs: dict[int, list[float]] = {}
    sizes = [given.items // 10, given.items, given.items * 10]
    for turn in range(4):
        for size in sizes if turn % 2 else sizes[::-1]:
            found = await _reserve(
                urls.postgres, given, f"scale{turn}-{size}", items=size, seconds=given.seconds / 4,
                count=int(given.seconds * 2_000),
            )  # fmt: skip
            if turn:  # the first is to warm up
                costs.setdefault(size, []).append(1 / found["claimed_orders_per_s"])
    best = {size: sorted(each)[len(each) // 2] for size, each in costs.items()}
    return {
        "scale_100x_ratio": round(best[sizes[2]] / best[sizes[0]], 2),
        "scale_us": {str(size): round(best[size] * 1e6) for size in sizes},
    }


async def answered(_: Path, settings: Path, credentials: Any, urls: Any, given: argparse.Namespace) -> dict[str, Any]:
    """What may be sold: the rules alone, and through the door on one core."""
    await books.stock(urls.postgres, 1_000_000)
    await answers.project(urls)
    return await asyncio.to_thread(answers.measure, settings, credentials, given)


async def snapshot(_: Path, __: Path, ___: Any, urls: Any, given: argparse.Namespace) -> dict[str, Any]:
    """A full snapshot told in parts by one process, which then applies them; one figure in fifty has drifted."""
    await books.write_items(urls.postgres, given.positions)
    await books.stock(urls.postgres, 100)
    plan = {"do": "snapshot", "url": urls.postgres, "items": given.positions, "name": "snapshot", "seed": "none"}
    spent = seconds_of_family(given.postgres)
    driven = await asyncio.to_thread(drive, [plan], 1800)
    spent = seconds_of_family(given.postgres) - spent
    found = await checker.snapshot(urls.postgres, given.positions)
    ours, theirs = (round(seconds / given.positions * 1e6) for seconds in (driven["cpu_s"], spent))
    print(
        f"snapshot     {given.positions} positions in {driven['seconds']:.0f} s, {driven['most_mb']} MB at most  CPU "
        f"each: ours {ours} us, PostgreSQL {theirs} us  {found}  load average {driven['load_average']:.1f}",
        file=sys.stderr,
    )
    whole = given.positions == _WHOLE
    return {
        "million_position_reconcile_s": round(driven["seconds"], 1) if whole else None,
        "million_position_reconcile_mb": driven["most_mb"] if whole else None,
        "wrong_snapshot": found,
    }


def _said(given: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(given, name) for name in ("seconds", "processes", "clients", "items", "lines", "seed")}


PHASES = {
    "reservations": reservations,
    "scarce": scarce,
    "movements": movements,
    "scale": scale,
    "answers": answered,
    "snapshot": snapshot,
}
CHANNELS = "channels"


if __name__ == "__main__":
    main()
