import asyncio
import os
import signal
import time

import pytest

from gateway.cache.valkey import Cache
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured, NotAuthenticated, Throttled, Unavailable
from policies.rate_limit.charge import Charge
from policies.rate_limit.limiter import Limiter
from policies.rate_limit.options import Limit, Mode, PlanLimits, RateLimitOptions, WhenStoreDown
from policies.rate_limit.policy import LineCost, PreAuthenticationLimit, RateLimit, network_of

from .conftest import KEY, DownCache, HeldClock, admit, charge, eventually, exchange, headers, quota


def options(default="60/minute", *, operations=None, **given):
    limits = {"burst": 10, **given}
    plans = {
        "standard": PlanLimits(default=Limit(rate=default, **limits), operations=operations or {}),
        "gold": PlanLimits(default=Limit(rate="600/minute", burst=100)),
    }
    return RateLimitOptions(plans=plans, addresses=Limit(rate="600/minute", burst=20), failure_cost=5)


async def admitted(policy, **given):
    """How many calls pass before the first refusal."""
    for number in range(1_000):
        try:
            await admit(policy, exchange(**given))
        except Throttled:
            return number
    return None


@pytest.fixture
def down():
    """The policies of one worker whose store is down: everything is decided in process."""

    def make(given=None):
        rate_limit = RateLimit(DownCache(), HeldClock(), given or options())
        return rate_limit, LineCost(rate_limit)

    return make


async def test_a_caller_is_limited_by_its_plan(down):
    rate_limit, _ = down()
    assert await admitted(rate_limit) == 10
    assert await admitted(rate_limit, plan="gold", partner="par_2") == 100


async def test_an_unknown_plan_falls_back(down):
    assert await admitted(down()[0], plan="platinum") == 10


async def test_partners_tenants_and_applications_have_buckets_of_their_own(down):
    rate_limit, _ = down()
    assert await admitted(rate_limit) == 10
    assert await admitted(rate_limit, subject="another client of the same partner") == 0
    assert await admitted(rate_limit, partner="par_2") == 10
    assert await admitted(rate_limit, tenant="other") == 10
    assert await admitted(rate_limit, partner=None, subject="cli_9") == 10


async def test_an_operation_with_a_limit_of_its_own_has_its_own_bucket(down):
    rate_limit, _ = down(options(operations={"POST /reports": Limit(rate="10/minute", burst=2)}))
    assert await admitted(rate_limit, id="POST /reports") == 2
    assert await admitted(rate_limit) == 10


async def test_a_public_route_is_not_limited_by_caller(down):
    made = exchange()
    made.principal = None
    rate_limit, line_cost = down()
    assert rate_limit.admit(made) is None
    assert line_cost.admit(made) is None
    rate_limit.conclude(made)
    assert made.reply_headers == []


async def test_a_refusal_says_when_to_come_back_and_headers_say_where_one_stands(down):
    rate_limit, _ = down()
    made = exchange()
    await admit(rate_limit, made)
    rate_limit.conclude(made)
    assert headers(made)["ratelimit-policy"] == '"burst";q=10;w=10, "rate";q=60;w=60'
    assert headers(made)["ratelimit"] == '"burst";r=9;t=1'
    assert headers(made)["crossdock-ratelimit-mode"] == "local_share"
    await admitted(rate_limit)
    refused = exchange()
    with pytest.raises(Throttled) as told:
        await admit(rate_limit, refused)
    assert told.value.code == "rate_limit.exceeded"
    assert 0 < told.value.retry_after <= 1.0
    rate_limit.conclude(refused)
    assert headers(refused)["ratelimit"].startswith('"burst";r=0;')


async def test_lines_of_a_body_and_the_cost_of_a_route_are_charged_after_validation(down):
    rate_limit, line_cost = down()
    made = exchange(cost=3, body_cost=len)
    made.decoded = [1, 2, 3, 4]
    await admit(rate_limit, made)
    await admit(line_cost, made)
    rate_limit.conclude(made)
    assert headers(made)["ratelimit"].startswith('"burst";r=3;')


async def test_a_body_that_is_refused_for_its_size_gives_its_first_unit_back(down):
    rate_limit, line_cost = down()
    assert await admitted(rate_limit) == 10
    rate_limit.limiter._monotonic.__self__.seconds += 5
    made = exchange(body_cost=len)
    made.decoded = [1] * 6
    await admit(rate_limit, made)
    with pytest.raises(Throttled):
        await admit(line_cost, made)
    assert await admitted(rate_limit) == 5


async def test_a_body_larger_than_the_bucket_takes_a_full_bucket_instead_of_never_passing(down):
    rate_limit, line_cost = down()
    made = exchange(body_cost=len)
    made.decoded = [1] * 500
    await admit(rate_limit, made)
    await admit(line_cost, made)
    assert await admitted(rate_limit) == 0


async def test_without_extra_cost_line_cost_asks_nobody(down):
    rate_limit, line_cost = down()
    made = exchange()
    await admit(rate_limit, made)
    assert line_cost.admit(made) is None


