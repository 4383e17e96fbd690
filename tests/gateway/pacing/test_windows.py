"""No span of time holds more calls than allowed: whoever calls, dies, is slow, or is told to wait."""

import asyncio
import sys
import time
from pathlib import Path

import httpx
import pytest

from gateway.canonical.capabilities import Call
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured, Throttled, Unavailable
from gateway.outbound.door import Outbound
from gateway.pacing.options import SystemPace, Work
from gateway.pacing.windows import CallWindows
from gateway.plays.checkers.promotion import most_in_any_span
from gateway.store.postgres import Store

PROCESS = Path(__file__).with_name("calling_process.py")
LONG = 30.0


def windows_on(store, **pace):
    return CallWindows(store, SystemClock(), {"erp": SystemPace(**pace)})


async def call(windows, seconds=LONG, takes=0.0):
    async with windows.call("erp", seconds):
        await asyncio.sleep(takes)


@pytest.mark.parametrize("wrong", [{"calls": -1}, {"visits": 0}, {"window_seconds": 0}, {"first": (Work.UNDO,) * 2}])
def test_a_pace_that_nothing_could_keep_is_refused(wrong):
    with pytest.raises(Misconfigured, match="pacing"):
        SystemPace(**wrong)


def test_what_the_order_of_work_leaves_out_comes_after_it():
    pace = SystemPace(first=(Work.POSTING,))
    assert pace.order[0] is Work.POSTING
    assert set(pace.order) == set(Work)


@pytest.mark.integration
async def test_a_call_beyond_the_window_is_refused_with_the_time_to_wait_and_counts_for_nothing(store):
    windows = windows_on(store, calls=2, window_seconds=600)
    await call(windows)
    await call(windows)
    for _ in range(3):
        with pytest.raises(Throttled) as refused:
            await call(windows, seconds=1)
        assert 1 < refused.value.retry_after <= 600
        assert refused.value.code == "outbound.paced"
    assert await store.fetchval("select count(*) from pacing.call") == 2


@pytest.mark.integration
async def test_a_call_counts_until_a_window_after_its_answer_not_after_its_start(store):
    windows = windows_on(store, calls=1, window_seconds=600)
    async with windows.call("erp", LONG):
        held = await store.fetchval("select extract(epoch from until - clock_timestamp()) from pacing.call")
        assert held > 0
    ended = await store.fetchval("select extract(epoch from clock_timestamp() - until) from pacing.call")
    assert 0 <= ended < LONG


@pytest.mark.integration
async def test_what_a_killed_worker_had_under_way_is_counted_until_its_time_is_up(store):
    pace = SystemPace(calls=1, window_seconds=0.1)
    await store.fetchval("select pacing.take('erp', 'of the dead', 1, 0.1, 600)")
    with pytest.raises(Throttled):
        await call(CallWindows(store, SystemClock(), {"erp": pace}), seconds=1)


@pytest.mark.integration
async def test_a_pause_that_a_system_asks_of_one_holds_back_all_processes(store, record_url):
    async def busy(_):
        return httpx.Response(429, headers={"retry-after": "600"})

    made = Call(tenant="acme", correlation_id="cor_1", deadline=time.monotonic() + LONG)
    windows = windows_on(store, calls=5)
    async with Outbound(transport=lambda _: httpx.MockTransport(busy), windows=windows) as outbound:
        with pytest.raises(Throttled) as told:
            await outbound.session("erp", "https://erp.example").request("GET", "/", call=made, safe=False)
    assert told.value.code == "outbound.throttled"
    other = Store(record_url, size=1)
    await other.open()
    with pytest.raises(Throttled) as refused:
        await call(windows_on(other, calls=5), seconds=1)
    assert refused.value.retry_after > 60
    await other.close()


@pytest.mark.integration
async def test_a_changed_pace_holds_for_who_already_waits(store):
    windows = windows_on(store, calls=1, window_seconds=20)
    await call(windows)
    waiting = asyncio.create_task(call(windows))
    await asyncio.sleep(0.05)
    windows.paces = {"erp": SystemPace(calls=2, window_seconds=20)}
    await asyncio.wait_for(waiting, LONG)
    windows.paces = {}
    assert not windows.holds("erp")


@pytest.mark.integration
async def test_without_the_record_nothing_is_sent(record_url):
    gone = Store(record_url, size=1)
    with pytest.raises(Unavailable):
        await call(windows_on(gone, calls=1))


@pytest.mark.integration
async def test_two_processes_killed_and_begun_again_never_put_more_into_any_span_than_allowed(record_url, tmp_path):
    calls, seconds, log = 5, 0.25, tmp_path / "arrivals"

    async def begun():
        return await asyncio.create_subprocess_exec(
            sys.executable, str(PROCESS), record_url, str(log), str(calls), str(seconds)
        )

    def arrivals():
        return [float(line) for line in log.read_text().splitlines()] if log.exists() else []

    processes = [await begun(), await begun()]
    try:
        for goal in (15, 30, 45):
            async with asyncio.timeout(120):
                while len(arrivals()) < goal:  # noqa: ASYNC110 - other processes write it
                    await asyncio.sleep(0.02)
            processes[0].kill()
            await processes[0].wait()
            processes = [processes[1], await begun()]
    finally:
        for process in processes:
            process.kill()
            await process.wait()
    assert most_in_any_span(arrivals(), seconds) <= calls
