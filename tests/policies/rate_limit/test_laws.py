"""Laws of shared limits, over random calls at several workers on a real store."""

import asyncio
import time
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Throttled
from policies.rate_limit.limiter import Limiter
from policies.rate_limit.options import Limit, Mode, PlanLimits, RateLimitOptions
from policies.rate_limit.policy import LineCost, RateLimit
from policies.rate_limit.quota import quota_of

from .conftest import HeldClock, admit, charge, exchange

pytestmark = pytest.mark.integration

# The store is emptied for each test and not for each example: every example asks for a bucket of its own.
ON_A_STORE = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_partners = (f"par_{number}" for number in count())


class Worker:
    """The two policies of one worker, as the door passes a call through them."""

    def __init__(self, cache, options):
        self.rate_limit = RateLimit(cache, SystemClock(), options)
        self.line_cost = LineCost(self.rate_limit)

    async def call(self, partner, cost):
        """Whether a call of `cost` units passed: its first unit, then, its body read, the rest."""
        made = exchange(partner=partner, body_cost=lambda lines: lines)
        made.decoded = cost - 1
        try:
            await admit(self.rate_limit, made)
            await asyncio.sleep(0)
            await admit(self.line_cost, made)
        except Throttled:
            return False
        return True


def exactly(limit):
    plan = PlanLimits(default=Limit(rate=f"{limit}/hour", mode=Mode.EXACT))
    return RateLimitOptions(plans={"standard": plan})


@ON_A_STORE
@given(limit=st.integers(1, 40), costs=st.lists(st.integers(1, 12), min_size=1, max_size=40))
async def test_calls_of_any_cost_at_two_workers_never_pass_an_exact_limit_and_lose_no_unit(cache, limit, costs):
    workers, partner = [Worker(cache, exactly(limit)) for _ in range(2)], next(_partners)
    passed = await asyncio.gather(*(workers[n % 2].call(partner, cost) for n, cost in enumerate(costs)))
    spent = sum(min(cost, limit) for cost, good in zip(costs, passed, strict=True) if good)
    assert spent <= limit
    # Whoever was refused cost nothing: all that is left can still be had, and not a unit more.
    rest = [await workers[n % 2].call(partner, 1) for n in range(limit - spent + 1)]
    assert rest == [True] * (limit - spent) + [False]


@ON_A_STORE
@given(limit=st.integers(2, 20), callers=st.integers(2, 12))
async def test_of_calls_that_each_need_a_whole_exact_limit_exactly_one_passes(cache, limit, callers):
    workers, partner = [Worker(cache, exactly(limit)) for _ in range(2)], next(_partners)
    passed = await asyncio.gather(*(workers[n % 2].call(partner, limit + n) for n in range(callers)))
    assert sum(passed) == 1


@ON_A_STORE
@given(
    rate=st.integers(20, 400),
    burst=st.integers(8, 120),
    pace=st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.01, 0.03]), min_size=3, max_size=12),
    workers=st.integers(1, 4),
)
async def test_leased_shares_never_pass_their_published_bound(cache, rate, burst, pace, workers):
    """In any window of t seconds: rate · t, eleven eighths of the burst, and a unit for each worker."""
    limiters = [Limiter(cache, SystemClock(), name="law", buckets=10) for _ in range(workers)]
    of = quota_of(Limit(rate=f"{rate}/second", burst=burst), bucket="all", workers=workers)
    key, passed = ("acme", next(_partners), "all"), []
    end = time.monotonic() + 0.3

    async def client(limiter, pause):
        while time.monotonic() < end:
            asked = time.monotonic()
            if (await charge(limiter, of, key=key)).allowed:
                passed.append((asked, time.monotonic()))
            await asyncio.sleep(pause)

    await asyncio.gather(*(client(limiters[n % workers], pause) for n, pause in enumerate(pace)))
    for limiter in limiters:
        await limiter.close()
    step = max(1, len(passed) // 15)
    for begun in sorted(asked for asked, _ in passed)[::step]:
        for ended in sorted(told for _, told in passed)[::-step]:
            within = sum(begun <= asked and told <= ended for asked, told in passed)
            assert within <= rate * max(0.0, ended - begun) + 11 / 8 * burst + workers


async def test_a_full_local_share_is_enough_for_the_largest_call(cache):
    clock = HeldClock()
    plan = PlanLimits(default=Limit(rate="60/minute", burst=40))
    rate_limit = RateLimit(cache, clock, RateLimitOptions(plans={"standard": plan}, workers=8))
    rate_limit.limiter._left_alone_until = clock.seconds + 1_000
    line_cost = LineCost(rate_limit)
    made = exchange(body_cost=lambda lines: lines)
    made.decoded = 500
    await admit(rate_limit, made)
    await admit(line_cost, made)
    with pytest.raises(Throttled):
        await admit(rate_limit, exchange())
