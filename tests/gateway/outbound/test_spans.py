"""Calls made within a traced request are spans of its trace, and cost nothing elsewhere."""

import httpx
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gateway.kernel.errors import OutcomeUnknown
from gateway.outbound.door import Outbound

from .conftest import Wire


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("test")
    provider.shutdown()


@pytest.fixture
def asking(clock):
    """A session of a process that exports with `tracer`, whose network is `wire`."""

    def make(tracer, wire):
        outbound = Outbound(clock, transport=lambda _: httpx.MockTransport(wire))
        outbound.tracer = tracer
        return outbound.session("erp", "https://erp.example/base")

    return make


async def test_a_call_within_a_traced_request_is_its_child_and_tells_the_system_of_itself(
    asking, tracer, exporter, call
):
    wire = Wire(httpx.ReadError("cut"), 503, 200)
    with tracer.start_as_current_span("door") as door:
        await asking(tracer, wire).request("GET", "/items?key=secret", call=call, safe=True)
    made, _ = exporter.get_finished_spans()
    assert (made.name, made.kind, made.parent.span_id) == ("GET erp", SpanKind.CLIENT, door.get_span_context().span_id)
    assert dict(made.attributes) == {
        "http.request.method": "GET",
        "server.address": "erp.example",
        "url.path": "/base/items",
        "crossdock.system": "erp",
        "http.response.status_code": 200,
        "http.request.resend_count": 2,
    }
    told = {tuple(sent.headers["traceparent"].split("-")[:3]) for sent in wire.sent}
    assert told == {("00", f"{made.context.trace_id:032x}", f"{made.context.span_id:016x}")}
    assert len(wire.sent) == 3


async def test_a_call_that_fails_says_how(asking, tracer, exporter, call):
    with tracer.start_as_current_span("door"), pytest.raises(OutcomeUnknown):
        await asking(tracer, Wire(httpx.ReadError("cut"))).request("POST", "/", call=call, safe=False)
    made = exporter.get_finished_spans()[0]
    assert made.attributes["error.type"] == "outbound.outcome_unknown"
    assert made.status.status_code is StatusCode.ERROR
    assert "http.response.status_code" not in made.attributes


@pytest.mark.parametrize("exported", [True, False])
async def test_outside_a_traced_request_nothing_is_made(asking, tracer, exporter, call, exported):
    wire = Wire(200)
    token = context.attach(trace.set_span_in_context(trace.INVALID_SPAN))
    await asking(tracer if exported else None, wire).request("GET", "/", call=call, safe=True)
    context.detach(token)
    assert exporter.get_finished_spans() == ()
    assert "traceparent" not in wire.sent[0].headers
