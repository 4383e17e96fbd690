"""The way out for requests that are passed on as they are: one server, its connections, and what protects both sides.

`Session` (beside) speaks for adapters, which read whole answers and know what they mean; this hands bytes through and
costs a third of it. Same guarantees: one deadline, retries in a budget and only where they do no harm, a half-open
breaker, a bulkhead, and connections to checked addresses only. Redirects are answers, cookies nobody's.

A request that changes something is sent again only if it was never sent: a kept connection that broke before the first
byte of an answer proves nothing (RFC 9112, 9.3.1), so such requests take connections that were used a moment ago.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.kernel.clock import Clock
from gateway.kernel.errors import BrokenUpstream, CrossdockError, Misconfigured, OutcomeUnknown, Unavailable
from gateway.kernel.exchange import OUTBOUND_KEY, Exchange, OutboundCall
from gateway.outbound.breakage import Breakage
from gateway.outbound.breaker import Breaker
from gateway.outbound.budget import Budgets, Paces, WhenCacheDown
from gateway.outbound.bulkhead import Bulkhead
from gateway.outbound.http1 import Answer, Broken, Connection, MessageLimits
from gateway.outbound.hygiene import checked_base, retry_after_seconds
from gateway.outbound.pace import Pace
from gateway.outbound.retries import RetryBudget
from gateway.outbound.targets import Resolve, TargetRules, allowed_addresses, literal_allowed
from gateway.outbound.telling import GIVEN_UP

_log: Final = logging.getLogger(__name__)
_TICK: Final = 0.1
_RESOLVED_FOR: Final = 30.0
_UNSAFE_REUSE: Final = 1.0
_WORTH_A_RETRY: Final = frozenset({502, 503, 504})
_SUCCESS: Final = 299
_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429
_HURRIED: Final = 1.0


class UpstreamLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one server bears, and how long it may take (seconds).

    `concurrency` requests at once from this process and `queue` waiting; `rate` requests a second with `burst` at once
    over all processes (none: not paced), and what holds `when_cache_down`; `timeout` for a whole answer, or the head of
    a streamed one; `stream_idle` between two parts of a stream; `connect_timeout` for a connection; an idle one is
    used again for `keep_alive` seconds; `retries` after the first attempt, of what may be repeated; the breaker opens
    after `breaker_failures` in a row for `breaker_open_s`.
    """

    concurrency: int = 256
    queue: int = 256
    rate: float | None = None
    burst: int = 1
    when_cache_down: WhenCacheDown = WhenCacheDown.LOCAL_SHARE
    timeout: float = 15.0
    stream_idle: float = 300.0
    connect_timeout: float = 3.0
    keep_alive: float = 4.0
    retries: int = 1
    breaker_failures: int = 5
    breaker_open_s: float = 2.0
    answer: MessageLimits = MessageLimits()


def tls_trusting(path: str, *, setting: str) -> ssl.SSLContext:
    """TLS to servers whose certificate comes from the authorities in a PEM file, and from no others."""
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise Misconfigured(f"{setting}: {path} has no certificates to read: {error.strerror or error}") from error


