"""What the server tells of itself and its workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from gateway.serving.member import Member, Shown, State
from gateway.telemetry.counters import Family, Kind


class Roll(Struct, frozen=True, kw_only=True):
    """The last rolling restart: `number` counts them since the server's start, `detail` says why one failed."""

    number: int = 0
    state: Literal["none", "rolling", "done", "failed"] = "none"
    detail: str = ""


class Status(Struct, frozen=True, kw_only=True):
    """The server's process and the name of its host, its last roll, and every worker."""

    host: str
    pid: int
    roll: Roll
    workers: list[Shown]


def own_families(
    members: Sequence[Member], answered: Mapping[str, bool], *, started: Mapping[int, int], died: int
) -> list[Family]:
    """The server's own figures, in the shape of a worker's."""
    by_state = Counter(member.state for member in members)
    return [
        Family(
            "crossdock_workers",
            "Worker processes by what they are doing.",
            Kind.GAUGE,
            ("state",),
            [((state.value,), by_state[state]) for state in State],
        ),
        Family(
            "crossdock_worker_answers",
            "1 when the worker told its figures for this scrape, 0 when they are its last ones.",
            Kind.GAUGE,
            ("worker",),
            [((str(each.slot + 1),), answered.get(each.name, False)) for each in members if each.state != "retiring"],
        ),
        Family(
            "crossdock_worker_starts_total",
            "Worker processes that were started.",
            Kind.COUNTER,
            ("worker",),
            [((str(slot + 1),), count) for slot, count in sorted(started.items())],
        ),
        Family("crossdock_worker_deaths_total", "Worker processes that died.", Kind.COUNTER, (), [((), died)]),
    ]
