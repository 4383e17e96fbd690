"""Settings of the idempotency record."""

from __future__ import annotations

from msgspec import Struct

from gateway.kernel.errors import Misconfigured


class IdempotencyOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Durations are seconds, sizes bytes.

    `lease` is how long one execution may take before it counts as lost: longer than the deadline of a call.
    `largest_reply` is how much of a reply is kept. `digest_version` is the master key that record keys are made with:
    change it only when no record made with the old one is needed any more. Keys live for the time of their route;
    the purge removes what is over every `purge_every`.
    There is no choice of what happens when the record is down: closed, 503.
    """

    lease: float = 60.0
    retry_after: float = 1.0
    largest_reply: int = 1 << 18
    digest_version: int = 1
    purge_every: float = 60.0
    purge_batch: int = 2_000

    def __post_init__(self) -> None:
        if self.lease < 1 or self.purge_every <= 0 or self.purge_batch < 1:
            raise Misconfigured("idempotency.lease, purge_every and purge_batch must be positive")
