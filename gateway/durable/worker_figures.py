"""Turns by shape and who runs them, for Prometheus. None while the record is away."""

from __future__ import annotations

from gateway.durable.workers import list_shapes
from gateway.kernel.errors import Unavailable
from gateway.store.postgres import Store
from gateway.telemetry.counters import Family, Kind


async def worker_families(store: Store) -> list[Family]:
    """Live workers by shape, and turns that nobody who lives runs: more than none is for a person."""
    try:
        async with store.connection() as connection:
            shapes = await list_shapes(connection)
    except Unavailable:
        return []
    return [
        Family(
            "crossdock_workers",
            "Live workers, by the shape of the turns that they run.",
            Kind.GAUGE,
            ("shape",),
            [((each.shape,), float(each.workers)) for each in shapes],
        ),
        Family(
            "crossdock_turns_left",
            "Turns of a shape that no live worker runs or succeeds.",
            Kind.GAUGE,
            ("shape",),
            [((each.shape,), float(each.waiting + each.delayed + each.running)) for each in shapes if each.is_left],
        ),
    ]
