"""Trace: ids for every request, spans for a sample of them.

The request id is ours and always new; it begins with the second in which it was made, so that `explain` knows where to
look. A partner's ``traceparent`` is not trusted (W3C trace context, 4.2): it starts a
new trace that links to his, and cannot force sampling. Whether to sample is decided before the SDK is touched, because
an unsampled span still costs ten times what this whole policy does. A well-formed ``X-Correlation-Id`` is kept.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gateway.kernel.exchange import Exchange
from policies.trace.options import TraceOptions

_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_CORRELATION: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_SERVER_ERROR: Final = 500
_AT_ONCE: Final = 64
_FRESH_SECONDS: Final = 1.0


class Trace:
    """`tracer` None makes no spans whatever `sample` says."""

    name = "trace"

    def __init__(self, options: TraceOptions | None = None, tracer: otel.Tracer | None = None) -> None:
        share = (options or TraceOptions()).sample if tracer is not None else 0.0
        self._tracer = tracer
        self._bound = int(share * 2**64)
        self._ids: list[tuple[str, str, tuple[bytes, bytes]]] = []
        self._stale_at = 0.0
        self.concludes = tracer is not None

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Name the request; begin its span if it is sampled."""
        ids = self._ids
        if not ids or exchange.arrived >= self._stale_at:
            ids[:] = _fresh_ids()
            self._stale_at = exchange.arrived + _FRESH_SECONDS
        trace_id, request_id, field = ids.pop()
        exchange.trace_id = trace_id
        exchange.request_id = request_id
        given = exchange.headers.get(b"x-correlation-id")
        if given is not None and _CORRELATION.fullmatch(given):
            exchange.correlation_id = given.decode("ascii")
        else:
            exchange.correlation_id = request_id
        exchange.reply_headers.append(field)
        if self._tracer is not None and int(trace_id[16:], 16) < self._bound:
            self._begin(exchange, self._tracer)
        return None

    def _begin(self, exchange: Exchange, tracer: otel.Tracer) -> None:
        span = tracer.start_span(
            exchange.method,
            context=otel_context.Context(),
            kind=SpanKind.SERVER,
            links=_links(exchange.headers.get(b"traceparent")),
            attributes={
                "http.request.method": exchange.method,
                "url.path": exchange.path,
                "client.address": exchange.peer,
                "crossdock.request_id": exchange.request_id,
            },
        )
        exchange.sampled = True
        exchange.trace_id = f"{span.get_span_context().trace_id:032x}"
        exchange.notes["span"] = span
        exchange.notes["span_token"] = otel_context.attach(otel.set_span_in_context(span, otel_context.Context()))

    def conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """End the span with what became of the request; a 4xx is not an error of the server's."""
        span: otel.Span | None = exchange.notes.get("span") if exchange.sampled else None
        if span is None:
            return None
        route, reply = exchange.route, exchange.reply
        if route is not None and route.matched:
            span.update_name(f"{exchange.method} {route.template}")
            span.set_attribute("http.route", route.template)
        if reply is not None:
            span.set_attribute("http.response.status_code", reply.status)
            if reply.status >= _SERVER_ERROR:
                span.set_status(Status(StatusCode.ERROR))
        if exchange.error is not None:
            span.set_attribute("error.type", getattr(exchange.error, "code", type(exchange.error).__name__))
        span.end()
        otel_context.detach(exchange.notes["span_token"])
        return None


def _fresh_ids() -> list[tuple[str, str, tuple[bytes, bytes]]]:
    """Trace id, request id and its header field. Many at once: one by one they would cost more than the whole policy.

    From the system, because a generator of our own goes on alike in every worker that is forked.
    """
    # One text of all of them, cut up: "req_", the second, and 24 digits each.
    digits = os.urandom(12 * _AT_ONCE).hex("-", 12)
    text = f"-{digits}".replace("-", f"req_{int(time.time()):08x}")
    octets = text.encode("ascii")
    return [
        (text[at + 4 : at + 36], text[at : at + 36], (b"x-request-id", octets[at : at + 36]))
        for at in range(0, len(text), 36)
    ]


def _links(traceparent: bytes | None) -> list[Link]:
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent is not None else None
    if match is None:
        return []
    theirs = SpanContext(
        int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16))
    )
    return [Link(theirs)]
