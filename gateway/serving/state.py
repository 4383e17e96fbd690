"""What a worker holds at the moment, shown beside what it has counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from gateway.edge.doorway import Doorway
from gateway.telemetry.counters import CountedElsewhere, Counters, Kind

_MODES = ("shared", "store_down")
_STATES = ("closed", "half_open", "open")


class HasMode(Protocol):
    """A limiter: ``shared`` or ``store_down``."""

    @property
    def mode(self) -> str:
        """Which of the two it is in now."""


class HasState(Protocol):
    """A breaker: ``closed``, ``half_open`` or ``open``."""

    name: str

    @property
    def state(self) -> str:
        """Which of the three it is in now."""


def show_breakers(counters: Counters, breakers: Callable[[], Iterable[HasState]]) -> None:
    """Show the state of each system's breaker in `counters`, as the number of processes that see it so."""

    def states() -> Iterable[tuple[dict[str, str], float]]:
        for breaker in breakers():
            state = breaker.state
            yield from (({"system": breaker.name, "state": each}, each == state) for each in _STATES)

    text = "Workers by the state of a system's breaker."
    counters.show(CountedElsewhere("crossdock_breaker_state", text, states, Kind.GAUGE))


def show_state(
    counters: Counters,
    doorway: Doorway,
    *,
    limiters: Mapping[str, HasMode],
    breakers: Callable[[], Iterable[HasState]],
    configuration: Callable[[], int],
) -> None:
    """Show it in `counters`. Modes and states are told as the number of workers in each."""

    def modes() -> Iterable[tuple[dict[str, str], float]]:
        for name, limiter in limiters.items():
            mode = limiter.mode
            yield from (({"limit": name, "mode": each}, each == mode) for each in _MODES)

    show_breakers(counters, breakers)
    for name, text, read, kind in (
        (
            "crossdock_requests_in_flight",
            "Requests being served, streams among them.",
            lambda: [({}, doorway.in_flight)],
            Kind.GAUGE,
        ),
        ("crossdock_streams_open", "Open streams.", lambda: [({}, doorway.streams)], Kind.GAUGE),
        ("crossdock_rate_limit_mode", "Workers by the mode that a limit is in.", modes, Kind.GAUGE),
        (
            "crossdock_configuration_version",
            "The configuration that a worker holds.",
            lambda: [({}, configuration())],
            Kind.EACH,
        ),
    ):
        counters.show(CountedElsewhere(name, text, read, kind))
