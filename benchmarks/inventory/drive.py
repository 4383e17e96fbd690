"""Starts load processes on cores of their own, lets them begin together, gathers what they counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

from benchmarks.processes import ROOT


def drive(plans: list[dict[str, Any]], patience: float = 300) -> dict[str, Any]:
    """Carry out `plans`, a process each; sums, and percentiles over all of them."""
    allowed = sorted(os.sched_getaffinity(0))
    running = [_start(plan, allowed[number % len(allowed)]) for number, plan in enumerate(plans)]
    try:
        for process in running:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise SystemExit("a load process did not start: see its traceback above")
        for process in running:
            _say(process, b"go\n")
        told = [json.loads(process.communicate(timeout=patience)[0]) for process in running]
    finally:
        for process in running:
            process.kill()
    return _sum(told)


def _sum(told: list[dict[str, Any]]) -> dict[str, Any]:
    if any(each["work_left"] == 0 for each in told) and len({each["seconds"] // 5 for each in told}) > 1:
        print("one process ran out of work long before another", file=sys.stderr)
    latencies = sorted(each for one in told for each in one["latencies_ms"]) or [0.0]
    outcomes: Counter[str] = Counter()
    for one in told:
        outcomes.update(one["outcomes"])
    return {
        "seconds": max(each["seconds"] for each in told),
        "cpu_s": sum(each["cpu_s"] for each in told),
        "outcomes": dict(outcomes),
        "p50_ms": latencies[len(latencies) // 2],
        "p99_ms": latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))],
        "most_mb": max(each["most_mb"] for each in told),
        "load_average": os.getloadavg()[0],
    }


def _start(plan: dict[str, Any], core: int) -> subprocess.Popen[bytes]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # of this thread: what it starts inherits it
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.inventory.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
    finally:
        os.sched_setaffinity(0, allowed)
    _say(process, json.dumps(plan).encode() + b"\n")
    return process


def _say(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.flush()
