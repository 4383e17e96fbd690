"""The way to who receives webhooks: kept connections to addresses that were checked, one pool for each of them.

`Upstream` (beside) knows one server and protects it; receivers are many, come and go, and are told how to behave by
the schedule of their messages. What they answer with is theirs, of any size: only its head is read.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlsplit

from msgspec import Struct

from gateway.kernel.clock import Clock
from gateway.outbound.answers import Answer, Broken, MessageLimits
from gateway.outbound.breakage import Breakage
from gateway.outbound.connections import Connections
from gateway.outbound.http1 import Connection
from gateway.outbound.limits import UpstreamLimits
from gateway.outbound.targets import Resolve, Target, TargetRules, pin

_LIMITS: Final = UpstreamLimits(connect_timeout=5.0, keep_alive=20.0, answer=MessageLimits())
_CONNECTIONS: Final = 8
_KEPT: Final = 128
_CHECKED_FOR_S: Final = 30.0
_REST_WITHIN_S: Final = 1.0
_REST: Final = 64 * 1024
_PLAIN: Final = "%/:?#[]@!$&'()*+,;=-._~"


class _Checked(Struct):
    target: Target
    head: bytes
    rules: TargetRules
    until: float


class _Pool(Struct):
    connections: Connections
    places: asyncio.Semaphore
    busy: int = 0


class Receivers:
    """One event loop owns it. A host is resolved and checked again every 30 s, and when the rules were replaced."""

    def __init__(self, clock: Clock, resolve: Resolve | None = None) -> None:
        self._monotonic = clock.monotonic
        self._resolve = resolve
        self._checked: OrderedDict[str, _Checked] = OrderedDict()
        self._pools: OrderedDict[tuple[str, str, int, str], _Pool] = OrderedDict()
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, rules: TargetRules, fields: bytes, body: bytes) -> Answer:
        """The head of the answer. `fields` are whole lines; Host, Content-Length and User-Agent come from here.

        Raises as `pin` does where the target must not be asked, and `Broken` where no answer came.
        """
        checked = await self._check(url, rules)
        request = b"%b%bcontent-length: %d\r\n\r\n%b" % (checked.head, fields, len(body), body)
        pool = self._pool(checked)
        pool.busy += 1
        try:
            async with pool.places:
                return await self._ask(pool.connections, request)
        finally:
            pool.busy -= 1

    async def close(self) -> None:
        """Close every connection."""
        pools = list(self._pools.values())
        self._pools.clear()
        self._checked.clear()
        for pool in pools:
            await pool.connections.close()

    async def _ask(self, connections: Connections, request: bytes) -> Answer:
        kept = connections.kept(self._monotonic(), safe=True)
        if kept is not None:
            try:
                return await self._exchange(connections, kept, request)
            except Broken as broken:
                # It was closed there while nobody looked. A message may be sent twice under its id: try a new one.
                if broken.kind is not Breakage.CUT:
                    raise
        return await self._exchange(connections, await connections.connect(_LIMITS.connect_timeout), request)

    async def _exchange(self, connections: Connections, connection: Connection, request: bytes) -> Answer:
        connection.until = self._monotonic() + _LIMITS.timeout
        try:
            answer = await connection.ask(request, streaming=True)
            if connection.reusable:  # the whole of it came at once
                while await connection.chunk():
                    pass
            else:
                await _read_rest(connection)
        except BaseException:
            connection.close()
            raise
        connections.give_back(connection)
        return answer

    async def _check(self, url: str, rules: TargetRules) -> _Checked:
        found = self._checked.get(url)
        now = self._monotonic()
        if found is None or found.until <= now or found.rules is not rules:
            target = await pin(url, rules, self._resolve)
            found = self._checked[url] = _Checked(target, _head(target), rules, now + _CHECKED_FOR_S)
            while len(self._checked) > _KEPT:
                self._checked.popitem(last=False)
        return found

    def _pool(self, checked: _Checked) -> _Pool:
        target, rules = checked.target, checked.rules
        secure = target.url.startswith("https:")
        key = ("https" if secure else "http", target.host, target.port, target.address)
        found = self._pools.get(key)
        if found is not None:
            self._pools.move_to_end(key)
            return found

        async def resolve(_host: str, _port: int) -> Sequence[str]:
            return [target.address]

        if secure and self._tls is None:
            self._tls = ssl.create_default_context()
        connections = Connections(
            "the receiver", target.host, target.port, limits=_LIMITS, rules=rules, contact="the partner",
            monotonic=self._monotonic, resolve=resolve, tls=self._tls if secure else None,
        )  # fmt: skip
        found = self._pools[key] = _Pool(connections, asyncio.Semaphore(_CONNECTIONS))
        self._make_room()
        return found

    def _make_room(self) -> None:
        if len(self._pools) <= _KEPT:
            return
        oldest = next((key for key, pool in self._pools.items() if not pool.busy), None)
        if oldest is not None:
            self._pools.pop(oldest).connections.close_now()


async def _read_rest(connection: Connection) -> None:
    """What follows the head, so that the connection can be used again; not much of it, and not for long."""
    size = 0
    try:
        async with asyncio.timeout(_REST_WITHIN_S):
            while part := await connection.chunk():
                size += len(part)
                if size > _REST:
                    connection.close()
                    return
    except (TimeoutError, Broken):
        connection.close()


def _head(target: Target) -> bytes:
    """What every request to this URL begins with."""
    parts = urlsplit(target.url)
    host = f"[{target.host}]" if ":" in target.host else target.host
    if target.port != (443 if parts.scheme == "https" else 80):
        host += f":{target.port}"
    asked = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_PLAIN)
    return f"POST {asked} HTTP/1.1\r\nhost: {host}\r\nuser-agent: crossdock\r\n".encode("ascii")
