"""What is not settled, as metrics: how many differences by class, and how old the eldest is."""

from __future__ import annotations

from typing import Any, Final

from gateway.kernel.errors import Unavailable
from gateway.telemetry.counters import Family, Kind
from process_apis.reconciliation.process import Reconciliation

_LABELS: Final = ("what", "class", "state")


class Tallies:
    """Read from the record when asked."""

    def __init__(self, reconciliation: Reconciliation, tenant: str) -> None:
        self._reconciliation = reconciliation
        self._tenant = tenant

    async def families(self) -> list[Family]:
        """Nothing where the record is away: another figure says so."""
        try:
            rows = await self._reconciliation.tallies(self._tenant)
        except Unavailable:
            return []
        return [
            Family(
                "crossdock_reconciliation_findings",
                "Differences that are not settled: open ones wait for a person, adjusting ones for an ERP.",
                Kind.GAUGE,
                _LABELS,
                [(_key(row), float(row["number"])) for row in rows],
            ),
            Family(
                "crossdock_reconciliation_oldest_seconds",
                "Since when the eldest of them is known.",
                Kind.GAUGE,
                _LABELS,
                [(_key(row), row["oldest"]) for row in rows],
            ),
        ]


def _key(row: Any) -> tuple[str, str, str]:
    return row["what"], row["class"], row["state"]
