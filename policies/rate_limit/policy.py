"""Three policies of one guarantee: by address before authentication, by caller after it, by size of the body last."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable
from functools import lru_cache
from typing import Final

from gateway.cache.valkey import Cache
from gateway.kernel.clock import Clock
from gateway.kernel.errors import NotAuthenticated, Throttled
from gateway.kernel.exchange import Exchange, Route
from gateway.kernel.passage import AdmitsOnly
from gateway.telemetry.counters import Counters
from policies.rate_limit.charge import Charge
from policies.rate_limit.fields import MODE_FIELD, limit_field
from policies.rate_limit.limiter import Limiter
from policies.rate_limit.options import RateLimitOptions, WhenStoreDown
from policies.rate_limit.plans import PlanBook, quotas_of
from policies.rate_limit.quota import Quota, quota_of

_ADDRESS_NOTE: Final = "address_limit"
Charged = tuple[Quota, Charge]  # what a request was charged so far, kept in `exchange.charged` between the policies


class PreAuthenticationLimit:
    """Limits what one trusted address may send, so that guessing credentials and cold verifications are bounded."""

    name = "pre_authentication_limit"

    def __init__(
        self,
        cache: Cache,
        clock: Clock,
        options: RateLimitOptions,
        counters: Counters | None = None,
        *,
        limiter: Limiter | None = None,
    ) -> None:
        # Another configuration counts on in the same buckets: what was spent stays spent.
        self.limiter = limiter or Limiter(cache, clock, name="address", buckets=options.buckets, counters=counters)
        self._quota = quota_of(options.addresses, bucket="", workers=options.workers)
        self._apart = {
            prefix: quota_of(limit, bucket=prefix, workers=options.workers) for prefix, limit in options.paths.items()
        }
        self._prefixes = tuple(options.paths)
        self._spend = self.limiter.spend
        self._failure_cost = options.failure_cost

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Charge the address one unit; raises `Throttled` (code ``rate_limit.address``)."""
        quota = self._quota_for(exchange.path) if exchange.path.startswith(self._prefixes) else self._quota
        key = ("", network_of(exchange.peer), quota.bucket)
        if self._spend(key, exchange.now) is not None:
            return None
        charge = self.limiter.charge(key, quota, 1)
        if type(charge) is Charge:
            self._accept(exchange, charge)
            return None
        return self._wait(exchange, charge)  # type: ignore[arg-type]

    def conclude(self, exchange: Exchange) -> None:
        """A failed authentication costs the address more."""
        if exchange.error is not None and isinstance(exchange.error, NotAuthenticated):
            quota = self._quota_for(exchange.path)
            self.limiter.owe(("", network_of(exchange.peer), quota.bucket), quota, self._failure_cost)

    def _quota_for(self, path: str) -> Quota:
        return next((quota for prefix, quota in self._apart.items() if path.startswith(prefix)), self._quota)

    async def _wait(self, exchange: Exchange, charge: Awaitable[Charge]) -> None:
        self._accept(exchange, await charge)

    def _accept(self, exchange: Exchange, charge: Charge) -> None:
        if not charge.allowed:
            exchange.notes[_ADDRESS_NOTE] = charge
            raise Throttled(
                "too many requests from your address: wait, then go on more slowly",
                code="rate_limit.address",
                retry_after=charge.retry_after,
            )


