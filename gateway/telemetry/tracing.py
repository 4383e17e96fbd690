"""OpenTelemetry traces: one provider per process, batched, and no SDK at all where nothing is exported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

_QUEUE: Final = 8192


def open_tracing(
    exporter: SpanExporter | None, *, service: str, version: str
) -> tuple[trace.Tracer | None, Callable[[], None]]:
    """A tracer that exports to `exporter`, and what closes it; no tracer where there is no exporter.

    Sampling is decided at the door before the SDK is touched, so every span that reaches the SDK is kept.
    """
    if exporter is None:
        return None, lambda: None
    resource = Resource.create({"service.name": service, "service.version": version})
    provider = TracerProvider(resource=resource, sampler=ALWAYS_ON)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_QUEUE))
    return provider.get_tracer("crossdock", version), provider.shutdown
