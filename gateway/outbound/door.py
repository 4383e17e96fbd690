"""`Outbound`: makes the sessions of a process and closes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured
from gateway.outbound.hygiene import checked_base
from gateway.outbound.limits import KeepsWindows, SystemLimits
from gateway.outbound.pools import close_pools, pooled_transport
from gateway.outbound.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from opentelemetry.trace import Tracer

    from gateway.kernel.clock import Clock
    from gateway.outbound.breaker import Breaker
    from gateway.outbound.budget import Budgets


class Outbound:
    """One per process. Sessions with the same name share pool, breaker and limits; `budgets` share rates.

    `windows` count the calls to paced systems. With a `tracer`, calls made within a request that is traced are spans of
    its trace.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        transport: Callable[[SystemLimits], httpx.AsyncBaseTransport] = pooled_transport,
        budgets: Budgets | None = None,
        windows: KeepsWindows | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._transport = transport
        self._budgets = budgets
        self._windows = windows
        self.tracer: Tracer | None = None
        self._sessions: dict[str, Session] = {}
        self._transports: list[httpx.AsyncBaseTransport] = []

    def session(self, name: str, base_url: str, limits: SystemLimits | None = None) -> Session:
        """The session of the system instance `name`; raises `Misconfigured` for a bad or a second base URL."""
        base = checked_base(base_url, setting=f"base URL of {name}")
        known = self._sessions.get(name)
        if known is not None:
            if known.base_url != base:
                raise Misconfigured(f"{name} has two base URLs: one instance, one address")
            return known
        limits = limits or SystemLimits()
        transport = self._transport(limits)
        self._transports.append(transport)
        pace = None
        if self._budgets is not None and limits.rate:
            pace = self._budgets.pace(name, rate=limits.rate, burst=limits.burst, down=limits.when_cache_down)
        session = Session(
            name, base, limits, clock=self._clock, transport=transport, pace=pace, spans=self, windows=self._windows
        )
        self._sessions[name] = session
        return session

    def breakers(self) -> list[Breaker]:
        """Those of the sessions that were asked for so far."""
        return [session.breaker for session in self._sessions.values()]

    async def close(self) -> None:
        """Close every pool. Requests in flight fail."""
        transports, self._transports = self._transports, []
        self._sessions.clear()
        await close_pools(transports)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
