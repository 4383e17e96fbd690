"""Settings of the limits."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from gateway.kernel.errors import Misconfigured


class Mode(StrEnum):
    """GCRA spreads the rate and allows a burst, mostly in process; EXACT counts each call in the shared store."""

    GCRA = "gcra"
    EXACT = "exact"


class WhenStoreDown(StrEnum):
    """OPEN admits everything; LOCAL_SHARE gives each worker its part of the rate; CLOSED answers 503."""

    OPEN = "open"
    LOCAL_SHARE = "local_share"
    CLOSED = "closed"


class Limit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rate` in the syntax of the limits package (``600/minute``, ``100 per hour``), in cost units.

    `burst` is how many units may come at once in GCRA mode, a tenth of the rate by default: a caller that keeps to
    both is never refused, and no window admits more than rate plus burst.
    """

    rate: str
    burst: int | None = None
    mode: Mode = Mode.GCRA
    when_store_down: WhenStoreDown = WhenStoreDown.LOCAL_SHARE


class PlanLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limit of a partner as a whole, and of single operations (by route id) that have a bucket of their own.

    `streams` is how many streams of events a partner may have open at once.
    """

    default: Limit
    operations: Mapping[str, Limit] = {}
    streams: int = 10

    def __post_init__(self) -> None:
        if self.streams < 0:
            raise Misconfigured("rate_limit.plans: streams is how many may be open at once: 0 or more")


def _standard_plan() -> Mapping[str, PlanLimits]:
    return {"standard": PlanLimits(default=Limit(rate="6000/minute", burst=1_000))}


def _webhooks() -> Mapping[str, Limit]:
    return {"/webhooks/": Limit(rate="600000/minute", burst=60_000)}


class RateLimitOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits by plan; a plan that is not listed gets those of `fallback_plan`. `workers` share a local share.

    `addresses` is the limit of one address (an IPv6 /64) before authentication; a failed authentication costs it
    `failure_cost` units more. `paths` gives what begins with a prefix a bucket of its own beside it: by default the
    webhooks of vendors, which then neither starve behind other traffic of their address nor starve it. `buckets` bounds
    the memory of one worker.
    """

    plans: Mapping[str, PlanLimits] = field(default_factory=_standard_plan)
    fallback_plan: str = "standard"
    addresses: Limit = Limit(rate="600000/minute", burst=60_000, when_store_down=WhenStoreDown.LOCAL_SHARE)
    paths: Mapping[str, Limit] = field(default_factory=_webhooks)
    failure_cost: int = 200
    workers: int = 1
    buckets: int = 50_000

    def __post_init__(self) -> None:
        if self.fallback_plan not in self.plans:
            raise Misconfigured(f"rate_limit.plans lacks {self.fallback_plan}, the fallback plan: add it")
        if self.workers < 1:
            raise Misconfigured("rate_limit.workers is how many gateway workers share the limits: at least 1")
