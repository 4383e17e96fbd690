"""A partner's stream of events: everything once and in order, whoever the worker is, and nothing of anybody else's."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.cache.valkey import Cache
from gateway.canonical.events import Event, Position, Recorded
from gateway.kernel.context import Caller, Principal
from gateway.kernel.cursors import Cursors
from gateway.kernel.errors import NotFound, Throttled, Unavailable
from gateway.kernel.secrets import Secret
from gateway.store.log_reader import BEGINNING, Stretch
from process_apis.partner_notifications.following import Following, Waiting, Wanted
from process_apis.partner_notifications.places import Places
from process_apis.partner_notifications.rules import topic_of
from process_apis.partner_notifications.sharing import SharedBodies
from process_apis.partner_notifications.streaming import EventStreams, Options

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BOTH = frozenset({"order.updated", "availability.changed"})
PATIENCE = 30


async def eventually(fulfilled):
    async with asyncio.timeout(PATIENCE):
        while True:
            if fulfilled():
                return
            await asyncio.sleep(0.001)


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.seconds = 0.0

    def now(self):
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self):
        return self.seconds


class Log:
    """The record's log: its reader, its store, and the tail that a worker hears."""

    def __init__(self):
        self.events = []
        self.changed = asyncio.Event()
        self.reads = 0

    def write(self, type_, aggregate, *, tenant="acme", **data):
        position = Position(1, len(self.events) + 1, len(self.events) + 1)
        event = Event(
            tenant=tenant, type=type_, aggregate=aggregate, aggregate_version=1, occurred_at=NOW, data=data,
            correlation_id="cor_1",
        )  # fmt: skip
        self.events.append(Recorded(position=position, recorded_at=NOW, event=event))
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        return position

    def order(self, name, partner="par_1", **more):
        return self.write("order.accepted", name, partner=partner, **more)

    def stock(self, item, **more):
        return self.write("availability.changed", f"line/{item}", item=item, **more)

    @contextlib.asynccontextmanager
    async def connection(self):
        yield None

    async def end(self, _):
        return self.events[-1].position if self.events else BEGINNING

    async def is_recorded(self, _, position):
        return any(each.position == position for each in self.events)

    async def read_after(self, _, position, *, types, limit):
        self.reads += 1
        found = tuple(each for each in self.events if each.position > position)[:limit]
        return Stretch(found, found[-1].position if found else position)

    async def stretches(self, types, *, after):
        while True:
            changed = self.changed
            stretch = await self.read_after(None, after, types=types, limit=200)
            after = stretch.reached
            yield stretch
            if not stretch.events:
                await changed.wait()


class Renderer:
    """Renders the state of the moment and counts how often."""

    def __init__(self):
        self.state = 0
        self.rendered = []
        self.down = False
        self.gone = set()

    async def render(self, message, *, channel):
        if self.down:
            raise Unavailable("no record")
        self.rendered.append((message.about, channel))
        if message.about in self.gone:
            return None
        return json.dumps({"about": message.about, "state": self.state, "version": message.version}).encode()


class Worker:
    """One process of the gateway."""

    def __init__(self, log, renderer=None, clock=None, **options):
        self.log, self.clock, self.renderer = log, clock or Clock(), renderer or Renderer()
        self.streams = EventStreams(
            Following(log, log),
            SharedBodies(self.renderer),
            Places(Cache("redis://127.0.0.1:1/0")),
            Cursors(Secret("a key for cursors, long enough")),
            self.clock,
            Options(**{"heartbeat": 3600.0} | options),
        )
        self.tail = asyncio.create_task(self.streams.following.run(log))


class Client:
    """Connected to a worker. It takes what is sent; while `holding` it takes nothing."""

    def __init__(self, worker, *, partner="par_1", tenant="acme", types=BOTH, items=None):
        self.worker = worker
        self.principal = Principal(tenant, "cli_1", "key", frozenset(), frozenset(), partner=partner, channel="web")
        self.wanted = Wanted(tenant=tenant, partner=partner, messages=types, items=items)
        self.got = []
        self.last = None
        self.raw = b""
        self.flows = asyncio.Event()
        self.flows.set()

    async def connect(self, last=None):
        telling = await self.worker.streams.open(
            Caller(self.principal, "req_1", "cor_1", 0.0), self.wanted, last, version="v2"
        )
        self.task = asyncio.create_task(telling.tell(self._take))
        await eventually(lambda: self.raw)
        return self

    async def _take(self, part):
        await self.flows.wait()
        self.raw += part
        for block in part.decode().split("\n\n"):  # several events may come in one part
            fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
            self.last = fields.get("id", self.last)
            if "data" in fields:
                self.got.append((fields["event"], json.loads(fields["data"])))

    async def until(self, count):
        """What was told, once there are so many events."""
        await eventually(lambda: len(self.got) >= count)
        return self.about

    @property
    def about(self):
        return [data.get("about", data.get("reason")) for _, data in self.got]

    async def leave(self):
        self.task.cancel()
        await asyncio.wait([self.task])
        return self.last


