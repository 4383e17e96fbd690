"""``make bench-orders``: how many orders are accepted, and how long until all of them are complete.

A burst comes first, as fast as answers do, while nothing works on it: ``accepted_per_s``; then some at half that rate:
``accept_p99_ms``. The rest is accepted as fast as answers come, too: a backlog of all orders waits when the workers
start. With ``--beside`` the rest comes in beside the workers, spread over ten minutes. ``saga_minutes`` runs from the
start of the workers until the last order is complete: terms, ERP order, warehouse work, shipment, its posting. What
became of each is counted by `checker` in the record and in the systems' own books.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.acceptance.sides import ours_serving
from benchmarks.edge.site import tokens_of
from benchmarks.orders import checker
from benchmarks.orders.processor import seconds_by_kind
from benchmarks.orders.site import WAREHOUSES, Site
from benchmarks.processes import ROOT, machine
from gateway.engines import Engines

_TOKENS: Final = 40
_STALL_S: Final = 120.0
_LOOK_S: Final = 5.0
_BACKLOG_S: Final = 900.0


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orders")
    parser.add_argument("--orders", type=int, default=25_000, help="in all, of --lines each")
    parser.add_argument("--lines", type=int, default=10)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--burst-seconds", type=float, default=8.0, help="of the burst, and of the half rate after it")
    parser.add_argument("--beside", action="store_true", help="the rest comes in beside the workers, not before them")
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    given = parser.parse_args()
    print(machine(), file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="bench-orders-") as folder:
        found = asyncio.run(measure(Path(folder), given))
    print(json.dumps(found | vars(given)))


async def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Engines and systems up, then the load, then the count."""
    async with Engines(folder / "engines") as urls:
        site = Site(folder, urls, items=given.items, gateways=given.gateways)
        async with site.opened():
            with site.worker(0), ours_serving(site.settings):  # items and opening stock are read
                await site.until_known()
            return await _measured(site, folder, urls.postgres, given)


async def _measured(site: Site, folder: Path, url: str, given: argparse.Namespace) -> dict[str, Any]:
    with ExitStack() as serving:
        port, _ = serving.enter_context(ours_serving(site.settings))
        plan = {
            "port": port, "tokens": await asyncio.to_thread(tokens_of, port, site.credentials, _TOKENS),
            "connections": given.connections, "items": given.items, "lines": given.lines,
        }  # fmt: skip
        burst = await _load(plan, "burst", given.seed, given.burst_seconds, None, given.orders)
        half = await _load(plan, "half", given.seed + 1, given.burst_seconds, burst["per_second"] / 2, given.orders)
        accepted = burst["statuses"].get("201", 0) + half["statuses"].get("201", 0)
        left = max(0, given.orders - accepted)
        if left and not given.beside:
            rest = await _load(plan, "rest", given.seed + 2, _BACKLOG_S, None, left)
            accepted, left = accepted + rest["statuses"].get("201", 0), 0
        for sandbox in site.warehouses.values():
            serving.enter_context(_people(sandbox.url, sandbox.folder / "received.jsonl"))
        before = seconds_by_kind()
        began = time.time()
        for number in range(given.workers):
            serving.enter_context(site.worker(number + 1))
        rate = max(10.0, given.orders / 600)
        few = plan | {"connections": 4}  # at this rate the server would end more of them for doing nothing
        coming = asyncio.create_task(_load(few, "day", given.seed + 3, left / rate, rate, left)) if left else None
        done = await _until_complete(url, given.orders if left else accepted, coming, began)
        if coming is not None:
            accepted += (await coming)["statuses"].get("201", 0)
        spent = {kind: after - before.get(kind, 0.0) for kind, after in seconds_by_kind().items() if kind != "load"}
    counted = await checker.count(url, folder, list(WAREHOUSES), accepted)
    return {
        "accepted_per_s": round(burst["per_second"]),
        "accept_p99_ms": round(half["p99_ms"]),
        "saga_minutes": round((done - began) / 60, 2),
        **counted,
        "processor_ms_per_order": {
            kind: round(1_000 * seconds / max(1, counted["completed"]), 1)
            for kind, seconds in {**spent, "all": sum(spent.values())}.items()
        },
        "statuses": {"burst": burst["statuses"], "half": half["statuses"]},
    }


async def _until_complete(url: str, orders: int, coming: asyncio.Task[Any] | None, began: float) -> float:
    """When the last order was; gives up when nothing comes on any more."""
    last, moved = -1, time.time()
    while True:
        known, complete = await checker.progress(url)
        if complete != last:
            last, moved = complete, time.time()
        print(f"{time.time() - began:6.0f} s  {complete:6d} of {known:6d} complete", file=sys.stderr)
        all_in = coming is None or coming.done()
        if (all_in and complete == known) or complete >= orders or time.time() - moved > _STALL_S:
            return moved
        await asyncio.sleep(_LOOK_S)


class _people:  # noqa: N801 - used as a context manager
    def __init__(self, url: str, log: Path) -> None:
        self._command = [sys.executable, "-m", "benchmarks.orders.people", url, str(log)]

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=ROOT)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


async def _load(
    plan: dict[str, Any], name: str, seed: int, seconds: float, rate: float | None, most: int
) -> dict[str, Any]:
    count = min(most, int((rate or 1_500) * seconds) + 100)
    whole = plan | {"name": f"{name}-{seed}", "seed": seed, "seconds": seconds, "rate": rate, "count": count}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.acceptance.load", stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    told, _ = await process.communicate(json.dumps(whole).encode())
    found: dict[str, Any] = json.loads(told)
    print(
        f"{name}: {found['per_second']:.0f}/s accepted, p99 {found['p99_ms']:.0f} ms, {found['statuses']} "
        f"{found['first_refusal'][:400]}",
        file=sys.stderr,
    )
    return found


if __name__ == "__main__":
    main()
