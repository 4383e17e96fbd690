"""OpenTelemetry traces: one provider per process, batched, and no SDK at all where nothing is exported.

Spans go to a collector by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp), from a thread of their
own: a collector that is slow or away costs spans, never a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

_QUEUE: Final = 8192
_TIMEOUT_S: Final = 5.0


def to_collector(endpoint: str, headers: Mapping[str, str]) -> SpanExporter:
    """What sends spans to the OTLP/HTTP `endpoint`, path included; no proxy and no credentials of the environment."""
    session = requests.Session()
    session.trust_env = False
    return OTLPSpanExporter(endpoint=endpoint, headers=dict(headers), timeout=_TIMEOUT_S, session=session)


def open_tracing(
    exporter: SpanExporter | None, *, service: str, version: str
) -> tuple[trace.Tracer | None, Callable[[], None]]:
    """A tracer that exports to `exporter`, and what sends the rest and closes it; none where there is no exporter.

    Sampling is decided at the door before the SDK is touched, so every span that reaches the SDK is kept.
    """
    if exporter is None:
        return None, lambda: None
    resource = Resource.create({"service.name": service, "service.version": version})
    provider = TracerProvider(resource=resource, sampler=ALWAYS_ON)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_QUEUE))
    return provider.get_tracer("crossdock", version), provider.shutdown