class RateLimit:
    """Limits a caller by its plan, and single operations by their own bucket; one unit a call, the rest `LineCost`.

    Calls that are refused cost nothing; a replay from the idempotency record costs one unit.
    """

    name = "rate_limit"

    def __init__(
        self,
        cache: Cache,
        clock: Clock,
        options: RateLimitOptions,
        counters: Counters | None = None,
        *,
        limiter: Limiter | None = None,
        book: PlanBook | None = None,
    ) -> None:
        self._book = book or PlanBook(workers=options.workers)
        # Another configuration counts on in the same buckets: what was spent stays spent.
        self.limiter = limiter or Limiter(cache, clock, name="caller", buckets=options.buckets, counters=counters)
        self._spend = self.limiter.spend
        self._plans = {name: quotas_of(plan, workers=options.workers) for name, plan in options.plans.items()}
        self._fallback = self._plans[options.fallback_plan]

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Charge the caller one unit; raises `Throttled` (code ``rate_limit.exceeded``)."""
        principal, route = exchange.principal, exchange.route
        if principal is None or route is None:
            return None
        administered = self._book.quotas
        quota, operations = (
            administered.get((principal.tenant, principal.plan)) if administered else None
        ) or self._plans.get(principal.plan, self._fallback)
        if operations:
            quota = operations.get(route.id, quota)
        key = (principal.tenant, principal.partner or principal.subject, quota.bucket)
        now = exchange.now
        share = self._spend(key, now)
        if share is not None:
            left = share.units + share.remote
            exchange.charged = (quota, Charge(key, 1, True, left, share.full_at - now))
            return None
        charge = self.limiter.charge(key, quota, 1)
        if type(charge) is Charge:
            _accept(exchange, quota, charge)
            return None
        return _wait(exchange, quota, charge)  # type: ignore[arg-type]

    def conclude(self, exchange: Exchange) -> None:
        """Tell the caller where it stands."""
        charged: Charged | None = exchange.charged
        if charged is not None:
            quota, charge = charged
            headers = exchange.reply_headers
            headers += (quota.policy, (b"ratelimit", limit_field(quota.name, charge.remaining, charge.reset)))
            if charge.mode != "shared":
                headers.append((MODE_FIELD, charge.mode.encode()))


class LineCost(AdmitsOnly):
    """Charges what a call costs beyond its first unit, once its body is known to be valid: order lines, say."""

    name = "line_cost"

    def __init__(self, rate_limit: RateLimit) -> None:
        self._limiter = rate_limit.limiter

    def concerns(self, route: Route) -> bool:
        """Only routes that may cost more than one unit."""
        return route.cost > 1 or route.body_cost is not None

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Charge the rest of what the call costs; raises `Throttled` (code ``rate_limit.exceeded``)."""
        charged: Charged | None = exchange.charged
        route = exchange.route
        if charged is None or route is None:
            return None
        cost = route.cost - 1
        if route.body_cost is not None:
            cost += route.body_cost(exchange.decoded)
        if cost <= 0:
            return None
        quota, first = charged
        if first.entry:  # an exact limit has counted the first unit: the whole takes its place
            charge = self._limiter.charge(first.key, quota, cost + 1, instead_of=first)
        else:
            # The first unit is already out of the bucket: a full bucket must be enough for the largest call.
            full = quota.local_burst if first.mode == WhenStoreDown.LOCAL_SHARE else quota.capped(cost + 1)
            cost = min(cost, full - 1)
            if cost <= 0:
                return None
            charge = self._limiter.charge(first.key, quota, cost)
        if type(charge) is Charge:
            self._accept(exchange, charged, charge)
            return None
        return self._wait(exchange, charged, charge)  # type: ignore[arg-type]

    async def _wait(self, exchange: Exchange, first: Charged, charge: Awaitable[Charge]) -> None:
        self._accept(exchange, first, await charge)

    def _accept(self, exchange: Exchange, first: Charged, charge: Charge) -> None:
        quota, one = first
        if not charge.allowed and not (one.entry and charge.entry):
            self._limiter.refund(one, quota)
        _accept(exchange, quota, charge)


async def _wait(exchange: Exchange, quota: Quota, charge: Awaitable[Charge]) -> None:
    _accept(exchange, quota, await charge)


def _accept(exchange: Exchange, quota: Quota, charge: Charge) -> None:
    exchange.charged = (quota, charge)
    if not charge.allowed:
        raise Throttled(
            "you have used up your quota for now: wait for Retry-After seconds",
            code="rate_limit.exceeded",
            retry_after=charge.retry_after,
        )


def network_of(peer: str) -> str:
    """One bucket for an IPv4 address or an IPv6 /64: whoever has one address of a /64 has them all."""
    return _network_of_ipv6(peer) if ":" in peer else peer or "unknown"


@lru_cache(maxsize=4_096)
def _network_of_ipv6(peer: str) -> str:
    try:
        address = ipaddress.IPv6Address(peer.partition("%")[0])
    except ValueError:
        return "unknown"
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)