@pytest.fixture
async def log():
    return Log()


@pytest.fixture
async def make(log):
    workers = []

    def make(**options):
        workers.append(Worker(log, **options))
        return workers[-1]

    yield make
    for worker in workers:
        worker.tail.cancel()
        await asyncio.wait([worker.tail])


async def test_events_come_in_order_and_from_now_on(log, make):
    log.order("before")
    client = await Client(make()).connect()
    for number in range(5):
        log.order(f"o{number}")
        await asyncio.sleep(0)
    assert await client.until(5) == [f"o{number}" for number in range(5)]
    assert {name for name, _ in client.got} == {"order.updated"}
    assert client.raw.startswith(b"retry: 1000\nid: ")
    await client.leave()


async def test_whoever_comes_again_to_another_worker_misses_nothing_and_is_told_nothing_twice(log, make):
    first = await Client(make()).connect()
    log.order("o1")
    await first.until(1)
    last = await first.leave()
    log.order("o2")
    late = make()
    other = await Client(late, partner="par_2").connect()  # the second worker's tail begins here, behind o2
    log.order("o3")
    again = await Client(late).connect(last)
    log.order("o4")
    assert await again.until(3) == ["o2", "o3", "o4"]
    assert other.got == []
    await again.leave()


async def test_a_worker_that_is_behind_does_not_repeat_what_another_has_told(log, make):
    slow = make()
    await Client(slow, partner="par_9").connect()
    slow.tail.cancel()
    await asyncio.wait([slow.tail])
    first = await Client(make()).connect()
    log.order("o1")
    log.order("o2")
    await first.until(2)
    last = await first.leave()
    again = await Client(slow).connect(last)
    slow.tail = asyncio.create_task(slow.streams.following.run(log))
    log.order("o3")
    assert await again.until(1) == ["o3"]
    await again.leave()


async def test_a_partner_is_told_its_own_orders_and_its_tenants_availability(log, make):
    worker = make()
    mine, other = await Client(worker).connect(), await Client(worker, partner="par_2").connect()
    elsewhere, nobody = await Client(worker, tenant="other").connect(), await Client(worker, partner="").connect()
    log.order("mine")
    log.order("ownerless", partner=None)
    log.order("foreign", tenant="other")
    log.stock("itm_1")
    assert await mine.until(2) == ["mine", "itm_1"]
    assert await other.until(1) == ["itm_1"]
    assert await elsewhere.until(1) == ["foreign"]
    assert await nobody.until(1) == ["itm_1"]


async def test_types_and_articles_can_be_chosen(log, make):
    worker = make()
    stock = await Client(worker, types=frozenset({"availability.changed"}), items=frozenset({"itm_1"})).connect()
    orders = await Client(worker, types=frozenset({"order.updated"})).connect()
    log.stock("itm_2")
    log.order("o1")
    log.stock("itm_1")
    assert await stock.until(1) == ["itm_1"]
    assert await orders.until(1) == ["o1"]


async def test_availability_that_was_not_told_yet_is_told_once_as_it_is_now(log, make):
    client = await Client(make()).connect()
    client.flows.clear()
    log.stock("itm_0")
    await asyncio.sleep(0.05)  # it is on its way
    for _ in range(50):
        log.stock("itm_1")
        log.stock("itm_2")
    log.order("o1")
    await asyncio.sleep(0.05)
    client.flows.set()
    told = await client.until(4)
    assert told[-1] == "o1"
    assert set(told[-3:-1]) == {"itm_1", "itm_2"}


async def test_a_slow_reader_is_ended_with_a_word_and_resumes_without_a_gap(log, make):
    client = await Client(make(room=10)).connect()
    client.flows.clear()
    for number in range(100):
        log.order(f"o{number}")
    await eventually(lambda: any(each.too_slow for each in client.worker.streams.following._listeners["acme"]))
    client.flows.set()
    async with asyncio.timeout(PATIENCE):
        await client.task
    assert client.got[-1][0] == "stream.ended"
    assert client.about[-1] == "too_slow"
    told = client.about[:-1]
    again = await Client(client.worker).connect(client.last)
    told += await again.until(100 - len(told))
    assert told == [f"o{number}" for number in range(100)]


async def test_a_stream_ends_after_its_lifetime_and_says_so(log, make):
    worker = make(lifetime=60.0)
    client = await Client(worker).connect()
    log.order("o1")
    await client.until(1)
    worker.clock.seconds = 61.0
    log.order("o2")
    async with asyncio.timeout(PATIENCE):
        await client.task
    assert client.about[-1] == "lifetime"


