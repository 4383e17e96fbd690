"""Settings of the idempotency record."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gateway.kernel.errors import Misconfigured
from gateway.kernel.exchange import LONGEST_RETENTION


class IdempotencyOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Durations are seconds, sizes bytes.

    `lease` is how long one execution may take before it counts as lost: longer than the deadline of a call.
    `largest_reply` is how much of a reply is kept. `digest_version` is the master key that record keys are made with:
    change it only when no record made with the old one is needed any more. Keys live for the time of their route, or
    what `retention` says by route id: 31 days at most. The purge removes what is over every `purge_every`.
    There is no choice of what happens when the record is down: closed, 503.
    """

    lease: float = 60.0
    retry_after: float = 1.0
    largest_reply: int = 1 << 18
    digest_version: int = 1
    purge_every: float = 60.0
    purge_batch: int = 2_000
    retention: Mapping[str, int] = {}

    def __post_init__(self) -> None:
        if self.lease < 1 or self.purge_every <= 0 or self.purge_batch < 1:
            raise Misconfigured("idempotency.lease, purge_every and purge_batch must be positive")
        for route, seconds in self.retention.items():
            if not 1 <= seconds <= LONGEST_RETENTION:
                raise Misconfigured(
                    f"idempotency.retention of {route} is {seconds} s: say 1 s to {LONGEST_RETENTION} s (31 days)"
                )
