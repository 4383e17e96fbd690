"""How fast a core is while something is measured on it, told by a piece of arithmetic that is always the same.

A virtual core has half of its speed while a neighbour uses the physical one, and the guest counts next to nothing of
that: the same work then costs twice the processor time. So a process beside the server does the arithmetic every 20 ms,
on the server's core, and notes what the server had spent by then; windows between two readings that took about as long
as the quickest of the whole run are those in which the core was the server's. It takes about 2 % of the core from all
alike.

As a process of its own: ``python -m benchmarks.edge.yardstick PID CORE SECONDS`` prints the readings as JSON.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.processes import ROOT

_EVERY: Final = 0.02
_STEPS: Final = 3000
_ABOUT: Final = 1.25
_FEWEST: Final = 1000  # requests
_MARGIN_MS: Final = 10


class Reading(NamedTuple):
    """At a monotonic instant, in seconds: nanoseconds of processor of the arithmetic, and of the process so far."""

    at: float
    yardstick: int
    spent: int


class Window(NamedTuple):
    """Between two readings: the slower of both yardsticks, what was spent (nanoseconds), requests answered."""

    yardstick: int
    spent: int
    answered: int


def beside(pid: int, core: int, seconds: float) -> subprocess.Popen[bytes]:
    """Begin to take readings of the process `pid` on its `core`."""
    command = [sys.executable, "-m", "benchmarks.edge.yardstick", str(pid), str(core), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


def windows(readings: subprocess.Popen[bytes], answered: Mapping[str, int]) -> list[Window]:
    """The windows of `readings` that lie within the load, whose answers stand by their millisecond (`load.py`)."""
    told, _ = readings.communicate()
    by_millisecond = {int(millisecond): count for millisecond, count in answered.items()}
    return between([Reading(*reading) for reading in json.loads(told)], by_millisecond)


def between(readings: Sequence[Reading], answered: Mapping[int, int]) -> list[Window]:
    """See `windows`. The margins, in which connections open and close, are left out."""
    begins, ends = min(answered) + _MARGIN_MS, max(answered) - _MARGIN_MS
    found: list[Window] = []
    for earlier, later in pairwise(readings):
        since, until = int(earlier.at * 1000), int(later.at * 1000)
        if begins <= since and until <= ends:
            count = sum(answered.get(millisecond, 0) for millisecond in range(since, until))
            found.append(Window(max(earlier.yardstick, later.yardstick), later.spent - earlier.spent, count))
    return found


def quickest(found: Sequence[Window]) -> int:
    """The arithmetic on a core that is ours: the hundredth part of the run at which it was quickest."""
    return sorted(window.yardstick for window in found)[len(found) // 100] if found else 0


def at_full_speed(found: Sequence[Window], quickest: int) -> tuple[float | None, float]:
    """Microseconds of processor a request at full speed, None of too few; and the share of such windows."""
    full = [window for window in found if window.yardstick <= quickest * _ABOUT]
    answered = sum(window.answered for window in full)
    share = len(full) / len(found) if found else 0.0
    return (sum(window.spent for window in full) / answered / 1000 if answered >= _FEWEST else None), share


def _take(pid: int, core: int, seconds: float) -> list[Reading]:
    os.sched_setaffinity(0, {core})
    gc.disable()
    files = [os.open(path / "schedstat", os.O_RDONLY) for path in Path(f"/proc/{pid}/task").iterdir()]
    readings: list[Reading] = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        begun = time.thread_time_ns()
        total = 0
        for step in range(_STEPS):
            total += step * step
        took = time.thread_time_ns() - begun
        spent = sum(int(os.pread(file, 64, 0).split()[0]) for file in files)
        readings.append(Reading(time.perf_counter(), took, spent))
        time.sleep(_EVERY)
    return readings


if __name__ == "__main__":
    print(json.dumps(_take(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))))
