"""A collector that is away costs spans, never a request."""

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from gateway.telemetry.tracing import open_tracing


class Away(SpanExporter):
    def __init__(self):
        self.tried = 0

    def export(self, spans):
        self.tried += len(spans)
        raise ConnectionError("no collector")

    def shutdown(self):
        return None


class Kept(Away):
    def export(self, spans):
        self.tried += len(spans)
        return SpanExportResult.SUCCESS


def test_without_an_exporter_there_is_no_tracer_and_closing_does_nothing():
    tracer, close = open_tracing(None, service="crossdock-gateway", version="1")
    assert tracer is None
    close()


def test_closing_sends_what_waits():
    exporter = Kept()
    tracer, close = open_tracing(exporter, service="crossdock-gateway", version="1")
    tracer.start_span("one").end()
    close()
    assert exporter.tried == 1


def test_spans_that_cannot_be_sent_are_lost_and_nobody_else_notices(caplog):
    exporter = Away()
    tracer, close = open_tracing(exporter, service="crossdock-gateway", version="1")
    for _ in range(3):
        tracer.start_span("one").end()
    close()
    assert exporter.tried == 3
