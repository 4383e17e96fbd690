"""The span of a call to another system, a child of the request's: made only where that one is exported.

Names and attributes follow OpenTelemetry's semantic conventions for HTTP clients. Query and headers are left out:
vendors put keys there.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self
from urllib.parse import urlsplit

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

if TYPE_CHECKING:
    from contextvars import Token

    from gateway.outbound.telling import Telling

_ANSWERED: Final = 3  # digits of a status


class Traces(Protocol):
    """Who may hold a tracer: `Outbound`."""

    tracer: trace.Tracer | None


class Calling:
    """Current in its block, so that ``traceparent`` names it; ends with what `Telling` was told."""

    __slots__ = ("_method", "_span", "_system", "_token", "_told", "_traces", "_url")

    def __init__(self, traces: Traces | None, told: Telling, system: str, method: str, url: str) -> None:
        self._traces = traces
        self._told = told
        self._system = system
        self._method = method
        self._url = url
        self._span: trace.Span | None = None
        self._token: Token[context.Context] | None = None

    def __enter__(self) -> Self:
        tracer = self._traces.tracer if self._traces is not None else None
        if tracer is None or not trace.get_current_span().is_recording():
            return self
        target = urlsplit(self._url)
        self._span = tracer.start_span(
            f"{self._method} {self._system}",
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": self._method,
                "server.address": target.hostname or "",
                "url.path": target.path,
                "crossdock.system": self._system,
            },
        )
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        if self._span is None or self._token is None:
            return
        outcome = self._told.outcome
        if len(outcome) == _ANSWERED and outcome.isdigit():
            self._span.set_attribute("http.response.status_code", int(outcome))
        if error is not None:
            self._span.set_attribute("error.type", getattr(error, "code", type(error).__name__))
            self._span.set_status(Status(StatusCode.ERROR))
        if self._told.attempts > 1:
            self._span.set_attribute("http.request.resend_count", self._told.attempts - 1)
        context.detach(self._token)
        self._span.end()
