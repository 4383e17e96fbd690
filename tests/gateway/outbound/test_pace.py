import asyncio
import time

import pytest

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Throttled
from gateway.outbound.pace import Pace


async def test_a_burst_leaves_at_the_vendors_rate():
    pace = Pace("erp", SystemClock(), rate=100, burst=5)
    started = time.monotonic()
    await asyncio.gather(*[pace.turn(5) for _ in range(25)])
    assert 0.19 <= time.monotonic() - started < 30


async def test_a_process_that_starts_again_has_no_burst_yet(clock):
    pace = Pace("erp", clock, rate=1, burst=5)
    await pace.turn(0)
    with pytest.raises(Throttled):
        await pace.turn(0.5)
    clock.advance(5)
    for _ in range(5):
        await pace.turn(0)


async def test_what_cannot_leave_in_time_is_throttled_at_once_with_the_time_to_wait(clock):
    pace = Pace("erp", clock, rate=1, burst=1)
    await pace.turn(10)
    with pytest.raises(Throttled) as caught:
        await pace.turn(0.5)
    assert caught.value.retry_after == 1


async def test_without_a_rate_only_pauses_hold_back(clock):
    pace = Pace("erp", clock, rate=None, burst=1)
    for _ in range(1000):
        await pace.turn(0.1)
    pace.pause(5)
    with pytest.raises(Throttled):
        await pace.turn(1)
    clock.advance(5)
    await pace.turn(1)
