"""A limit as it is applied: parsed once, in seconds and cost units."""

from __future__ import annotations

from dataclasses import dataclass

from limits import parse

from gateway.kernel.errors import Misconfigured
from policies.rate_limit.fields import POLICY_FIELD, policy_field
from policies.rate_limit.options import Limit, Mode, WhenStoreDown


@dataclass(frozen=True, kw_only=True, eq=False)
class Quota:
    """`count` units in `window` seconds, `burst` of them at once: one unit every `interval` seconds (ITU-T I.371).

    `bucket` tells the quotas of one caller apart. `local_interval` and `local_burst` are one worker's share.
    `policy` is the header field that tells it.
    """

    bucket: str
    count: int
    window: float
    burst: int
    interval: float
    exact: bool
    when_store_down: WhenStoreDown
    local_interval: float
    local_burst: int
    largest_lease: int
    policy: tuple[bytes, bytes]
    name: str

    @property
    def tolerance(self) -> float:
        """Seconds of credit that a full burst is worth."""
        return self.burst * self.interval

    def capped(self, cost: int) -> int:
        """`cost`, but never more than can be had at once: a huge call takes a full bucket instead of being refused."""
        return min(cost, self.count if self.exact else self.burst)


def quota_of(limit: Limit, *, bucket: str, workers: int) -> Quota:
    """Read `limit`; raises `Misconfigured` for a rate that the limits package does not understand."""
    try:
        item = parse(limit.rate)
    except ValueError as error:
        raise Misconfigured(f"the rate {limit.rate!r} is not understood: write it like 600/minute") from error
    count, window = item.amount, float(item.get_expiry())
    burst = limit.burst if limit.burst is not None else max(1, count // 10)
    if count < 1 or burst < 1:
        raise Misconfigured(f"the rate {limit.rate!r} and its burst must be at least 1")
    interval = window / count
    exact = limit.mode is Mode.EXACT
    quotas = [("exact", count, window)] if exact else [("burst", burst, burst * interval), ("rate", count, window)]
    return Quota(
        bucket=bucket,
        count=count,
        window=window,
        burst=burst,
        interval=interval,
        exact=exact,
        when_store_down=limit.when_store_down,
        local_interval=interval * workers,
        local_burst=max(1, (count if exact else burst) // workers),
        largest_lease=max(1, burst // (4 * workers)),
        policy=(POLICY_FIELD, policy_field(quotas)),
        name="exact" if exact else "burst",
    )
