"""``make bench-acceptance``: orders per second through the door and through FastAPI, and p99 at half that rate.

Fresh engines and one record; the gateway as `crossdock up` starts it and its peer stand beside each other, with as many
processes, and are driven in turn by a load in a process of its own, everything on the same cores. What was accepted is
counted in the record by `checker`. No worker runs: acceptance ends at the commit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.acceptance import checker
from benchmarks.acceptance.books import analyze, open_books
from benchmarks.acceptance.sides import ours_serving, peer_serving
from benchmarks.edge.site import ABOUT_PEER, tokens_of
from benchmarks.processes import ROOT, machine, seconds_of_children
from gateway.engines import Engines


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.acceptance")
    parser.add_argument("--seconds", type=float, default=8.0, help="of load per phase")
    parser.add_argument("--rounds", type=int, default=3, help="of both sides in turn, as fast as answers come")
    parser.add_argument("--warm", type=float, default=4.0, help="seconds of load that are not counted")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2, help="processes of each side")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--lines", type=int, default=10)
    parser.add_argument("--rates", type=float, nargs="*", help="instead of half of what ours reached; each as often")
    parser.add_argument("--alone", action="store_true", help="without the peer")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    given = parser.parse_args()
    print(ABOUT_PEER, machine(), sep="\n", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="bench-acceptance-") as folder:
        found = asyncio.run(measure(Path(folder), given))
    print(json.dumps(found))


async def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Engines up, both sides on them, load, and the count."""
    async with Engines(folder / "engines", only={"postgres", "valkey"}) as urls:
        settings, credentials = await open_books(
            folder, urls, seed=given.seed, items=given.items, workers=given.workers
        )  # fmt: skip
        phases = await asyncio.to_thread(_phases, folder, settings, urls.postgres, credentials, given)
        return {**_figures(phases), "phases": phases, **await checker.count(urls.postgres), **vars(given)}


def _phases(
    folder: Path, settings: Path, url: str, credentials: list[Any], given: argparse.Namespace
) -> list[dict[str, Any]]:
    lock = folder / "engines" / "postgres" / "postmaster.pid"
    postgres = int(lock.read_text(encoding="ascii").split()[0])
    with ExitStack() as served:
        port, ours = served.enter_context(ours_serving(settings))
        sides = {"ours": (port, {"server": ours, "postgres": postgres})}
        if not given.alone:
            beside, peer = served.enter_context(peer_serving(settings, port))
            sides["fastapi"] = (beside, {"server": peer, "postgres": postgres})
        plan = {"tokens": tokens_of(port, credentials, 40), **_taken(given, "connections", "items", "lines")}
        for name, (at, _) in sides.items():
            _load(plan | {"port": at}, f"warm-{name}", given.seed, given.warm, None)
        asyncio.run(analyze(url))
        return list(_rounds(sides, plan, given))


def _rounds(sides: dict[str, tuple[int, dict[str, int]]], plan: dict[str, Any], given: Any) -> list[dict[str, Any]]:
    """Both as fast as they can, then both at the same rates, each in turn. No two phases send the same orders."""
    phases: list[dict[str, Any]] = []

    def drive(phase: str, seed: int, rate: float | None) -> None:
        for side, (port, watched) in list(sides.items())[:: -1 if seed % 2 else 1]:
            found = _watched(watched, plan | {"port": port}, f"{phase}-{side}", seed, given.seconds, rate)
            phases.append({"phase": phase, "side": side, **found})

    for number in range(given.rounds):
        drive(f"full{number}", given.seed + 1 + number, None)
    # Who is first after a phase at full speed bears what that left behind (a checkpoint, say): in turn, here too.
    for number, rate in enumerate((given.rates or [_reached(phases, "ours") / 2]) * given.rounds):
        drive(f"rate{rate:.0f}", given.seed + 100 + number, rate)
    return phases


def _reached(phases: list[dict[str, Any]], side: str) -> float:
    return statistics.median(_full(phases, side, "per_second"))


def _full(phases: list[dict[str, Any]], side: str, figure: str) -> list[float]:
    return [each[figure] for each in phases if each["side"] == side and each["phase"].startswith("full")]


def _half(phases: list[dict[str, Any]], side: str) -> float:
    limited = [each for each in phases if each["side"] == side and not each["phase"].startswith("full")]
    return statistics.median(each["p99_ms"] for each in limited)


def _figures(phases: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds; ratios are the medians of the ratios of each round. CPU is the server's own, an order's.

    `post_p99_ms_at_half` is at half of what ours reached, for either side: the median of its rounds.
    """
    half = {side: _half(phases, side) for side in {each["side"] for each in phases}}
    found = {
        "post_orders_per_s": round(_reached(phases, "ours")),
        "post_p99_ms_at_half": round(half["ours"]),
        "post_cpu_ms": round(statistics.median(_full(phases, "ours", "server_cpu_ms")), 2),
    }
    if "fastapi" not in half:
        return found
    rates = zip(_full(phases, "ours", "per_second"), _full(phases, "fastapi", "per_second"), strict=True)
    spent = zip(_full(phases, "fastapi", "server_cpu_ms"), _full(phases, "ours", "server_cpu_ms"), strict=True)
    return found | {
        "post_vs_fastapi": round(statistics.median(ours / peer for ours, peer in rates), 2),
        "post_vs_fastapi_cpu": round(statistics.median(peer / ours for peer, ours in spent), 2),
        "post_fastapi_per_s": round(_reached(phases, "fastapi")),
        "post_fastapi_p99_ms_at_half": round(half["fastapi"]),
    }


def _taken(given: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(given, name) for name in names}


def _watched(
    watched: dict[str, int], plan: dict[str, Any], name: str, seed: int, seconds: float, rate: float | None
) -> dict[str, Any]:
    before = {program: seconds_of_children(parent) for program, parent in watched.items()}
    found = _load(plan, name, seed, seconds, rate)
    for program, parent in watched.items():
        after = seconds_of_children(parent)
        spent = sum(seconds - before[program].get(child, 0.0) for child, seconds in after.items())
        found[f"{program}_cpu_ms"] = spent / max(sum(found["statuses"].values()), 1) * 1000
    found["load_average"] = os.getloadavg()[0]
    print(
        f"{name:16} {found['per_second']:7.1f}/s  p50 {found['p50_ms']:6.1f} ms  p99 {found['p99_ms']:6.1f} ms  max "
        f"{found['max_ms']:6.1f} ms  CPU each: server {found['server_cpu_ms']:.2f} ms, PostgreSQL "
        f"{found['postgres_cpu_ms']:.2f} ms  {found['statuses']}  "
        f"load average {found['load_average']:.1f}  {found['first_refusal'][:600]}",
        file=sys.stderr,
    )
    return found


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
