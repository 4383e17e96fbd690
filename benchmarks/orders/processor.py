"""Processor time by kind of process, of all that this process started: on a busy machine wall clocks tell little."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Final

from benchmarks.processes import children_of, own_and_ended_seconds

_KINDS: Final = {
    "gateway.worker": "workers",
    "gateway.asgi": "gateway",
    "benchmarks.orders.people": "people",
    "benchmarks.acceptance.load": "load",
    "regional_erp.sandbox": "erp",
    "regional_wms.sandbox": "warehouses",
    "postgres": "postgres",
    "nats-server": "nats",
    "valkey": "valkey",
}


def seconds_by_kind() -> dict[str, float]:
    """User and system time so far, of what runs and of what those that run had waited for."""
    found: dict[str, float] = defaultdict(float)
    for child in children_of(os.getpid()):
        with suppress(OSError):
            _add(found, child, _kind_of(child))
    return dict(found)


def _add(found: dict[str, float], pid: int, kind: str) -> None:
    found[kind] += own_and_ended_seconds(pid)
    for child in children_of(pid):
        with suppress(OSError):  # it has ended meanwhile, and counts with its parent the next time
            _add(found, child, kind)


def _kind_of(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    return next((kind for part, kind in _KINDS.items() if part in command), "other")
