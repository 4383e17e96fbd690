"""Ids for every request; spans for a sample; a partner's context links and never commands."""

import os

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.kernel.exchange import Exchange, Reply, Route
from gateway.kernel.ids import request_named_at
from policies.trace.options import TraceOptions
from policies.trace.policy import Trace

THEIRS = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def exchange(**headers):
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
    made = Exchange(scope, None, 0.0)
    made.headers = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return made


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("test")
    provider.shutdown()


def test_every_request_gets_an_id_of_ours_and_tells_it():
    policy, seen = Trace(), set()
    for _ in range(100):
        request = exchange(x_request_id=b"theirs")
        policy.admit(request)
        seen.add(request.request_id)
        assert request.reply_headers == [(b"x-request-id", request.request_id.encode())]
        assert request.correlation_id == request.request_id
        assert not request.sampled
    assert len(seen) == 100


def test_a_well_formed_correlation_id_is_kept():
    request = exchange(x_correlation_id=b"order-42.a:b")
    Trace().admit(request)
    assert request.correlation_id == "order-42.a:b"


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 65, b"a\nb", b"\xff", b"-a"])
def test_a_malformed_correlation_id_is_replaced(given):
    request = exchange(x_correlation_id=given)
    Trace().admit(request)
    assert request.correlation_id == request.request_id


def test_a_sampled_request_is_a_new_root_with_a_link_to_theirs(tracer, exporter):
    policy = Trace(TraceOptions(sample=1.0), tracer)
    request = exchange(traceparent=THEIRS)
    policy.admit(request)
    request.route = Route(id="GET /x/{id}", method="GET", template="/x/{id}", api="x", version="v1", zone=None)
    request.reply = Reply(404, [], b"")
    policy.conclude(request)
    (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert f"{span.context.trace_id:032x}" == request.trace_id != THEIRS[3:35].decode()
    assert f"{span.links[0].context.trace_id:032x}" == THEIRS[3:35].decode()
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET /x/{id}", 404)
    assert span.status.is_unset


def test_a_server_error_is_an_error(tracer, exporter):
    policy = Trace(TraceOptions(sample=1.0), tracer)
    request = exchange()
    policy.admit(request)
    request.reply = Reply(503, [], b"")
    policy.conclude(request)
    assert not exporter.get_finished_spans()[0].status.is_ok


def test_a_partner_cannot_force_sampling(tracer, exporter):
    policy = Trace(TraceOptions(sample=0.0), tracer)
    request = exchange(traceparent=THEIRS)
    policy.admit(request)
    policy.conclude(request)
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    "given", [b"", b"junk", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", b"00-" + b"z" * 32 + b"-b7ad6b7169203331-01"]
)
def test_a_malformed_traceparent_is_no_link(tracer, exporter, given):
    policy = Trace(TraceOptions(sample=1.0), tracer)
    request = exchange(traceparent=given)
    policy.admit(request)
    policy.conclude(request)
    assert exporter.get_finished_spans()[0].links == ()


def test_the_id_tells_the_second_in_which_it_was_made_and_follows_the_clock(monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr("policies.trace.policy.time.time", lambda: now)
    policy, named = Trace(), []
    for arrived in (0.0, 0.5, 1.0, 7.25):
        now = 1_800_000_000.0 + arrived
        request = exchange()
        request.arrived = arrived
        policy.admit(request)
        named.append((request_named_at(request.request_id).timestamp() - 1_800_000_000.0, arrived))
    assert named == [(0, 0.0), (0, 0.5), (1, 1.0), (7, 7.25)]


def test_workers_that_were_forked_from_one_process_give_out_other_ids():
    reader, writer = os.pipe()
    child = os.fork()
    request = exchange()
    Trace().admit(request)
    if not child:
        os.write(writer, request.request_id.encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)
    assert request_named_at(theirs) is not None
    assert theirs != request.request_id
