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
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

from gateway.kernel.clock import Clock
from gateway.kernel.errors import BrokenUpstream, CrossdockError, Misconfigured, OutcomeUnknown, Unavailable
from gateway.kernel.exchange import OUTBOUND_KEY, Exchange, OutboundCall
from gateway.outbound.answers import Answer, Broken
from gateway.outbound.breakage import Breakage
from gateway.outbound.breaker import Breaker
from gateway.outbound.budget import Budgets, Paces
from gateway.outbound.bulkhead import Bulkhead
from gateway.outbound.connections import Connections
from gateway.outbound.http1 import Connection
from gateway.outbound.hygiene import checked_base, retry_after_seconds
from gateway.outbound.limits import UpstreamLimits
from gateway.outbound.pace import Pace
from gateway.outbound.retries import RetryBudget
from gateway.outbound.targets import Resolve, TargetRules, literal_allowed
from gateway.outbound.telling import GIVEN_UP

_log: Final = logging.getLogger(__name__)
_NEVER: Final = float("inf")
_WORTH_A_WORD: Final = frozenset({429, 502, 503, 504})  # our pace is told of the first, the others may be asked again
_SUCCESS: Final = 299
_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429
_HURRIED: Final = 1.0


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
        self.limits = limits = limits or UpstreamLimits()
        self.base_path = parts.path.rstrip("/").encode("ascii")
        self.host_field = parts.netloc.encode("ascii")
        self.breaker = Breaker(name, clock, failures=limits.breaker_failures, open_for=limits.breaker_open_s)
        self._monotonic = clock.monotonic
        self._now = clock.now
        rules = rules or TargetRules()
        literal_allowed(parts.hostname, rules, setting=setting)
        secure = parts.scheme == "https"
        self._connections = Connections(
            name,
            parts.hostname,
            parts.port or (443 if secure else 80),
            limits=limits,
            rules=rules,
            contact=contact,
            monotonic=clock.monotonic,
            resolve=resolve,
            tls=(tls or ssl.create_default_context()) if secure else None,
        )
        self._timeout = limits.timeout
        self._bulkhead = Bulkhead(name, concurrency=limits.concurrency, queue=limits.queue)
        self._budget = RetryBudget()
        self._pace = self._paced(clock, budgets)

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
        # One coroutine from here to the socket: this is what every proxied request costs.
        begun = tried = self._monotonic()
        end = min(deadline, begun + self._timeout)
        self._budget.earn()
        attempt, status, outcome = 0, 0, GIVEN_UP
        try:
            while True:
                broken: Broken | None = None
                verdict: bool | None = None
                probe = self.breaker.enter()
                try:
                    connection = self._at_once(tried, safe=safe) or await self._in_turn(end, safe=safe)
                    connection.until = end
                    try:
                        answer = await connection.ask(request, bodyless=bodyless)
                    finally:
                        self._done_with(connection)
                    verdict = answer.status < _SERVER_ERROR
                except Broken as error:
                    broken, verdict = error, _verdict_on(error, hurried=end - tried < _HURRIED)
                finally:
                    if probe or not verdict or not self.breaker.calm:
                        self.breaker.leave(verdict, probe=probe)
                pause = None
                if broken is not None or answer.status in _WORTH_A_WORD:
                    pause = self._pause_before_next(broken or answer, attempt, end, safe=safe)
                if pause is None:
                    if broken is not None:
                        raise self.failure(broken, safe=safe)
                    status = answer.status
                    return answer
                await asyncio.sleep(pause)
                tried = self._monotonic()
                attempt += 1
        except CrossdockError as error:
            outcome = error.code
            raise
        finally:
            if asked_by is not None and (asked_by.decisions is not None or attempt or not 200 <= status <= _SUCCESS):  # noqa: PLR2004
                method = request[: request.index(b" ")].decode("ascii")
                took = (self._monotonic() - begun) * 1e6
                told: list[OutboundCall] = asked_by.notes.setdefault(OUTBOUND_KEY, [])
                told.append(OutboundCall(self.name, method, str(status or outcome), attempt + 1, took))

    def streaming(self, *, deadline: float, safe: bool) -> Streaming:
        """A connection of its own for one streamed exchange, closed at the end of the block.

        Call `ask` on it with ``streaming=True`` and `guard` every wait; errors as those of `ask`.
        """
        return Streaming(self, min(deadline, self._monotonic() + self._timeout), safe=safe)

    async def open_one(self, end: float) -> Connection:
        """A new connection and the slot for it; raises `Broken`."""
        await self._slot(end)
        return await self._connected(end)

    def close_one(self, connection: Connection) -> None:
        """Close what `open_one` gave, and give its slot back."""
        connection.close()
        self._bulkhead.give()

    def guard(self, connection: Connection, seconds: float | None = None) -> None:
        """Fail what `connection` waits for after so many seconds (the timeout of an answer by default) from now."""
        connection.until = self._monotonic() + (self._timeout if seconds is None else seconds)

    def relax(self, connection: Connection) -> None:
        """Take a `guard` back."""
        connection.until = _NEVER

    async def close(self) -> None:
        """Close every connection. Requests in flight fail."""
        await self._connections.close()

    # --- a slot and a connection --------------------------------------------------------------------------------------

    def _at_once(self, now: float, *, safe: bool) -> Connection | None:
        """A kept connection and a slot for it, where both are there and nothing has to be waited for."""
        if self._pace is not None or not self._bulkhead.take():
            return None
        connection = self._connections.kept(now, safe=safe)
        if connection is None:
            self._bulkhead.give()
        return connection

    async def _in_turn(self, end: float, *, safe: bool) -> Connection:
        await self._slot(end)
        kept = self._connections.kept(self._monotonic(), safe=safe)
        return kept or await self._connected(end)

    async def _slot(self, end: float) -> None:
        if self._pace is not None:
            await self._pace.turn(self._left(end))
        if not self._bulkhead.take():
            await self._bulkhead.wait(self._left(end))

    async def _connected(self, end: float) -> Connection:
        """A new connection in the slot that is held; the slot is given back where there is none."""
        try:
            return await self._connections.connect(min(self.limits.connect_timeout, self._left(end)))
        except BaseException:
            self._bulkhead.give()
            raise

    def _done_with(self, connection: Connection) -> None:
        connection.until = _NEVER
        self._connections.give_back(connection)
        self._bulkhead.give()

    def _paced(self, clock: Clock, budgets: Budgets | None) -> Paces | None:
        limits = self.limits
        if limits.rate is None:
            return None
        if budgets is None:
            return Pace(self.name, clock, rate=limits.rate, burst=limits.burst)
        return budgets.pace(self.name, rate=limits.rate, burst=limits.burst, down=limits.when_cache_down)

    # --- what is told -------------------------------------------------------------------------------------------------

    def _left(self, end: float) -> float:
        left = end - self._monotonic()
        if left <= 0:
            raise Unavailable(f"no time was left to ask {self.name}: nothing was sent", code="outbound.deadline_passed")
        return left

    def _pause_before_next(self, last: Broken | Answer, attempt: int, end: float, *, safe: bool) -> float | None:
        """Seconds until the next attempt, None when there is none."""
        never_sent = False
        if isinstance(last, Broken):
            never_sent = last.kind is Breakage.NOT_SENT
            if last.kind not in (Breakage.NOT_SENT, Breakage.CUT):
                return None
        elif last.status == _TOO_MANY:
            if self._pace is not None:
                found = dict(last.fields).get(b"retry-after")
                self._pace.pause(retry_after_seconds(found.decode("latin-1") if found else None, self._now()))
            return None
        if attempt >= self.limits.retries or not (safe or never_sent):
            return None
        return self._budget.spend_on(attempt, left=end - self._monotonic())

    def failure(self, broken: Broken, *, safe: bool) -> CrossdockError:
        """What `broken` is to who asked; `safe`: he may simply ask again."""
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


class Streaming:
    """An asynchronous context for one streamed exchange: see `Upstream.streaming`."""

    def __init__(self, upstream: Upstream, end: float, *, safe: bool) -> None:
        self._upstream = upstream
        self._end = end
        self._safe = safe
        self._probe = False
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        """The connection; errors as those of `Upstream.ask`."""
        upstream = self._upstream
        self._probe = upstream.breaker.enter()
        try:
            self._connection = await upstream.open_one(self._end)
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self._connection

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close it, and tell the breaker: a broken exchange is a failure, any other error tells nothing."""
        upstream = self._upstream
        if self._connection is not None:
            upstream.close_one(self._connection)
        broken = error if isinstance(error, Broken) else None
        upstream.breaker.leave(True if error is None else False if broken else None, probe=self._probe)
        if broken is not None:
            raise upstream.failure(broken, safe=self._safe) from None


def _verdict_on(broken: Broken, *, hurried: bool) -> bool | None:
    """What a broken exchange tells of the server: silence within a short while tells nothing."""
    if hurried and broken.kind is Breakage.SILENT:
        return None
    return broken.kind is Breakage.UNREADABLE
