"""``python -m benchmarks.acceptance``: orders per second through the door, and p99 at half that rate.

Fresh engines and record, a gateway as `crossdock up` starts it, its load from a process of its own, everything on the
same cores; what was accepted is counted in the record by `checker`. No worker runs: acceptance ends at the commit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.acceptance import checker
from benchmarks.edge.__main__ import _machine
from benchmarks.edge.site import ROOT, TENANT, _await, prepare, processor_seconds, tokens_of
from gateway.engines import Engines
from gateway.settings import load_settings

_STOCK = """
insert into items.item
select $1, 'itm_' || lpad(n::text, 26, '0'), 'SKU-' || lpad(n::text, 5, '0'), 'Article ' || n, 'EA', true,
       1 + n % 97, 'USD', 'bench', 1, 1, now()
from generate_series(0, $2::int - 1) as n
on conflict (tenant, sku) do nothing
"""
_POSITIONS = """
insert into availability.position
select $1, 'WH-1', item, 'main', 'sellable', '', 1000000, -1, -1, '', now() from items.item where tenant = $1
"""
_LINES = """
insert into availability.stock_line (tenant, item, location, owner, on_hand, sellable, as_of)
select tenant, item, location, owner, amount, amount, as_of from availability.position
"""


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.acceptance")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load per phase")
    parser.add_argument("--warm", type=float, default=4.0, help="seconds of load that are not counted")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--lines", type=int, default=10)
    parser.add_argument("--rates", type=float, nargs="*", help="instead of half of what was reached")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    given = parser.parse_args()
    print(_machine(), file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="bench-acceptance-") as folder:
        found = asyncio.run(measure(Path(folder), given))
    print(json.dumps(found))


async def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Engines up, the gateway on them, load, and the count."""
    async with Engines(folder / "engines", only={"postgres", "valkey"}) as urls:
        settings, _, credentials = await prepare(folder, urls, given.seed)
        text = settings.read_text(encoding="utf-8")
        settings.write_text(text.replace("[http]\n", f"[http]\nworkers = {given.workers}\n"), encoding="utf-8")
        connection = await asyncpg.connect(urls.postgres)
        await connection.execute("delete from items.item")
        await connection.execute(_STOCK, TENANT, given.items)
        await connection.execute(_POSITIONS, TENANT)
        await connection.execute(_LINES)
        await connection.execute("analyze items.item, availability.position, availability.stock_line")
        await connection.close()
        phases = await asyncio.to_thread(_phases, folder, settings, urls.postgres, credentials, given)
        return {"phases": phases, **await checker.count(urls.postgres), **vars(given)}


async def _analyze(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("analyze")
    await connection.close()


def _phases(
    folder: Path, settings: Path, url: str, credentials: list[Any], given: argparse.Namespace
) -> dict[str, Any]:
    port = load_settings(settings).http.port
    command = [sys.executable, "-m", "gateway.asgi", "gateway", "--settings", str(settings)]
    log = (folder / "gateway.log").open("w")
    gateway = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=folder, stdout=log, stderr=log)
    try:
        _await(port, gateway)
        tokens = tokens_of(port, credentials, 40)
        plan = {
            "port": port,
            "tokens": tokens,
            "connections": given.connections,
            "items": given.items,
            "lines": given.lines,
        }
        _load(plan, "warm", given.seed, given.warm, None)
        # As autovacuum does within its minute: plans made while a table was empty read all of it until then.
        asyncio.run(_analyze(url))
        lock = folder / "engines" / "postgres" / "postmaster.pid"
        watched = {"gateway": gateway.pid, "postgres": int(lock.read_text(encoding="ascii").split()[0])}
        phases = {"full": _watched(watched, plan, "full", given.seed + 1, given.seconds, None)}
        for number, rate in enumerate(given.rates or [phases["full"]["per_second"] / 2]):
            name = f"rate{rate:.0f}"
            phases[name] = _watched(watched, plan, name, given.seed + 2 + number, given.seconds, rate)
        return phases
    finally:
        gateway.terminate()
        gateway.wait(20)
        log.close()


def _watched(
    watched: dict[str, int], plan: dict[str, Any], name: str, seed: int, seconds: float, rate: float | None
) -> dict[str, Any]:
    before = {program: _spent(parent) for program, parent in watched.items()}
    found = _load(plan, name, seed, seconds, rate)
    for program, parent in watched.items():
        spent = _spent(parent) - before[program]
        found[f"{program}_cpu_ms"] = spent / max(sum(found["statuses"].values()), 1) * 1000
    found["load_average"] = os.getloadavg()[0]
    print(
        f"{name:8} {found['per_second']:7.1f}/s  p50 {found['p50_ms']:6.1f} ms  p99 {found['p99_ms']:6.1f} ms  max "
        f"{found['max_ms']:6.1f} ms  CPU each: gateway {found['gateway_cpu_ms']:.2f} ms, PostgreSQL "
        f"{found['postgres_cpu_ms']:.2f} ms  {found['statuses']}  "
        f"load average {found['load_average']:.1f}  {found['first_refusal'][:600]}",
        file=sys.stderr,
    )
    return found


def _spent(parent: int) -> float:
    """Processor time of a program's processes so far, in seconds."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return sum(map(processor_seconds, map(int, children)))


def _load(plan: dict[str, Any], name: str, seed: int, seconds: float, rate: float | None) -> dict[str, Any]:
    count = int((rate or 1500) * seconds) + 100
    whole = plan | {"name": f"{name}-{seed}", "seed": seed, "seconds": seconds, "rate": rate, "count": count}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.acceptance.load"], input=json.dumps(whole).encode(), capture_output=True,
        check=True, cwd=ROOT, timeout=seconds + 120,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
