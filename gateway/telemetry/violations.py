"""What did not fit its contract: counted by operation, and told once a minute, so that a flood stays readable."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from gateway.kernel.clock import Clock
from gateway.telemetry.counters import Counters

_log: Final = logging.getLogger("crossdock.validation")
_EVERY: Final = 60.0

Alert = Callable[[str, str, str], None]


class Violations:
    """Of one `direction`, ``request`` or ``response``.

    Each is counted in ``crossdock_<direction>_violations_total`` by operation and outcome (``passed``, ``refused``,
    ``withheld``). At most once a minute and operation it is logged, with the number of those since, and `alert` is
    called with the operation, the request's id and what did not fit: never with what stood there.
    """

    def __init__(self, direction: str, counters: Counters, clock: Clock, alert: Alert | None = None) -> None:
        self._direction = direction
        self._monotonic = clock.monotonic
        self._alert = alert
        self._count = counters.counter(
            f"crossdock_{direction}_violations_total",
            f"A {direction} that did not fit its contract.",
            ("route", "outcome"),
        )
        self._told: dict[str, float] = {}
        self._since: dict[str, int] = {}

    def add(self, route: str, outcome: str, request_id: str, why: str) -> None:
        """Count one, and tell it if it is the first of its operation for a minute."""
        self._count.add(route, outcome)
        now = self._monotonic()
        if now - self._told.get(route, -_EVERY) < _EVERY:
            self._since[route] = self._since.get(route, 0) + 1
            return
        self._told[route] = now
        _log.error(
            "request %s: the %s of %s does not fit its contract (%s): %s; %d more since this was told last",
            *(request_id, self._direction, route, outcome, why, self._since.pop(route, 0)),
        )
        if self._alert is not None:
            self._alert(route, request_id, why)
