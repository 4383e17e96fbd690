"""The figures of all workers of a server, made one.

Each worker tells its own (`Counters.families`). Counters of workers that have ended are kept as they were last told, so
that no sum ever falls; their gauges end with them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.telemetry.counters import Family, Kind

WORKER_LABEL: Final = "worker"
_Series = dict[tuple[str, ...], float]


class _Sum:
    """One metric of several workers."""

    def __init__(self, family: Family) -> None:
        self.help = family.help
        self.kind = family.kind
        self.labels = family.labels
        self.series: _Series = {}

    def add(self, family: Family) -> None:
        self.labels = self.labels or family.labels
        for values, figure in family.series:
            self.series[values] = self.series.get(values, 0.0) + figure


class Gathered(Collector):
    """What was told by each worker, by name, and what the ended ones leave. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, Sequence[Family]] = {}
        self._left: dict[str, _Sum] = {}
        self.registry: Final = CollectorRegistry()
        self.registry.register(self)

    def tell(self, worker: str, families: Sequence[Family]) -> None:
        """Take a worker's figures in the place of its earlier ones."""
        with self._lock:
            self._told[worker] = families

    def end(self, worker: str) -> None:
        """Keep what the counters of a worker that has ended said last."""
        with self._lock:
            _add(self._left, (each for each in self._told.pop(worker, ()) if each.kind is Kind.COUNTER))

    def exposition(self) -> str:
        """All of it in the Prometheus text format."""
        return generate_latest(self.registry).decode()

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing beforehand: what there is shows when it is gathered."""
        return iter(())

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The sums, for the registry."""
        with self._lock:
            told = {worker: list(families) for worker, families in self._told.items()}
            sums: dict[str, _Sum] = {}
            for name, left in self._left.items():
                _add(sums, [Family(name, left.help, left.kind, left.labels, list(left.series.items()))])
        for worker, families in told.items():
            _add(sums, (_of_one(worker, each) if each.kind is Kind.EACH else each for each in families))
        return (_metric(name, each) for name, each in sums.items())


def _add(sums: dict[str, _Sum], families: Iterable[Family]) -> None:
    for family in families:
        sums.setdefault(family.name, _Sum(family)).add(family)


def _of_one(worker: str, family: Family) -> Family:
    """`family` with its worker's slot as a label; a worker is named by slot and number (``1.3``)."""
    slot = worker.partition(".")[0]
    series = [((slot, *values), figure) for values, figure in family.series]
    return Family(family.name, family.help, family.kind, (WORKER_LABEL, *family.labels), series)


def _metric(name: str, told: _Sum) -> CounterMetricFamily | GaugeMetricFamily:
    make = CounterMetricFamily if told.kind is Kind.COUNTER else GaugeMetricFamily
    metric = make(name, told.help, labels=told.labels)
    series: Mapping[tuple[str, ...], float] = told.series
    for values, figure in series.items():
        if len(values) == len(told.labels):
            metric.add_metric(values, figure)
    return metric
