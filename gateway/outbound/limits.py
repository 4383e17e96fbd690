"""What one system bears, from its manifest and settings."""

from __future__ import annotations

from msgspec import Struct


class SystemLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one system, for this process.

    `concurrency` requests in flight, `queue` waiting; `rate` requests per second with `burst` at once (None: not
    paced); `timeout` and `connect_timeout` seconds per attempt; `retries` of safe requests after the first attempt;
    the breaker opens after `breaker_failures` failures in a row for `breaker_open_s` seconds.
    """

    concurrency: int = 8
    queue: int = 64
    rate: float | None = None
    burst: int = 1
    timeout: float = 30.0
    connect_timeout: float = 3.0
    retries: int = 2
    breaker_failures: int = 5
    breaker_open_s: float = 2.0
    max_response_bytes: int = 64 * 1024 * 1024
