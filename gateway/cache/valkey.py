"""The cache: counters, projections and copies of records, all of which may vanish at any moment.

A process has one connection. Nothing waits for it to come back: while it is down every call raises `Unavailable`
(code ``cache.unavailable``) at once, and a reconnection runs in the background with growing, jittered pauses.
A call that timed out may still have been executed: what is written here has to bear that.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Awaitable, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gateway.cache.link import UNAVAILABLE, Link, ScriptMissing
from gateway.kernel.background import ended
from gateway.kernel.errors import BrokenUpstream, Misconfigured, Unavailable

_logger = logging.getLogger(__name__)

_CONNECT_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_PORT: Final = 6379


class Address(Struct, frozen=True):
    """Where the cache is: ``redis://[user][:password]@host[:port][/database]``, ``rediss`` for TLS."""

    host: str
    port: int
    database: int
    user: str | None
    password: str | None
    tls: bool

    def __repr__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


def parse_address(url: str) -> Address:
    """Read a cache URL; raises `Misconfigured`, without showing the password."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORT
        database = int(parts.path.strip("/") or 0)
    except ValueError:
        raise Misconfigured("cache.url is not a URL: write redis://:password@host:6379/0") from None
    if parts.scheme not in ("redis", "rediss", "valkey", "valkeys") or not parts.hostname:
        raise Misconfigured("cache.url must be redis://, rediss://, valkey:// or valkeys:// with a host")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return Address(parts.hostname, port, database, user, password, parts.scheme in ("rediss", "valkeys"))


class Cache:
    """One auto-pipelined connection. Keys made by `key` carry `prefix`, which a change of their meaning raises.

    `timeout` is the longest a call takes, in seconds; `limit` how many may be outstanding at once.
    """

    def __init__(self, url: str, *, prefix: str = "cd1", timeout: float = 0.25, limit: int = 10_000) -> None:
        self._address = parse_address(url)
        self._prefix = prefix
        self._timeout = timeout
        self._limit = limit
        self._link: Link | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._closed = True
        self._connections = 0

    @property
    def connections(self) -> int:
        """How often a connection was made. A caller that sees it grow may find the cache empty."""
        return self._connections

    @property
    def connected(self) -> bool:
        """Whether there is a connection, answering in time or not."""
        return self._link is not None

    @property
    def usable(self) -> bool:
        """Whether a call made now would be sent."""
        return self._link is not None and self._link.usable

    def key(self, *parts: str | int) -> str:
        """A versioned key: ``key("limit", partner)`` is ``cd1:limit:<partner>``. Every key is made here."""
        return ":".join((self._prefix, *map(str, parts)))

    async def open(self) -> None:
        """Connect. A cache that is down is no reason not to start; a refused password raises `Misconfigured`."""
        self._closed = False
        try:
            await self._connect()
        except Unavailable as error:
            _logger.warning("%s; trying again in the background", error.detail)
            self._reconnect()

    async def close(self) -> None:
        """Drop the connection; calls under way raise `Unavailable`."""
        self._closed = True
        if self._reconnecting is not None:
            await ended(self._reconnecting)
            self._reconnecting = None
        if self._link is not None:
            self._link.abort()
            self._link = None
            await asyncio.sleep(0)  # the transport tells those who wait on its next turn

    def command(self, *parts: bytes | str | float) -> Awaitable[Any]:
        """Send one command; the awaitable gives its reply (RESP2: bytes, int, list or None).

        Raises `Unavailable` at once when the cache is down, and after `timeout` when it is silent.
        """
        if self._link is None:
            raise Unavailable("the cache is down; go on without it", code=UNAVAILABLE)
        return self._link.call(parts)

    def script(self, source: str) -> Script:
        """A Lua script, sent in full only to a server that has not seen it."""
        return Script(self, source)

    async def _connect(self) -> None:
        address = self._address
        loop = asyncio.get_running_loop()
        link: Link | None = None
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, link = await loop.create_connection(
                    lambda: Link(timeout=self._timeout, limit=self._limit, lost=self._on_lost),
                    address.host,
                    address.port,
                    ssl=True if address.tls else None,
                )
                await _introduce(link, address)
        except (OSError, TimeoutError, Unavailable) as error:
            if link is not None:
                link.abort()
            raise Unavailable(f"the cache at {address!r} cannot be reached", code=UNAVAILABLE) from error
        except BaseException:
            if link is not None:
                link.abort()
            raise
        self._link = link
        self._connections += 1

    def _on_lost(self, link: Link) -> None:
        if link is not self._link or self._closed:
            return
        self._link = None
        _logger.warning("the connection to the cache at %r was lost", self._address)
        self._reconnect()

    def _reconnect(self) -> None:
        if self._reconnecting is None or self._reconnecting.done():
            self._reconnecting = asyncio.create_task(self._keep_trying(), name="cache-reconnect")

    async def _keep_trying(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnections, no secret
            try:
                await self._connect()
            except (Unavailable, Misconfigured) as error:
                _logger.debug("%s", error.detail)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            else:
                _logger.info("connected to the cache at %r again", self._address)
                return


async def _introduce(link: Link, address: Address) -> None:
    greeting: list[tuple[str | int, ...]] = []
    if address.password is not None:
        greeting.append(("AUTH", *([address.user] if address.user else []), address.password))
    greeting += [("CLIENT", "SETNAME", "crossdock"), ("SELECT", address.database), ("PING",)]
    try:
        for answer in [link.call(command) for command in greeting]:
            await answer
    except BrokenUpstream as error:
        raise Misconfigured(f"the cache at {address!r} refuses us: {error.detail}; check cache.url") from None


class Script:
    """A Lua script by its digest. Every key it touches is passed in `keys`, made by `Cache.key`."""

    def __init__(self, cache: Cache, source: str) -> None:
        self._cache = cache
        self._source = source
        self._digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[bytes | str], args: Sequence[bytes | str | float] = ()) -> Any:
        """Run it; raises as `Cache.command` does."""
        try:
            return await self._cache.command("EVALSHA", self._digest, len(keys), *keys, *args)
        except ScriptMissing:
            return await self._cache.command("EVAL", self._source, len(keys), *keys, *args)