class Upstream:
    """One server. One event loop owns it; `close` it with the process.

    `base_url` may hold a path; `contact` is who runs the server, told in errors. Raises `Misconfigured` for an address
    that `rules` do not allow.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        clock: Clock,
        *,
        limits: UpstreamLimits | None = None,
        rules: TargetRules | None = None,
        contact: str = "its operator",
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        budgets: Budgets | None = None,
    ) -> None:
        setting = f"the base URL of {name}"
        parts = urlsplit(checked_base(base_url, setting=setting))
        if not parts.hostname:
            raise Misconfigured(f"{setting} names no host")
        self.name = name
        self.contact = contact
        self.base_url = base_url.rstrip("/").encode("ascii")
        self.limits = limits or UpstreamLimits()
        self.base_path = parts.path.rstrip("/").encode("ascii")
        self.host_field = parts.netloc.encode("ascii")
        self.breaker = Breaker(name, clock, failures=self.limits.breaker_failures, open_for=self.limits.breaker_open_s)
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._monotonic = clock.monotonic
        self._now = clock.now
        self._rules = rules or TargetRules()
        self._resolve = resolve
        literal_allowed(self._host, self._rules, setting=setting)
        self._bulkhead = Bulkhead(name, concurrency=self.limits.concurrency, queue=self.limits.queue)
        self._budget = RetryBudget()
        self._pace = self._paced(clock, budgets)
        self._idle: list[Connection] = []
        self._until: dict[Connection, float] = {}
        self._addresses: tuple[str, ...] = ()
        self._resolved_until = 0.0
        self._ticking: asyncio.TimerHandle | None = None
        self._loop: Any = None

    async def ask(
        self,
        request: bytes,
        *,
        deadline: float,
        safe: bool,
        bodyless: bool = False,
        asked_by: Exchange | None = None,
    ) -> Answer:
        """The whole answer to a whole request (`safe`: may be sent twice). `deadline` is a reading of the clock.

        Raises `Unavailable`, `OutcomeUnknown` and `BrokenUpstream` as `Session.request` does; any status is an answer.
        `asked_by` is told of it, unless it is a read that went well and nobody will ask about.
        """
        begun = self._monotonic()
        end = min(deadline, begun + self.limits.timeout)
        self._budget.earn()
        attempt, status, outcome = 0, 0, GIVEN_UP
        try:
            while True:
                try:
                    answer = await self._attempt(request, end, safe=safe, bodyless=bodyless)
                except Broken as broken:
                    pause = self._retry_after(broken, attempt, end, safe=safe)
                    if pause is None:
                        raise self._failure(broken, safe=safe) from None
                else:
                    pause = None
                    if answer.status in _WORTH_A_RETRY:
                        pause = self._retry_after(None, attempt, end, safe=safe)
                    if pause is None:
                        status = answer.status
                        return answer
                await asyncio.sleep(pause)
                attempt += 1
        except CrossdockError as error:
            outcome = error.code
            raise
        finally:
            if asked_by is not None and (asked_by.decisions is not None or attempt or not 200 <= status <= _SUCCESS):  # noqa: PLR2004
                method, outcome = request[: request.index(b" ")].decode("ascii"), str(status or outcome)
                took = (self._monotonic() - begun) * 1e6
                told: list[OutboundCall] = asked_by.notes.setdefault(OUTBOUND_KEY, [])
                told.append(OutboundCall(self.name, method, outcome, attempt + 1, took))

    async def _attempt(self, request: bytes, end: float, *, safe: bool, bodyless: bool) -> Answer:
        started = self._monotonic()
        probe = self.breaker.enter()
        verdict: bool | None = None
        held = False
        try:
            if self._pace is not None:
                await self._pace.turn(self._left(end))
            if not self._bulkhead.take():
                await self._bulkhead.wait(self._left(end))
            held = True
            connection = self._kept(safe=safe) or await self._connect(end)
            self._until[connection] = end
            if self._ticking is None:
                self._tick_soon()
            try:
                answer = await connection.ask(request, bodyless=bodyless)
            except asyncio.CancelledError:
                connection.close()
                raise
            finally:
                del self._until[connection]
            self._keep_or_close(connection)
            verdict = answer.status < _SERVER_ERROR
        except Broken as broken:
            hurried = end - started < _HURRIED
            verdict = None if hurried and broken.kind is Breakage.SILENT else broken.kind is Breakage.UNREADABLE
            raise
        finally:
            if held:
                self._bulkhead.give()
            self.breaker.leave(verdict, probe=probe)
        if answer.status == _TOO_MANY and self._pace is not None:
            self._pace.pause(self._asked_to_wait(answer))
        return answer

    def _keep_or_close(self, connection: Connection) -> None:
        if connection.reusable:
            connection.idle_since = self._monotonic()
            self._idle.append(connection)
        else:
            connection.close()

    @asynccontextmanager
    async def streaming(self, *, deadline: float, safe: bool) -> AsyncIterator[Connection]:
        """A connection of its own for one streamed exchange, closed at the end of the block.

        Call `ask` on it with ``streaming=True`` and `guard` every wait; errors as those of `ask`.
        """
        end = min(deadline, self._monotonic() + self.limits.timeout)
        probe = self.breaker.enter()
        verdict: bool | None = None
        held = False
        connection: Connection | None = None
        try:
            if self._pace is not None:
                await self._pace.turn(self._left(end))
            if not self._bulkhead.take():
                await self._bulkhead.wait(self._left(end))
            held = True
            connection = await self._connect(end)
            yield connection
            verdict = True
        except Broken as broken:
            verdict = False
            raise self._failure(broken, safe=safe) from None
        finally:
            if connection is not None:
                self._until.pop(connection, None)
                connection.close()
            if held:
                self._bulkhead.give()
            self.breaker.leave(verdict, probe=probe)

    def guard(self, connection: Connection, seconds: float | None = None) -> None:
        """Fail what `connection` waits for after so many seconds (the timeout of an answer by default) from now."""
        self._until[connection] = self._monotonic() + (self.limits.timeout if seconds is None else seconds)
        self._tick_soon()

    def relax(self, connection: Connection) -> None:
        """Take a `guard` back."""
        self._until.pop(connection, None)

    async def close(self) -> None:
        """Close every connection. Requests in flight fail."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        idle, self._idle = self._idle, []
        for connection in (*idle, *self._until):
            connection.close()
        await asyncio.sleep(0)

    # --- connections --------------------------------------------------------------------------------------------------

    def _kept(self, *, safe: bool) -> Connection | None:
        """The connection used last, if one is fit for this request."""
        idle = self._idle
        while idle:
            connection = idle[-1]
            if not connection.reusable:
                idle.pop()
                continue
            longest = self.limits.keep_alive if safe else min(_UNSAFE_REUSE, self.limits.keep_alive)
            if self._monotonic() - connection.idle_since > longest:
                return None
            return idle.pop()
        return None

    async def _connect(self, end: float) -> Connection:
        self._loop = self._loop or asyncio.get_running_loop()
        self._tick_soon()
        wait = min(self.limits.connect_timeout, self._left(end))
        try:
            async with asyncio.timeout(wait):
                addresses = await self._pinned()
                return await self._first_that_answers(addresses)
        except TimeoutError:
            raise Broken(Breakage.NOT_SENT, "no connection in time") from None
        except ssl.SSLCertVerificationError as error:
            self._resolved_until = 0.0
            _log.warning("%s: its certificate is refused: %s", self.name, error.verify_message)
            raise BrokenUpstream(
                f"{self.name} shows a certificate that is not its own, or not good any more: nothing was sent, "
                f"{self.contact} must look",
                code="outbound.certificate",
            ) from None
        except OSError as error:
            self._resolved_until = 0.0
            raise Broken(Breakage.NOT_SENT, error.strerror or type(error).__name__) from None

    async def _first_that_answers(self, addresses: Sequence[str]) -> Connection:
        for position, address in enumerate(addresses):
            try:
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop, self.limits.answer),
                    address,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
            except OSError:
                if position == len(addresses) - 1:
                    raise
            else:
                return connection  # type: ignore[no-any-return]
        raise Broken(Breakage.NOT_SENT, "it has no address")

    async def _pinned(self) -> tuple[str, ...]:
        """The checked addresses of its host, looked up again now and then."""
        now = self._monotonic()
        if now >= self._resolved_until:
            self._addresses = await allowed_addresses(self.name, self._host, self._port, self._rules, self._resolve)
            self._resolved_until = now + _RESOLVED_FOR
        return self._addresses

    def _tick_soon(self) -> None:
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(_TICK, self._tick)

    def _tick(self) -> None:
        """One timer for all: a timer per request costs more than everything else here together."""
        self._ticking = None
        now = self._monotonic()
        for connection in [late for late, end in self._until.items() if end < now]:
            connection.fail(Breakage.SILENT, "no answer in time")
        while self._idle and (now - self._idle[0].idle_since > self.limits.keep_alive or not self._idle[0].reusable):
            self._idle.pop(0).close()
        if self._until or self._idle:
            self._tick_soon()

    def _paced(self, clock: Clock, budgets: Budgets | None) -> Paces | None:
        limits = self.limits
        if limits.rate is None:
            return None
        if budgets is None:
            return Pace(self.name, clock, rate=limits.rate, burst=limits.burst)
        return budgets.pace(self.name, rate=limits.rate, burst=limits.burst, down=limits.when_cache_down)

    # --- what is told -------------------------------------------------------------------------------------------------

    def _asked_to_wait(self, answer: Answer) -> float:
        found = dict(answer.fields).get(b"retry-after")
        return retry_after_seconds(found.decode("latin-1") if found else None, self._now())

    def _left(self, end: float) -> float:
        left = end - self._monotonic()
        if left <= 0:
            raise Unavailable(f"no time was left to ask {self.name}: nothing was sent", code="outbound.deadline_passed")
        return left

    def _retry_after(self, broken: Broken | None, attempt: int, end: float, *, safe: bool) -> float | None:
        """Seconds until the next attempt, None when there is none."""
        never_sent = broken is not None and broken.kind is Breakage.NOT_SENT
        if attempt >= self.limits.retries or not (safe or never_sent):
            return None
        if broken is not None and broken.kind not in (Breakage.NOT_SENT, Breakage.CUT):
            return None
        return self._budget.spend_on(attempt, left=end - self._monotonic())

    def _failure(self, broken: Broken, *, safe: bool) -> CrossdockError:
        kind = broken.kind
        _log.warning("%s %s: %s", self.name, kind.value, broken)
        if kind is Breakage.NOT_SENT:
            return Unavailable(
                f"{self.name} {kind.value}: nothing was done, try again; if it lasts, ask {self.contact}",
                code="outbound.unreachable",
            )
        if not safe:
            return OutcomeUnknown(
                f"{self.name} {kind.value} after a request that changes something: look there before repeating it, "
                f"or ask {self.contact}",
                code="outbound.outcome_unknown",
            )
        if kind is Breakage.UNREADABLE:
            return BrokenUpstream(f"{self.name} {kind.value}: {self.contact} must look", code="outbound.unreadable")
        code = "outbound.timeout" if kind is Breakage.SILENT else "outbound.no_answer"
        return Unavailable(f"{self.name} {kind.value}: try again; if it lasts, ask {self.contact}", code=code)
