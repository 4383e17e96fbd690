import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.errors import Misconfigured, Unavailable
from policies.rate_limit.charge import Charge
from policies.rate_limit.limiter import Limiter
from policies.rate_limit.options import Limit, Mode, WhenStoreDown
from policies.rate_limit.quota import quota_of

from .conftest import KEY, DownCache, HeldClock, charge, eventually, quota

EXACT = {"mode": Mode.EXACT}


# --- without a store: laws of the local share -----------------------------------------------------------------------


@given(
    calls=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5)), min_size=1, max_size=60),
    count=st.integers(1, 100),
    burst=st.integers(5, 30),
)
def test_no_window_admits_more_than_rate_plus_burst(calls, count, burst):
    clock = HeldClock()
    limiter = Limiter(DownCache(), clock, name="t", buckets=10)
    of = quota(f"{count}/minute", burst=burst)
    admitted = []
    for pause, cost in calls:
        clock.seconds += pause
        if limiter.charge(KEY, of, cost).allowed:
            admitted.append((clock.seconds, cost))
    for index, (start, _) in enumerate(admitted):
        for length in (1.0, 10.0, 60.0):
            units = sum(cost for at, cost in admitted[index:] if at < start + length)
            assert units <= burst + length * count / 60 + 1e-6


@given(cost=st.integers(1, 50), burst=st.integers(1, 20))
def test_waiting_as_long_as_told_is_enough(cost, burst):
    clock = HeldClock()
    limiter = Limiter(DownCache(), clock, name="t", buckets=10)
    of = quota("60/minute", burst=burst)
    while (last := limiter.charge(KEY, of, cost)).allowed:
        pass
    clock.seconds += last.retry_after
    assert limiter.charge(KEY, of, cost).allowed


def test_refused_calls_cost_nothing():
    clock = HeldClock()
    limiter = Limiter(DownCache(), clock, name="t", buckets=10)
    of = quota("60/minute", burst=5)
    for _ in range(5):
        assert limiter.charge(KEY, of, 1).allowed
    for _ in range(100):
        assert not limiter.charge(KEY, of, 1).allowed
    clock.seconds += 1.0
    assert limiter.charge(KEY, of, 1).allowed


def test_one_workers_share_is_its_part_of_the_rate():
    clock = HeldClock()
    limiter = Limiter(DownCache(), clock, name="t", buckets=10)
    of = quota("60/minute", burst=10, workers=5)
    assert [limiter.charge(KEY, of, 1).allowed for _ in range(4)] == [True, True, False, False]
    clock.seconds += 5.0
    assert [limiter.charge(KEY, of, 1).allowed for _ in range(2)] == [True, False]


def test_what_is_done_while_the_store_is_down_is_declared():
    limiter = Limiter(DownCache(), HeldClock(), name="t", buckets=10)
    open_ = limiter.charge(KEY, quota("1/hour", when_store_down=WhenStoreDown.OPEN), 1)
    assert all(limiter.charge(KEY, quota("1/hour", when_store_down=WhenStoreDown.OPEN), 1).allowed for _ in range(50))
    assert open_.mode == "open"
    assert limiter.charge(KEY, quota(), 1).mode == "local_share"
    for mode in Mode:
        with pytest.raises(Unavailable) as refused:
            limiter.charge(KEY, quota(mode=mode, when_store_down=WhenStoreDown.CLOSED), 1)
        assert refused.value.code == "rate_limit.store_down"
    counted = {labels["outcome"]: total for labels, total in limiter._outcomes.series()}
    assert counted == {"store_down_open": 51, "store_down_local_share": 1, "store_down_closed": 2}


def test_an_exact_limit_whose_store_is_down_falls_to_its_local_share():
    limiter = Limiter(DownCache(), HeldClock(), name="t", buckets=10)
    of = quota("10/hour", **EXACT, workers=2)
    assert sum(limiter.charge(KEY, of, 1).allowed for _ in range(50)) == 5


def test_memory_is_bounded_whatever_the_number_of_callers():
    limiter = Limiter(DownCache(), HeldClock(), name="t", buckets=10)
    for number in range(100):
        limiter.charge(("acme", str(number), "all"), quota(), 1)
    assert len(limiter._shares) == 10


@pytest.mark.parametrize("rate", ["", "fast", "0/minute", "10/fortnight", "-1/second"])
def test_a_rate_that_means_nothing_refuses_to_start(rate):
    with pytest.raises(Misconfigured):
        quota_of(Limit(rate=rate), bucket="all", workers=1)


def test_rates_are_read_in_the_syntax_of_limits():
    for rate, count, window in (("100 per hour", 100, 3600), ("5/2 minute", 5, 120), ("10/second", 10, 1)):
        of = quota(rate)
        assert (of.count, of.window) == (count, window)


# --- on real Valkey -------------------------------------------------------------------------------------------------


