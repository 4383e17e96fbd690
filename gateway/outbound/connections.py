"""The connections to one server: those that are kept for the next request, and new ones to checked addresses only."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.kernel.errors import BrokenUpstream, Misconfigured
from gateway.outbound.answers import Broken, KnownHeads
from gateway.outbound.breakage import Breakage
from gateway.outbound.http1 import Connection
from gateway.outbound.limits import UpstreamLimits
from gateway.outbound.targets import Resolve, TargetRules, allowed_addresses

_log: Final = logging.getLogger(__name__)
_TICK: Final = 0.1
_RESOLVED_FOR: Final = 30.0
_UNSAFE_REUSE: Final = 1.0


def tls_trusting(path: str, *, setting: str) -> ssl.SSLContext:
    """TLS to servers whose certificate comes from the authorities in a PEM file, and from no others."""
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise Misconfigured(f"{setting}: {path} has no certificates to read: {error.strerror or error}") from error


class Connections:
    """Of the server `name` at `host` and `port`, run by `contact`. One event loop owns them.

    A connection's `until` is heeded as long as it is open: what waits on it then fails with `Broken`.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        *,
        limits: UpstreamLimits,
        rules: TargetRules,
        contact: str,
        monotonic: Callable[[], float],
        resolve: Resolve | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._name = name
        self._host = host
        self._port = port
        self._limits = limits
        self._rules = rules
        self._contact = contact
        self._monotonic = monotonic
        self._resolve = resolve
        self._tls = tls
        self._heads = KnownHeads()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._kept_for = limits.keep_alive
        self._kept_for_changes = min(_UNSAFE_REUSE, limits.keep_alive)
        self._addresses: tuple[str, ...] = ()
        self._resolved_until = 0.0
        self._ticking: asyncio.TimerHandle | None = None
        self._loop: Any = None

    def kept(self, now: float, *, safe: bool) -> Connection | None:
        """The connection used last, if one is fit for this request (`safe`: may be sent twice)."""
        idle = self._idle
        while idle:
            connection = idle[-1]
            if not connection.reusable:
                idle.pop()
                continue
            if now - connection.idle_since > (self._kept_for if safe else self._kept_for_changes):
                return None
            return idle.pop()
        return None

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next request, or close it where there cannot be one."""
        if connection.reusable:
            connection.idle_since = self._monotonic()
            self._idle.append(connection)
        else:
            connection.close()

    async def connect(self, wait: float) -> Connection:
        """A new one within so many seconds; raises `Broken`, nothing was sent then."""
        self._loop = self._loop or asyncio.get_running_loop()
        try:
            async with asyncio.timeout(wait):
                addresses = await self._pinned()
                connection = await self._first_that_answers(addresses)
        except TimeoutError:
            raise Broken(Breakage.NOT_SENT, "no connection in time") from None
        except ssl.SSLCertVerificationError as error:
            self._resolved_until = 0.0
            _log.warning("%s: its certificate is refused: %s", self._name, error.verify_message)
            raise BrokenUpstream(
                f"{self._name} shows a certificate that is not its own, or not good any more: nothing was sent, "
                f"{self._contact} must look",
                code="outbound.certificate",
            ) from None
        except OSError as error:
            self._resolved_until = 0.0
            raise Broken(Breakage.NOT_SENT, error.strerror or type(error).__name__) from None
        self._open.add(connection)
        self._tick_soon()
        return connection

    async def close(self) -> None:
        """Close them all. Requests in flight fail."""
        self.close_now()
        await asyncio.sleep(0)

    def close_now(self) -> None:
        """As `close`, without waiting until the loop has seen it."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        self._idle.clear()
        for connection in self._open:
            connection.close()
        self._open.clear()

    async def _first_that_answers(self, addresses: Sequence[str]) -> Connection:
        for position, address in enumerate(addresses):
            try:
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop, self._limits.answer, self._heads),
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
            self._addresses = await allowed_addresses(self._name, self._host, self._port, self._rules, self._resolve)
            self._resolved_until = now + _RESOLVED_FOR
        return self._addresses

    def _tick_soon(self) -> None:
        if self._ticking is None:
            self._ticking = self._loop.call_later(_TICK, self._tick)

    def _tick(self) -> None:
        """One timer for all: a timer per request costs more than everything else here together."""
        self._ticking = None
        now = self._monotonic()
        for connection in list(self._open):
            if connection.closed:
                self._open.discard(connection)
            elif connection.until < now:
                connection.fail(Breakage.SILENT, "no answer in time")
        idle = self._idle
        while idle and (now - idle[0].idle_since > self._kept_for or not idle[0].reusable):
            idle.pop(0).close()
        if self._open:
            self._tick_soon()