async def test_an_address_is_limited_before_authentication_and_pays_for_failures():
    policy = PreAuthenticationLimit(DownCache(), HeldClock(), options())
    assert await admitted(policy) == 20
    failing = exchange(peer="192.0.2.2")
    await admit(policy, failing)
    failing.error = NotAuthenticated("no")
    policy.conclude(failing)
    assert await admitted(policy, peer="192.0.2.2") == 14


async def test_addresses_are_told_apart_as_networks():
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("2001:db8:0:1::1") == network_of("2001:db8:0:1:ffff::2")
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8:0:2::1")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("") == network_of("not:an:address") == "unknown"


def test_options_without_their_fallback_plan_refuse_to_start():
    with pytest.raises(Misconfigured):
        RateLimitOptions(fallback_plan="none")
    with pytest.raises(Misconfigured):
        RateLimitOptions(workers=0)


@pytest.mark.integration
async def test_with_its_store_the_headers_name_no_other_mode(cache):
    rate_limit = RateLimit(cache, SystemClock(), options())
    assert await admitted(rate_limit) in (10, 11)
    made = exchange(partner="par_2")
    await admit(rate_limit, made)
    rate_limit.conclude(made)
    assert "crossdock-ratelimit-mode" not in headers(made)
    assert headers(made)["ratelimit"].startswith('"burst";r=9;')
    await rate_limit.limiter.close()


@pytest.mark.integration
@pytest.mark.parametrize("mode", list(Mode))
async def test_a_store_that_goes_silent_and_comes_back_is_answered_as_declared(mode, engines):
    cache, clock = Cache(engines.urls.valkey, timeout=0.3), HeldClock()
    await cache.open()
    await eventually(lambda: cache.usable)
    limiters = {way: Limiter(cache, clock, name=f"silent{mode}{way}", buckets=10) for way in WhenStoreDown}
    quotas = {way: quota("100/hour", burst=50, mode=mode, when_store_down=way) for way in WhenStoreDown}
    store = engines.status()["valkey"].pid
    os.kill(store, signal.SIGSTOP)
    try:
        assert (await charge(limiters[WhenStoreDown.OPEN], quotas[WhenStoreDown.OPEN])).mode == "open"
        for _ in range(20):  # left alone for a while: no call waits for the silence again
            found = limiters[WhenStoreDown.OPEN].charge(KEY, quotas[WhenStoreDown.OPEN], 1)
            assert isinstance(found, Charge)
        local = await charge(limiters[WhenStoreDown.LOCAL_SHARE], quotas[WhenStoreDown.LOCAL_SHARE])
        assert (local.allowed, local.mode) == (True, "local_share")
        with pytest.raises(Unavailable):
            await charge(limiters[WhenStoreDown.CLOSED], quotas[WhenStoreDown.CLOSED])
        os.kill(store, signal.SIGCONT)
        deadline = time.monotonic() + 60
        while (await charge(limiters[WhenStoreDown.OPEN], quotas[WhenStoreDown.OPEN])).mode != "shared":
            assert time.monotonic() < deadline
            clock.seconds += 1
            await asyncio.sleep(0.05)
    finally:
        os.kill(store, signal.SIGCONT)
        for limiter in limiters.values():
            await limiter.close()
        await cache.close()


@pytest.mark.integration
async def test_a_killed_store_is_answered_as_declared_and_limits_resume_after_its_restart(engines):
    cache = Cache(engines.urls.valkey, timeout=30.0)
    await cache.open()
    limiter = Limiter(cache, SystemClock(), name="killed", buckets=10)
    of = quota("1000/hour", burst=500)
    closed = quota("1000/hour", mode=Mode.EXACT, when_store_down=WhenStoreDown.CLOSED)
    try:
        assert (await charge(limiter, of)).mode == "shared"
        await engines.kill("valkey")
        await eventually(lambda: not cache.usable)
        assert (await charge(limiter, of, 50)).mode == "local_share"
        with pytest.raises(Unavailable):
            await charge(limiter, closed)
        await engines.restart("valkey")
        await eventually(lambda: cache.usable, 60)
        deadline = time.monotonic() + 60
        while (await charge(limiter, of)).mode != "shared":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert (await charge(limiter, closed)).allowed
    finally:
        await limiter.close()
        await cache.close()


async def test_vendor_webhooks_neither_starve_behind_their_address_nor_starve_it():
    given = RateLimitOptions(
        addresses=Limit(rate="10/hour", burst=10), paths={"/webhooks/": Limit(rate="5/hour", burst=5)}, failure_cost=1
    )
    limit = PreAuthenticationLimit(DownCache(), HeldClock(), given)

    def passes(path):
        made = exchange(peer="192.0.2.1")
        made.path = path
        try:
            limit.admit(made)
        except Throttled:
            return False
        return True

    assert sum(passes("/storefront/v1/orders") for _ in range(20)) == 10
    assert sum(passes("/webhooks/v1/wms_north") for _ in range(20)) == 5
    assert not passes("/storefront/v1/orders")
