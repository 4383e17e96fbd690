"""Counters cheap enough for every request: a dictionary here, read by an observable instrument when somebody looks.

Recording through the SDK costs 9 µs; adding to a dictionary costs a tenth of one. Label values must come from small,
known sets (route ids, statuses, outcomes), never from a request. `Counters.families` is what a worker tells the server
that gathers the figures of all (`gateway/telemetry/gathered.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from gateway.kernel.errors import Misconfigured

_MOST_SERIES: Final = 10_000


class Kind(StrEnum):
    """What a figure is, and what several workers' figures make together.

    A counter only rises: the sum, of workers that have ended too. A gauge tells what is: the sum of those that live.
    An `EACH` is a gauge of which a sum says nothing: it is told of each worker.
    """

    COUNTER = "counter"
    GAUGE = "gauge"
    EACH = "each"


class Family(Struct, frozen=True):
    """One metric of one process: its series as label values, in the order of `labels`, and figure."""

    name: str
    help: str
    kind: Kind
    labels: tuple[str, ...]
    series: list[tuple[tuple[str, ...], float]]


class Counter:
    """A number that only rises, per combination of label values. `labels` names them."""

    __slots__ = ("_values", "help", "labels", "name")
    kind: Final = Kind.COUNTER

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.help = help_text
        self.labels = tuple(labels)
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, *values: str, amount: float = 1) -> None:
        """Count `amount` for one combination of label values, in the order of `labels`."""
        known = self._values.get(values)
        if known is not None:
            self._values[values] = known + amount
        elif len(self._values) < _MOST_SERIES:
            self._values[values] = amount

    def series(self) -> Iterator[tuple[dict[str, str], float]]:
        """Every combination with its value."""
        for values, total in list(self._values.items()):
            yield dict(zip(self.labels, values, strict=True)), total

    def observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        """What an observable instrument calls."""
        return [Observation(total, attributes) for attributes, total in self.series()]


class CountedElsewhere:
    """A figure that somebody else keeps, in a shape that is cheaper to write; `read` tells it when asked."""

    __slots__ = ("_read", "help", "kind", "name")

    def __init__(
        self,
        name: str,
        help_text: str,
        read: Callable[[], Iterable[tuple[dict[str, str], float]]],
        kind: Kind = Kind.COUNTER,
    ) -> None:
        self.name = name
        self.help = help_text
        self.kind = kind
        self._read = read

    def series(self) -> Iterator[tuple[dict[str, str], float]]:
        """Every combination with its value."""
        return iter(self._read())

    def observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        """What an observable instrument calls."""
        return [Observation(total, attributes) for attributes, total in self.series()]


class Counters:
    """All counters of a process, by name."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter | CountedElsewhere] = {}

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """The counter `name`, made on first use."""
        known = self._counters.setdefault(name, Counter(name, help_text, labels))
        if not isinstance(known, Counter):
            raise Misconfigured(f"the counter {name} is kept elsewhere")
        return known

    def show(self, counter: CountedElsewhere) -> None:
        """Show what is kept elsewhere beside the others."""
        self._counters[counter.name] = counter

    def register(self, meter: Meter) -> None:
        """Show everything made so far to OpenTelemetry."""
        for each in self._counters.values():
            make = meter.create_observable_counter if each.kind is Kind.COUNTER else meter.create_observable_gauge
            make(each.name, [each.observe], description=each.help)

    def families(self) -> list[Family]:
        """Everything as it stands now."""
        return [_family(each) for each in self._counters.values()]


def _family(counter: Counter | CountedElsewhere) -> Family:
    series = list(counter.series())
    labels = tuple(series[0][0]) if series else ()
    told = [(tuple(values[name] for name in labels), float(figure)) for values, figure in series]
    return Family(counter.name, counter.help, counter.kind, labels, told)
