"""What one system bears, from its manifest and settings; what one server that requests are passed on to bears."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from gateway.outbound.answers import MessageLimits
from gateway.outbound.budget import WhenCacheDown


class KeepsWindows(Protocol):
    """Counts the calls to paced systems over all processes (`gateway.pacing.windows`)."""

    def holds(self, system: str) -> bool:
        """Whether calls to `system` are counted."""
        ...

    def call(self, system: str, seconds: float) -> AbstractAsyncContextManager[None]:
        """Wait for the call's moment, at most so long, and count it until the block ends."""
        ...


class SystemLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one system.

    `concurrency` requests in flight from this process, `queue` waiting; `rate` requests a second with `burst` at once
    over all processes (None: not paced), and what holds `when_cache_down`; `timeout` and `connect_timeout` seconds per
    attempt; `retries` of safe requests after the first; the breaker opens after `breaker_failures` failures in a row
    for `breaker_open_s` seconds.
    """

    concurrency: int = 8
    queue: int = 64
    rate: float | None = None
    burst: int = 1
    when_cache_down: WhenCacheDown = WhenCacheDown.LOCAL_SHARE
    timeout: float = 30.0
    connect_timeout: float = 3.0
    retries: int = 2
    breaker_failures: int = 5
    breaker_open_s: float = 2.0
    max_response_bytes: int = 64 * 1024 * 1024


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
