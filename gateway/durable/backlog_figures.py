"""How much waits for paced systems, for Prometheus. None while the record is away."""

from __future__ import annotations

from gateway.kernel.errors import Unavailable
from gateway.pacing.places import Backlog
from gateway.pacing.visits import Visits
from gateway.telemetry.counters import Family, Kind


async def backlog_families(visits: Visits) -> list[Family]:
    """By system; empty where nothing is paced."""
    if not visits.paces:
        return []
    try:
        return families_of(list(await visits.backlogs()))
    except Unavailable:
        return []


def families_of(backlogs: list[Backlog]) -> list[Family]:
    """The figures of these systems."""
    figures = (
        (
            "crossdock_pacing_waiting",
            "Turns that wait for a paced system, in the record.",
            [float(each.waiting) for each in backlogs],
        ),
        (
            "crossdock_pacing_visits",
            "Turns that may call a paced system now.",
            [float(each.called) for each in backlogs],
        ),
        (
            "crossdock_pacing_drain_per_second",
            "Visits to a paced system that ended, a second, in the last minute.",
            [each.drain_per_second or 0.0 for each in backlogs],
        ),
    )
    names = [(each.system,) for each in backlogs]
    return [
        Family(name, text, Kind.GAUGE, ("system",), list(zip(names, values, strict=True)))
        for name, text, values in figures
    ]
