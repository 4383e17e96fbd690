"""One vendor, several processes, one budget: a real Valkey, wiped, paused and gone."""

import asyncio
import time

import pytest

from gateway.cache.valkey import Cache
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Throttled, Unavailable
from gateway.kernel.ids import new_id
from gateway.outbound.budget import Budgets, WhenCacheDown
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits, UpstreamLimits
from gateway.outbound.upstream import Upstream


class DownCache(Cache):
    """A cache that nobody can reach, as one that was never opened is."""

    def __init__(self):
        super().__init__("redis://127.0.0.1:1/0")


def pace_on(cache, name, *, rate, burst=1, processes=2, down=WhenCacheDown.LOCAL_SHARE):
    return Budgets(cache, SystemClock(), processes=processes).pace(name, rate=rate, burst=burst, down=down)


async def turns(pace, wait):
    """One after the other until one is refused, for a while."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        await pace.turn(wait)


@pytest.fixture
async def caches(valkey_url):
    """The connections of three processes."""
    opened = [Cache(valkey_url, timeout=30.0) for _ in range(3)]
    for cache in opened:
        await cache.open()
    yield opened
    for cache in opened:
        await cache.close()


@pytest.mark.integration
async def test_three_processes_together_keep_to_one_rate(caches):
    name, started = new_id("erp"), time.monotonic()
    paces = [pace_on(cache, name, rate=100, burst=5) for cache in caches]
    await asyncio.gather(*[paces[number % 3].turn(10) for number in range(60)])
    # 60 requests at 100 a second, of which no more than 5 at once; how much longer it took is the machine's affair.
    assert time.monotonic() - started >= (60 - 5) / 100


@pytest.mark.integration
async def test_what_comes_too_late_is_refused_with_the_time_to_wait_and_takes_nothing(caches):
    name = new_id("erp")
    one, other = (pace_on(cache, name, rate=0.01) for cache in caches[:2])
    for pace in [one, other] * 10:
        with pytest.raises(Throttled) as refused:
            await pace.turn(1)
        assert 1 < refused.value.retry_after <= 100
    assert refused.value.code == "outbound.paced"


@pytest.mark.integration
async def test_a_wiped_cache_means_an_empty_bucket(caches):
    name = new_id("erp")
    pace = pace_on(caches[0], name, rate=20, burst=10)
    await pace.turn(5)
    await asyncio.sleep(0.3)  # time enough to fill it a little
    await caches[1].command("DEL", caches[1].key("budget", name))
    with pytest.raises(Throttled):
        await pace.turn(0)
    await pace.turn(5)


@pytest.mark.integration
async def test_a_pause_asked_of_one_process_holds_back_all(caches):
    name = new_id("erp")
    first, second = (pace_on(cache, name, rate=1000) for cache in caches[:2])
    await second.turn(1)
    first.pause(60)
    first.pause(1)
    with pytest.raises(Throttled) as refused:
        await turns(second, 0.5)
    assert refused.value.retry_after > 30


async def test_without_its_cache_a_process_keeps_to_its_share():
    started, pace = time.monotonic(), pace_on(DownCache(), "erp", rate=100, burst=4, processes=4)
    await asyncio.gather(*[pace.turn(10) for _ in range(6)])
    assert time.monotonic() - started >= (6 - 1) / 25


async def test_without_its_cache_a_closed_budget_sends_nothing():
    pace = pace_on(DownCache(), "erp", rate=100, down=WhenCacheDown.CLOSED)
    for _ in range(3):
        with pytest.raises(Unavailable) as refused:
            await pace.turn(1)
        assert refused.value.code == "outbound.budget_down"


@pytest.mark.integration
async def test_sessions_and_proxied_apis_take_their_turns_there(caches):
    budgets = Budgets(caches[0], SystemClock(), processes=1)
    async with Outbound(budgets=budgets) as outbound:
        name = new_id("erp")
        paced = outbound.session(name, "http://127.0.0.1:1", SystemLimits(rate=0.01))._pace
        with pytest.raises(Throttled):
            await paced.turn(1)
        assert outbound.session(f"{name}-free", "http://127.0.0.1:1", SystemLimits())._pace is not None
    limits = UpstreamLimits(rate=0.01)
    upstream = Upstream(name, "https://items.example", SystemClock(), limits=limits, budgets=budgets)
    with pytest.raises(Throttled):
        await upstream.ask(b"GET / HTTP/1.1\r\n\r\n", deadline=time.monotonic() + 60, safe=True)
    await upstream.close()
