"""What is not over, as metrics: how many by class and fault domain, and how old the eldest is."""

from __future__ import annotations

from typing import Final

from gateway.kernel.errors import Unavailable
from gateway.telemetry.counters import Family, Kind
from process_apis.exceptions.process import Exceptions

_LABELS: Final = ("class", "fault_domain")


async def families(exceptions: Exceptions, tenant: str) -> list[Family]:
    """Read from the record when asked; nothing where it is away: another figure says so."""
    try:
        rows = await exceptions.tallies(tenant)
    except Unavailable:
        return []
    return [
        Family(
            "crossdock_exceptions",
            "Entries of the exceptions queue that are not over, up to 10,000.",
            Kind.GAUGE,
            _LABELS,
            [((row["error_class"], row["fault_domain"]), float(row["number"])) for row in rows],
        ),
        Family(
            "crossdock_exceptions_oldest_seconds",
            "Since when the eldest of them stands still.",
            Kind.GAUGE,
            _LABELS,
            [((row["error_class"], row["fault_domain"]), row["oldest"]) for row in rows],
        ),
    ]