@pytest.mark.integration
async def test_of_500_parallel_calls_on_three_workers_exactly_100_pass_an_exact_limit(make_limiter):
    workers = [make_limiter() for _ in range(3)]
    of = quota("100/hour", **EXACT)
    answers = await asyncio.gather(*(charge(workers[n % 3], of) for n in range(500)))
    assert sum(answer.allowed for answer in answers) == 100
    refused = [answer for answer in answers if not answer.allowed]
    assert all(3500 < answer.retry_after <= 3600 for answer in refused)
    assert min(answer.remaining for answer in answers) == 0


@pytest.mark.integration
async def test_an_exact_limit_gives_no_double_burst_at_the_edge_of_its_window(make_limiter):
    limiter = make_limiter()
    of = quota("5/second", **EXACT)
    admitted = []
    async with asyncio.timeout(60):
        while len(admitted) < 12:
            before = time.monotonic()
            if (await charge(limiter, of)).allowed:
                admitted.append((before, time.monotonic()))
            await asyncio.sleep(0.005)
    for index in range(len(admitted) - 5):
        assert admitted[index + 5][1] - admitted[index][0] >= 1.0


@pytest.mark.integration
async def test_costs_count_and_refusals_do_not_in_an_exact_limit(make_limiter):
    limiter = make_limiter()
    of = quota("10/hour", **EXACT)
    assert (await charge(limiter, of, 7)).remaining == 3
    for _ in range(5):
        assert not (await charge(limiter, of, 4)).allowed
    assert (await charge(limiter, of, 3)).allowed
    assert not (await charge(limiter, of, 1)).allowed


@pytest.mark.integration
async def test_a_refund_makes_room_in_an_exact_limit(make_limiter):
    limiter = make_limiter()
    of = quota("2/hour", **EXACT)
    first = await charge(limiter, of, 2)
    limiter.refund(first, of)
    await eventually(lambda: not limiter._background)
    assert (await charge(limiter, of, 2)).allowed


@pytest.mark.integration
async def test_three_workers_together_never_admit_more_than_rate_and_burst(make_limiter):
    workers = [make_limiter() for _ in range(3)]
    of = quota("1200/minute", burst=100)
    begun = time.monotonic()
    admitted = 0

    async def client(worker):
        nonlocal admitted
        while time.monotonic() - begun < 1.5 or (admitted < 60 and time.monotonic() - begun < 60):
            answer = await charge(worker, of)
            admitted += answer.allowed
            await asyncio.sleep(0 if answer.allowed else 0.01)

    await asyncio.gather(*(client(workers[n % 3]) for n in range(12)))
    took = time.monotonic() - begun
    assert admitted <= 100 + 20 * took + 1
    assert admitted >= 60


@pytest.mark.integration
async def test_a_busy_caller_is_served_from_leased_units_without_asking(make_limiter):
    limiter = make_limiter()
    of = quota("600000/minute", burst=100_000)
    at_once = 0
    for _ in range(2_000):
        found = limiter.charge(KEY, of, 1)
        if isinstance(found, Charge):
            at_once += 1
        else:
            assert (await found).allowed
        await asyncio.sleep(0)
    assert at_once > 1_500


@pytest.mark.integration
async def test_leased_units_that_were_not_used_go_back(make_limiter):
    clock = HeldClock()
    limiter = make_limiter(clock)
    of = quota("1/hour", burst=1_000)
    await charge(limiter, of)
    share = limiter._shares[KEY]
    share.lease = 500
    share.units = 0
    await charge(limiter, of)
    assert share.units == 499
    clock.seconds += 5
    share.lease = 1
    assert (await charge(limiter, of)).remaining == 997


@pytest.mark.integration
async def test_a_refused_caller_does_not_reach_the_store_until_its_time(make_limiter, monkeypatch):
    clock = HeldClock()
    limiter = make_limiter(clock)
    of = quota("1/hour", burst=1)
    assert (await charge(limiter, of)).allowed
    assert not (await charge(limiter, of)).allowed
    for _ in range(10):
        refused = limiter.charge(KEY, of, 1)
        assert isinstance(refused, Charge)
        assert not refused.allowed


@pytest.mark.integration
async def test_what_is_owed_is_paid_by_the_next_calls(make_limiter):
    limiter = make_limiter()
    of = quota("60/hour", burst=10)
    assert (await charge(limiter, of)).allowed
    limiter.owe(KEY, of, 8)
    assert (await charge(limiter, of)).allowed
    assert not (await charge(limiter, of)).allowed


@pytest.mark.integration
async def test_a_wiped_store_means_full_quotas_and_no_error(make_limiter, cache):
    limiter = make_limiter()
    of = quota("2/hour", **EXACT)
    assert [(await charge(limiter, of)).allowed for _ in range(3)] == [True, True, False]
    await cache.command("FLUSHDB")
    await cache.command("SCRIPT", "FLUSH")
    assert (await charge(limiter, of)).allowed
