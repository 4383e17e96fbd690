"""What a partner is told last is what is so: whatever fails, is late, is slow or dies on the way."""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

import gateway.identity
import gateway.store
import process_apis.partner_notifications
from gateway.identity.partners import add_partner
from gateway.identity.webhook_endpoints import add_endpoint
from gateway.kernel.context import Caller, Principal
from gateway.kernel.errors import Conflict, Invalid, NotFound
from gateway.kernel.ids import new_id
from gateway.kernel.keyring import KeyRing
from gateway.kernel.secrets import Secret
from gateway.outbound.webhooks import Attempt, Outcome
from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store
from process_apis.partner_notifications.process import PartnerNotifications
from process_apis.partner_notifications.rendering import RendersByVersion, choose_version
from process_apis.partner_notifications.troubles import MessageTroubles

pytestmark = pytest.mark.integration
PARTS = (gateway.store, gateway.identity, process_apis.partner_notifications)
RING = KeyRing({1: Secret("test master key, long enough to be accepted")})
INSERT = """
insert into partner_notifications.message
    (message, tenant, partner, endpoint, type, subject, event_type, occurred_at, correlation_id)
values ($1, 'acme', 'par_1', $2, 'order.updated', $3, 'order.accepted', $4, 'cor_1')
"""


CALLER = Caller(
    principal=Principal(tenant="acme", subject="ada", credential="k", zones=frozenset(), scopes=frozenset()),
    request_id="r",
    correlation_id="c",
    deadline=float("inf"),
)


class Removed:
    """An address that its partner took back."""

    endpoint_id = "end_removed"


class Renderer:
    """Renders the version of the moment. A `defect` raises."""

    def __init__(self):
        self.version = 1
        self.defect = None

    async def render(self, message, *, channel):
        if self.defect == message.message:
            raise ZeroDivisionError
        return f"{message.about} v{self.version}".encode()


class Receivers:
    """What arrived, in order; each endpoint's next answers can be scripted, and an endpoint can be a black hole."""

    def __init__(self):
        self.arrived = []
        self.under_way = []
        self.answers = {}
        self.holds = {}

    async def deliver(self, url, *, message_id, body, secrets, correlation_id):
        self.under_way.append(body.split(b" ")[0])
        try:
            if (hold := self.holds.get(url)) is not None:
                await hold.wait()
            outcome = (self.answers.get(url) or [Outcome.DELIVERED]).pop(0)
            self.arrived.append((message_id, body.decode(), outcome))
        finally:
            self.under_way.remove(body.split(b" ")[0])
        return Attempt(outcome=outcome, status=200, detail="", took_ms=1.0)


class World:
    def __init__(self, store, endpoint, other):
        self.store, self.endpoint, self.other = store, endpoint, other
        self.renderer, self.receivers = Renderer(), Receivers()

    def worker(self):
        return PartnerNotifications(self.store, RING, renderer=self.renderer, sender=self.receivers)

    async def tell(self, subject="order/ord_1/1", endpoint=None):
        await asyncio.sleep(0.002)  # ids sort by the millisecond
        message = new_id("msg")
        await self.store.execute(INSERT, message, (endpoint or self.endpoint).endpoint_id, subject, datetime.now(UTC))
        return message

    async def make_due(self):
        await self.store.execute("update partner_notifications.message set next_attempt_at = now()")

    async def state(self, message):
        return await self.store.fetchrow("select * from partner_notifications.message where message = $1", message)

    @contextlib.asynccontextmanager
    async def running(self):
        stop = asyncio.Event()
        task = asyncio.create_task(self.worker().run(stop))
        yield task
        stop.set()
        for hold in self.receivers.holds.values():
            hold.set()
        await asyncio.wait_for(task, 60)


@pytest.fixture
async def record_url(records):
    async with records.lent(find_migrations([Path(part.__file__).parent / "migrations" for part in PARTS])) as url:
        yield url


@pytest.fixture
async def world(record_url):
    store = Store(record_url, size=8)
    await store.open()
    async with store.transaction() as connection:
        made = await add_partner(
            connection, RING, tenant="acme", name="Shop", channel="web", plan="standard", accounts=["CUST1"]
        )
        ends = [
            await add_endpoint(connection, RING, tenant="acme", partner=made.partner_id, url=f"https://{name}.test/")
            for name in ("one", "two")
        ]
    yield World(store, *ends)
    await store.close()


