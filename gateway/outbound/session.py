"""Sessions to systems: one deadline, retries only where safe, a breaker and a bulkhead, and no way to another target.

What the caller learns (errors of `gateway.kernel.errors`):

- `Unavailable`: nothing was done (refused, breaker open, bulkhead full), or the request was `safe` and got no answer.
- `Throttled`: the system answered 429 (RFC 6585), or our own pace has no room within the deadline.
- `OutcomeUnknown`: the request was not `safe`, it may have been sent, and no whole answer came back.
- `BrokenUpstream`: a safe request was answered with something unreadable or too large.

Every other answer, 5xx included, is returned: only the adapter knows what it means. Redirects are answers too.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import httpx
from msgspec import Struct
from pyreqwest.exceptions import PyreqwestError

from gateway.kernel.errors import BrokenUpstream, OutcomeUnknown, Throttled, Unavailable
from gateway.outbound.breakage import Breakage, breakage
from gateway.outbound.breaker import Breaker
from gateway.outbound.bulkhead import Bulkhead
from gateway.outbound.hygiene import checked_headers, checked_target, retry_after_seconds
from gateway.outbound.pace import Pace
from gateway.outbound.retries import RetryBudget
from gateway.outbound.spans import Calling
from gateway.outbound.telling import Telling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.canonical.capabilities import Call
    from gateway.kernel.clock import Clock
    from gateway.kernel.errors import CrossdockError
    from gateway.outbound.breaker import Trial
    from gateway.outbound.budget import Paces
    from gateway.outbound.limits import KeepsWindows, SystemLimits
    from gateway.outbound.spans import Traces

_logger = logging.getLogger(__name__)

_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_WORTH_A_RETRY: Final = frozenset({502, 503, 504})
_NO_ANSWER: Final = "outbound.no_answer"
_HURRIED_S: Final = 1.0


class Response(Struct, frozen=True):
    """An answer: header names in lower case, the body whole and decoded from its content coding."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Session:
    """One system's door out, made by `Outbound.session`. Safe to share between tasks of one event loop."""

    def __init__(
        self,
        name: str,
        base_url: str,
        limits: SystemLimits,
        *,
        clock: Clock,
        transport: httpx.AsyncBaseTransport,
        pace: Paces | None = None,
        spans: Traces | None = None,
        windows: KeepsWindows | None = None,
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.limits = limits
        self.breaker = Breaker(name, clock, failures=limits.breaker_failures, open_for=limits.breaker_open_s)
        self._clock = clock
        self._transport = transport
        self._bulkhead = Bulkhead(name, concurrency=limits.concurrency, queue=limits.queue)
        self._pace: Paces = pace or Pace(name, clock, rate=limits.rate, burst=limits.burst)
        self._budget = RetryBudget()
        self._spans = spans
        self._windows = windows

    async def request(
        self,
        method: str,
        path: str,
        *,
        call: Call,
        body: bytes = b"",
        headers: Mapping[str, str] = {},
        safe: bool,
        timeout: float | None = None,  # noqa: ASYNC109 - combined with the call's deadline here, once for all adapters
    ) -> Response:
        """Send to `path` (absolute, already percent-encoded, query included) below the base URL.

        `safe` says that sending it twice does no harm; only then is it retried. `timeout` (seconds) shortens the
        call's deadline, never extends it.
        """
        url = checked_target(self.base_url, path)
        end = min(call.deadline, self._clock.monotonic() + (self.limits.timeout if timeout is None else timeout))
        self._budget.earn()
        with (
            Telling(call.made, self.name, method, self._clock.monotonic) as told,
            Calling(self._spans, told, self.name, method, url),
        ):
            sent_headers = checked_headers(headers, call.correlation_id)
            while True:
                request = httpx.Request(method, url, headers=sent_headers, content=body)
                attempt, told.attempts = told.attempts, told.attempts + 1
                try:
                    response = await self._attempt(request, end, safe=safe)
                except Unavailable as error:
                    pause = self._retry_after(safe, attempt, end, error)
                    if pause is None:
                        raise
                else:
                    pause = self._retry_after(safe, attempt, end) if response.status in _WORTH_A_RETRY else None
                    if pause is None:
                        told.outcome = str(response.status)
                        return response
                await asyncio.sleep(pause)

    def _retry_after(self, safe: bool, attempt: int, end: float, error: Unavailable | None = None) -> float | None:
        """Seconds until the next attempt, None when there is none."""
        if not safe or attempt >= self.limits.retries or (error is not None and error.code != _NO_ANSWER):
            return None
        return self._budget.spend_on(attempt, left=end - self._clock.monotonic())

    async def _attempt(self, request: httpx.Request, end: float, *, safe: bool) -> Response:
        with self.breaker.admit() as trial:
            await self._pace.turn(self._left(end))
            if not self._bulkhead.take():
                await self._bulkhead.wait(self._left(end))
            try:
                if self._windows is None or not self._windows.holds(self.name):
                    return await self._send(request, end, trial, safe=safe)
                async with self._windows.call(self.name, self._left(end)):
                    return await self._send(request, end, trial, safe=safe)
            finally:
                self._bulkhead.give()

    async def _send(self, request: httpx.Request, end: float, trial: Trial, *, safe: bool) -> Response:
        started = self._clock.monotonic()
        allowed = self._left(end)
        try:
            async with asyncio.timeout(allowed):
                response = await self._exchange(request)
        except (TimeoutError, httpx.HTTPError, PyreqwestError, _TooLarge) as error:
            kind = Breakage.UNREADABLE if isinstance(error, _TooLarge) else breakage(error)
            if kind is Breakage.UNREADABLE:
                trial.succeeded()
            elif kind is not Breakage.SILENT or allowed >= _HURRIED_S:
                trial.failed()
            self._log(request, started, f"failed: {kind.value} ({type(error).__name__})", logging.WARNING)
            raise self._failure(kind, safe=safe) from None
        if response.status >= _SERVER_ERROR:
            trial.failed()
        else:
            trial.succeeded()
        self._log(request, started, f"answered {response.status}", logging.DEBUG)
        return self._unless_throttled(response)

    async def _exchange(self, request: httpx.Request) -> Response:
        answer = await self._transport.handle_async_request(request)
        try:
            chunks: list[bytes] = []
            size = 0
            async for chunk in answer.aiter_bytes():
                size += len(chunk)
                if size > self.limits.max_response_bytes:
                    raise _TooLarge(f"more than {self.limits.max_response_bytes} bytes")
                chunks.append(chunk)
        finally:
            await answer.aclose()
        return Response(answer.status_code, dict(answer.headers), b"".join(chunks))

    def _unless_throttled(self, response: Response) -> Response:
        if response.status != _TOO_MANY:
            return response
        wait = retry_after_seconds(response.headers.get("retry-after"), self._clock.now())
        self._pace.pause(wait)
        raise Throttled(
            f"{self.name} asks us to slow down: nothing was done, try again in {wait:.0f} s",
            code="outbound.throttled",
            retry_after=wait,
        )

    def _left(self, end: float) -> float:
        left = end - self._clock.monotonic()
        if left <= 0:
            raise Unavailable(f"no time was left to ask {self.name}: nothing was sent", code="outbound.deadline_passed")
        return left

    def _failure(self, kind: Breakage, *, safe: bool) -> CrossdockError:
        if kind is not Breakage.NOT_SENT and not safe:
            return OutcomeUnknown(
                f"{self.name} {kind.value} after a request that changes something: look there before repeating it",
                code="outbound.outcome_unknown",
            )
        if kind is Breakage.UNREADABLE:
            return BrokenUpstream(f"{self.name} {kind.value}: its operator must look", code="outbound.unreadable")
        return Unavailable(f"{self.name} {kind.value}: nothing was done, try again", code=_NO_ANSWER)

    def _log(self, request: httpx.Request, started: float, what: str, level: int) -> None:
        # The query and the headers are left out: vendors put keys there.
        _logger.log(
            level,
            "%s %s %s %s after %.0f ms",
            self.name,
            request.method,
            request.url.path,
            what,
            1000 * (self._clock.monotonic() - started),
            extra={"correlation_id": request.headers.get("x-correlation-id")},
        )


class _TooLarge(Exception):
    pass