async def test_silence_is_broken_by_comments_that_move_the_place_on(log, make):
    worker = make(heartbeat=0.001)
    client = await Client(worker).connect()
    worker.clock.seconds = 10.0
    before = client.last
    log.order("of somebody else", partner="par_2")
    async with asyncio.timeout(PATIENCE):
        while client.last == before or b": nothing new\n" not in client.raw:
            worker.clock.seconds += 1.0
            await asyncio.sleep(0.001)
    assert client.got == []


@pytest.mark.parametrize("age", [86_399, 86_401], ids=["young enough", "too old"])
async def test_a_place_that_is_too_old_is_answered_with_a_reset(log, make, age):
    worker = make()
    first = await Client(worker).connect()
    log.order("o1")
    await first.until(1)
    last = await first.leave()
    place = log.order("o2")
    await eventually(lambda: worker.streams.following.reached >= place)
    worker.clock.seconds = age
    again = await Client(worker).connect(last)
    log.order("o3")
    if age > 86_400:
        assert await again.until(2) == ["too_old", "o3"]
        assert again.got[0][0] == "stream.reset"
    else:
        assert await again.until(2) == ["o2", "o3"]


async def test_a_place_that_the_log_does_not_hold_any_more_is_answered_with_a_reset(log, make):
    first = await Client(make()).connect()
    log.order("o1")
    log.order("o2")
    await first.until(2)
    last = await first.leave()
    del log.events[1:]  # restored from a backup
    again = await Client(make()).connect(last)
    assert await again.until(1) == ["log_restored"]


async def test_an_id_of_another_partner_or_of_nobody_opens_nothing(log, make):
    worker = make()
    first = await Client(worker).connect()
    log.order("o1")
    await first.until(1)
    for last in (first.last, "AAAAAAAAAAAAAAAAAAAAAAAA"):
        with pytest.raises(NotFound) as caught:
            await Client(worker, partner="par_2").connect(last)
        assert caught.value.code == "events.last_event_id"


async def test_one_event_is_rendered_once_for_everybody_who_may_see_the_same(log, make):
    worker = make()
    clients = [await Client(worker, partner=f"par_{number}").connect() for number in range(5)]
    log.stock("itm_1")
    for client in clients:
        await client.until(1)
    assert worker.renderer.rendered == [("itm_1", "web")]


async def test_what_was_rendered_for_others_before_is_never_told_after_something_newer(log, make):
    worker = make()
    first = await Client(worker).connect()
    log.order("o1")
    await first.until(1)
    last = await first.leave()
    ahead = await Client(worker).connect()
    log.order("o2")
    await ahead.until(1)
    worker.renderer.state = 7
    log.order("o3")
    await ahead.until(2)
    worker.renderer.state = 8
    behind = await Client(worker).connect(last)
    await behind.until(2)
    states = [data["state"] for _, data in behind.got]
    assert states == sorted(states)


async def test_what_is_gone_is_passed_over(log, make):
    worker = make()
    worker.renderer.gone.add("o1")
    client = await Client(worker).connect()
    log.order("o1")
    log.order("o2")
    assert await client.until(1) == ["o2"]


async def test_while_the_record_is_away_a_stream_ends_and_its_event_is_told_next_time(log, make):
    worker = make()
    client = await Client(worker).connect()
    worker.renderer.down = True
    log.order("o1")
    async with asyncio.timeout(PATIENCE):
        await client.task
    assert client.about == ["unavailable"]
    worker.renderer.down = False
    again = await Client(worker).connect(client.last)
    assert await again.until(1) == ["o1"]


async def test_a_plan_bounds_the_streams_and_a_place_is_free_again_when_its_stream_ends(make):
    worker = make()
    worker.streams.allowed = lambda _: 2
    first, _second = await Client(worker).connect(), await Client(worker).connect()
    await asyncio.sleep(0.01)
    with pytest.raises(Throttled) as caught:
        await Client(worker).connect()
    assert caught.value.code == "events.too_many_streams"
    await Client(worker, partner="par_2").connect()
    await first.leave()
    await Client(worker).connect()


def test_what_is_told_together_is_about_different_things_and_in_order():
    log, waiting = Log(), Waiting()
    for name in ("o1", "o2", "o1", "o3"):
        log.order(name)
    for item in ("i1", "i2", "i1"):
        log.stock(item)
    for recorded in log.events:
        waiting.add(recorded)
    told = []
    while some := waiting.take_some(3):
        told.append([topic_of(recorded) for recorded in some])
    assert told == [["order/o1", "order/o2"], ["order/o1", "order/o3", "item/i2"], ["item/i1"]]
