from datetime import UTC, datetime

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from gateway.outbound.hygiene import checked_headers, retry_after_seconds

NOW = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("999999", 3600),
        ("Sat, 21 Nov 2026 10:01:30 GMT", 90),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0),
        ("soon", 1),
        (None, 1),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value, seconds):
    assert retry_after_seconds(value, NOW) == seconds


def test_inside_a_span_its_context_goes_along():
    with trace.use_span(TracerProvider().get_tracer("test").start_span("work")) as span:
        headers = checked_headers({"x-a": "b"}, "cor_1")
    context = span.get_span_context()
    assert headers["traceparent"] == f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    assert "traceparent" not in checked_headers({}, "cor_1")
