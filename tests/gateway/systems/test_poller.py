import asyncio
from pathlib import Path

import pytest

import gateway.systems
from gateway.canonical.capabilities import Report
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, Unavailable
from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store
from gateway.systems.exclusive import order_locks
from gateway.systems.poller import Poller

from .conftest import movement

pytestmark = pytest.mark.integration

STANDING = "select * from systems.poll where instance = 'wms_north'"


@pytest.fixture
async def store(records):
    async with records.lent(find_migrations([Path(gateway.systems.__file__).parent / "migrations"])) as url:
        store = Store(url, size=4)
        await store.open()
        yield store
        await store.close()


@pytest.fixture
def poller(store, directory, recorder):
    def make(**options):
        return Poller(store, directory, recorder, SystemClock(), tenant="acme", **options)

    return make


def pages(*sequences):
    return [Report(movements=tuple(movement(number) for number in page)) for page in sequences]


async def test_it_opens_with_a_snapshot_and_reads_on_from_its_cursor(poller, wms_memory, recorder, store):
    wms_memory.pages = pages([1, 2], [3])
    assert await poller().poll("wms_north") == 3
    assert recorder.reports[0].snapshots[0].locations == ("NOR1",)
    assert recorder.sequences == [1, 2, 3]
    wms_memory.pages += pages([4])
    assert await poller().poll("wms_north") == 1
    assert recorder.sequences == [1, 2, 3, 4]
    assert wms_memory.snapshots == 1
    row = await store.fetchrow(STANDING)
    assert (row["cursor"], row["movements"], row["failures"]) == ("3", 4, 0)


async def test_nothing_is_asked_before_what_reports_are_mapped_by_is_there(poller, wms_memory, recorder):
    wms_memory.pages = pages([1])
    stop, asked = asyncio.Event(), []

    async def prepared():
        asked.append(len(recorder.reports))
        return len(asked) == 3

    polled = poller(prepared=prepared)
    poll = polled.poll

    async def poll_once(name):
        count = await poll(name)
        if name == "wms_north":
            stop.set()
        return count

    polled.poll = poll_once
    await polled.run(stop)
    assert (asked, recorder.sequences) == ([0, 0, 0], [1])


async def test_what_could_not_be_recorded_is_read_again(poller, wms_memory, recorder, store):
    wms_memory.pages = pages([1])
    await poller().poll("wms_north")
    wms_memory.pages += pages([2])
    recorder.error = Unavailable("the record is down")
    for failures in (1, 2):
        with pytest.raises(Unavailable):
            await poller().poll("wms_north")
        row = await store.fetchrow(STANDING)
        assert (row["cursor"], row["failures"]) == ("1", failures)
    recorder.error = None
    await poller().poll("wms_north")
    assert recorder.sequences == [1, 2]
    assert (await store.fetchrow(STANDING))["failures"] == 0


async def test_of_two_workers_one_asks(poller, store, wms_memory):
    first, second = poller(), poller()
    await store.execute(
        "insert into systems.poll (tenant, instance, leased_by, leased_until) "
        "values ('acme', 'wms_north', 'another', now() + interval '1 minute')"
    )
    assert await first.poll("wms_north") is None
    assert wms_memory.cursors == []
    await store.execute("update systems.poll set leased_until = now() - interval '1 second'")
    assert await second.poll("wms_north") == 0


async def test_a_snapshot_is_taken_again_when_it_is_due(poller, wms_memory):
    for _ in range(3):
        await poller(snapshot_every=0.0).poll("wms_north")
    assert wms_memory.snapshots == 3


async def test_open_demand_of_an_erp_is_told_when_somebody_listens(poller, store):
    told = []

    class Demand:
        async def record_demand(self, tenant, source, lines, *, read_at):
            assert read_at.tzinfo is not None
            told.append((tenant, source, len(lines)))

    await poller(demand=Demand()).poll("erp")
    assert told == [("acme", "erp", 1)]


async def test_a_dead_system_delays_no_other_and_is_asked_again(poller, wms_memory, recorder):
    wms_memory.error = Unavailable("down", code="outbound.no_answer")
    stop = asyncio.Event()
    running = asyncio.create_task(poller(every=0.02).run(stop))
    async with asyncio.timeout(10):
        while len(recorder.reports) < 1:  # noqa: ASYNC110 - the ERP's snapshot
            await asyncio.sleep(0.01)
        wms_memory.pages = pages([1])
        wms_memory.error = None
        while recorder.sequences != [1]:  # noqa: ASYNC110 - bounded
            await asyncio.sleep(0.01)
    stop.set()
    await running


async def test_a_defect_of_one_adapter_stops_no_poller(poller, wms_memory, recorder):
    wms_memory.pages = pages([1])
    recorder.error = ZeroDivisionError("the adapter is wrong")
    stop = asyncio.Event()
    running = asyncio.create_task(poller(every=0.02).run(stop))
    await asyncio.wait([running], timeout=0.2)
    assert not running.done()
    recorder.error = None
    async with asyncio.timeout(10):
        while not recorder.sequences:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    stop.set()
    await running


async def test_an_order_is_worked_on_by_one_at_a_time(store):
    locks = order_locks(store)
    async with locks("ord_1"), locks("ord_2"):
        with pytest.raises(Conflict):
            async with locks("ord_1"):
                pass
    async with locks("ord_1"):
        pass


async def test_a_source_with_nothing_new_is_heard_all_the_same(poller, wms_memory, recorder):
    wms_memory.pages = pages([1])
    await poller().poll("wms_north")
    assert recorder.silences == []
    await poller().poll("wms_north")
    assert recorder.silences == ["wms_north"]


async def test_milestones_are_read_from_a_cursor_that_moves_once_they_are_recorded(poller, recorder):
    recorder.error = Unavailable("the record is down")
    with pytest.raises(Unavailable):
        await poller(milestones=recorder).poll("carrier")
    recorder.error = None
    assert await poller(milestones=recorder).poll("carrier") == 1
    assert await poller(milestones=recorder).poll("carrier") == 0
    assert (len(recorder.milestones), recorder.silences) == (1, [])