async def eventually(condition, seconds=60.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_retry_that_comes_after_newer_news_says_the_newer(world):
    worker = world.worker()
    world.receivers.answers[world.endpoint.url] = [Outcome.FAILED, Outcome.DELIVERED, Outcome.DELIVERED]
    first = await world.tell("order/ord_1/1")
    await worker.deliver_due()
    world.renderer.version = 2
    second = await world.tell("order/ord_1/2")
    await worker.deliver_due()
    await world.make_due()
    await worker.deliver_due()
    assert world.receivers.arrived == [
        (first, "ord_1 v1", Outcome.FAILED),
        (second, "ord_1 v2", Outcome.DELIVERED),
        (first, "ord_1 v2", Outcome.DELIVERED),
    ]


async def test_two_about_one_order_are_never_under_way_at_once_whoever_leases_them(world):
    workers = [world.worker(), world.worker()]
    world.receivers.holds[world.endpoint.url] = held = asyncio.Event()
    messages = [await world.tell(f"order/ord_1/{n}") for n in range(3)]
    rounds = [asyncio.create_task(worker.deliver_due()) for worker in workers]
    await eventually(lambda: world.receivers.under_way)
    assert not await world.worker().deliver_due()
    assert world.receivers.under_way == [b"ord_1"]
    held.set()
    await asyncio.gather(*rounds)
    while await workers[0].deliver_due():
        pass
    assert [message for message, *_ in world.receivers.arrived] == messages


async def test_workers_leasing_a_burst_at_once_deliver_each_message_once_and_in_order(world):
    told = {order: [await world.tell(f"order/{order}/{n}") for n in range(4)] for order in ("ord_1", "ord_2", "ord_3")}

    async def work():
        worker = world.worker()
        while await world.store.fetchval(
            "select exists (select from partner_notifications.message where state = 'waiting')"
        ):
            await worker.deliver_due()

    async with asyncio.timeout(60):
        await asyncio.gather(*(work() for _ in range(4)))
    for order, messages in told.items():
        assert [m for m, body, _ in world.receivers.arrived if body.startswith(order)] == messages


async def test_what_is_given_up_is_one_trouble_for_its_address_until_it_is_told_again_or_let_be(world):
    worker, troubles = world.worker(), MessageTroubles()
    world.receivers.answers[world.endpoint.url] = [Outcome.REFUSED, Outcome.REFUSED, Outcome.DELIVERED]
    given_up = [await world.tell(f"order/ord_{number}/1") for number in (1, 2)]
    await world.tell("order/ord_3/1", endpoint=world.other)
    gone = await world.tell("order/ord_4/1", endpoint=Removed)
    await worker.deliver_due()

    async def told():
        async with world.store.connection() as connection:
            return await troubles.troubles(connection, "acme", limit=10)

    async def decide(verb, *given):
        async with world.store.transaction() as connection:
            await getattr(troubles, verb)(connection, CALLER, *given)

    [trouble] = await told()
    assert (await world.state(gone))["state"] == "abandoned"  # of an address that was removed: nobody's trouble
    assert (trouble.key, trouble.count, trouble.fault_domain) == (world.endpoint.endpoint_id, 2, "par_1")
    assert trouble.verbs == ("retry", "ignore")
    await decide("retry", trouble.key)
    assert await told() == []
    world.receivers.answers[world.endpoint.url] = [Outcome.REFUSED, Outcome.DELIVERED]
    while await worker.deliver_due():
        pass
    assert sorted([(await world.state(message))["state"] for message in given_up]) == ["abandoned", "delivered"]
    [trouble] = await told()
    assert trouble.count == 1
    await decide("ignore", trouble.key, "they know it by telephone")
    assert await told() == []
    with pytest.raises(Conflict) as refused:
        await decide("retry", trouble.key)
    assert refused.value.code == "exceptions.over"


async def test_a_receiver_that_never_answers_holds_up_its_own_messages_only(world):
    world.receivers.holds[world.endpoint.url] = asyncio.Event()
    for number in range(80):
        await world.tell(f"order/ord_{number}/1")
    async with world.running():
        await eventually(lambda: len(world.receivers.under_way) >= 32)
        quick = await world.tell("order/ord_q/1", world.other)
        await eventually(lambda: [m for m, *_ in world.receivers.arrived] == [quick], seconds=5)


async def test_one_message_that_cannot_be_rendered_stops_nobody_and_is_tried_on_its_schedule(world):
    bad = world.renderer.defect = await world.tell("order/ord_bad/1")
    async with world.running() as running:
        good = await world.tell("order/ord_1/1")
        await eventually(lambda: [m for m, *_ in world.receivers.arrived] == [good])
        assert not running.done()
    row = await world.state(bad)
    assert (row["state"], row["attempts"], row["leased"]) == ("waiting", 1, False)
    assert row["last_error"] == "internal.ZeroDivisionError"


async def test_a_worker_taken_for_dead_records_nothing_over_its_successor(world):
    sleeper, successor = world.worker(), world.worker()
    world.receivers.holds[world.endpoint.url] = woken = asyncio.Event()
    world.receivers.answers[world.endpoint.url] = [Outcome.DELIVERED, Outcome.REFUSED]
    message = await world.tell()
    late = asyncio.create_task(sleeper.deliver_due())
    await eventually(lambda: world.receivers.under_way)
    await world.make_due()  # its lease is over
    del world.receivers.holds[world.endpoint.url]
    await successor.deliver_due()
    woken.set()
    await late
    row = await world.state(message)
    assert (row["state"], row["attempts"]) == ("delivered", 2)


async def test_a_change_after_a_message_was_rendered_gets_a_message_of_its_own_and_before_it_none(world):
    coalesced = INSERT + " on conflict (endpoint, subject) where payload is null and state = 'waiting' do nothing"
    told = (world.endpoint.endpoint_id, "item/itm_1", datetime.now(UTC))
    world.receivers.holds[world.endpoint.url] = held = asyncio.Event()
    await world.store.execute(coalesced, new_id("msg"), *told)
    await world.store.execute(coalesced, new_id("msg"), *told)
    sending = asyncio.create_task(world.worker().deliver_due())
    await eventually(lambda: world.receivers.under_way)
    world.renderer.version = 2
    await world.store.execute(coalesced, new_id("msg"), *told)
    held.set()
    await sending
    assert await world.worker().deliver_due()
    assert [body for _, body, _ in world.receivers.arrived] == ["itm_1 v1", "itm_1 v2"]


async def test_a_message_given_up_before_it_was_rendered_can_be_sent_again_beside_a_newer_one(world):
    lost = await world.tell("item/itm_1")
    await world.store.execute("update partner_notifications.message set state = 'abandoned'")
    await world.tell("item/itm_1")
    worker = world.worker()
    await worker.redeliver("acme", lost)
    while await worker.deliver_due():
        pass
    assert len(world.receivers.arrived) == 2


# --- which API version --------------------------------------------------------------------------------------------


class Named:
    """Renders everything as the name of its version."""

    def __init__(self, name):
        self.name = name

    async def render(self, message, *, channel):
        return f"{message.about} {self.name}".encode()


async def chosen(world, version, partner=None):
    async with world.store.transaction() as connection:
        row = await connection.fetchrow("select partner_id from identity.partner")
        return await choose_version(
            connection,
            RING,
            tenant="acme",
            partner=partner or row["partner_id"],
            version=version,
            known=("v1", "v2"),
        )


async def test_an_endpoint_gets_the_first_version_until_its_partner_chooses_another(world):
    world.renderer = RendersByVersion({"v1": Named("one"), "v2": Named("two")})
    await world.tell("order/ord_1/1")
    await world.worker().deliver_due()
    listed = await chosen(world, "v2")
    await world.tell("order/ord_1/2")
    await world.tell("order/ord_1/2", world.other)
    while await world.worker().deliver_due():
        pass
    assert {each.version for each in listed} == {"v2"}
    assert [body for _, body, _ in world.receivers.arrived] == ["ord_1 one", "ord_1 two", "ord_1 two"]


async def test_a_message_of_a_version_that_has_ended_waits_until_another_is_chosen(world):
    message = await world.tell()
    world.renderer = RendersByVersion({"v2": Named("two")})
    await world.worker().deliver_due()
    assert world.receivers.arrived == []
    assert (await world.state(message))["state"] == "waiting"
    await chosen(world, "v2")
    await world.make_due()
    await world.worker().deliver_due()
    assert [body for _, body, _ in world.receivers.arrived] == ["ord_1 two"]


async def test_a_version_that_nobody_renders_and_a_partner_without_an_endpoint_are_refused(world):
    with pytest.raises(Invalid, match="v1, v2"):
        await chosen(world, "v3")
    with pytest.raises(NotFound):
        await chosen(world, "v2", partner="par_nobody")
