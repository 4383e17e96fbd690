"""What one system bears, from its manifest and settings."""

from __future__ import annotations

from msgspec import Struct

from gateway.outbound.budget import WhenCacheDown


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
