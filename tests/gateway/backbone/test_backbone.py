import asyncio

import pytest

from gateway.kernel.errors import Misconfigured, Unavailable
from gateway.store.log_reader import BEGINNING
from gateway.store.postgres import Store

from .conftest import ACCEPTED, carried, keeper, order, running, until, until_seen, write

pytestmark = pytest.mark.integration


async def test_events_arrive_in_order_and_once_and_others_are_passed_over(store, nats_url):
    async with running(store, nats_url, keeper("c")) as backbone:
        for number in range(50):
            await write(store, order(f"ord_{number}"), order("other", type_="order.held"))
        await until_seen(store, [f"ord_{number}" for number in range(50)])
        await carried(backbone)
        assert backbone.connected
        assert backbone.runs == {"relay", "subscription/c"}


async def test_an_event_comes_by_jetstream_well_before_the_record_would_be_looked_at(store, nats_url, monkeypatch):
    monkeypatch.setattr("gateway.backbone.tail._LOOK_WHEN_LIVE_S", 3_600.0)
    another = Store(store.url, size=1)  # its commits give no hint, like those of another process
    await another.open()
    async with running(store, nats_url, keeper("c")) as backbone:
        await carried(backbone)
        for number in range(30):
            await write(another, order(f"o{number}"))
            await until_seen(store, [f"o{before}" for before in range(number + 1)])
    await another.close()


async def test_streams_are_carried_apart(store, nats_url):
    async with running(store, nats_url, keeper("n", stream="north"), keeper("s", stream="south/Ω")):
        await write(store, order("n1", stream="north"), order("s1", stream="south/Ω"), order("n2", stream="north"))
        await until_seen(store, ["n1", "n2"], "n")
        await until_seen(store, ["s1"], "s")


async def test_a_new_consumer_begins_at_the_beginning_or_now_and_goes_on_where_it_stopped(store, nats_url):
    await write(store, order("before"))
    async with running(store, nats_url, keeper("all"), keeper("new", from_now=True)):
        await until_seen(store, ["before"], "all")
        await until(lambda: store.fetchval("select count(*) = 2 from store.consumer"))
        await write(store, order("during"))
        await until_seen(store, ["during"], "new")
    await write(store, order("after"))
    async with running(store, nats_url, keeper("all"), keeper("new", from_now=True)):
        await until_seen(store, ["before", "during", "after"], "all")
        await until_seen(store, ["during", "after"], "new")


async def test_without_nats_everything_is_delivered_from_the_record(store):
    async with running(store, "nats://127.0.0.1:1", keeper("c")) as backbone:
        for number in range(20):
            await write(store, order(f"o{number}"))
        await until_seen(store, [f"o{number}" for number in range(20)])
        assert not backbone.connected


async def test_an_event_too_large_to_carry_is_taken_from_the_record(store, nats_url):
    async with running(store, nats_url, keeper("c")) as backbone:
        await carried(backbone)
        await write(store, order("small"), order("large", blob="x" * 2_000_000), order("next"))
        await until_seen(store, ["small", "large", "next"])


async def test_a_stream_that_is_ahead_of_the_record_after_a_restore_is_made_anew(store, nats_url):
    async with running(store, nats_url, keeper("c")) as backbone:
        await carried(backbone)
        await write(store, order("lost"))
        await until_seen(store, ["lost"])
    await store.execute("delete from store.event; delete from store.consumer; delete from seen")
    async with running(store, nats_url, keeper("c")) as backbone:
        await carried(backbone)
        await write(store, order("new"))
        await until_seen(store, ["new"])


async def test_live_listeners_get_what_follows_their_place_and_stop_with_the_backbone(store, nats_url):
    await write(store, order("one"), order("held", type_="order.held"), order("two"))
    got = []

    async def listen(backbone):
        async for recorded in backbone.live(ACCEPTED, after=BEGINNING):
            got.append(recorded.event.aggregate)  # noqa: PERF401 - the test looks at it meanwhile

    async with running(store, nats_url, relay=False) as listener, running(store, nats_url):
        await until(lambda: asyncio.sleep(0, listener._tasks is not None))
        listening = asyncio.create_task(listen(listener))
        await until(lambda: asyncio.sleep(0, len(got) == 2))
        await write(store, order("three"))
        await until(lambda: asyncio.sleep(0, got == ["one", "two", "three"]))
    async with asyncio.timeout(30):
        await listening
    with pytest.raises(Unavailable):
        await anext(listener.live(ACCEPTED))


async def test_a_live_listener_without_a_place_gets_only_what_is_new(store, nats_url, monkeypatch):
    await write(store, order("old"))
    async with running(store, nats_url) as backbone:
        await until(lambda: asyncio.sleep(0, backbone._tasks is not None))
        end, begun = backbone._reader.end, asyncio.Event()

        async def told(*args, **given):
            place = await end(*args, **given)
            begun.set()
            return place

        monkeypatch.setattr(backbone._reader, "end", told)
        events = backbone.live(ACCEPTED)
        first = asyncio.ensure_future(anext(events))
        async with asyncio.timeout(30):
            await begun.wait()
        await write(store, order("new"))
        async with asyncio.timeout(30):
            assert (await first).event.aggregate == "new"
        await events.aclose()


async def test_two_subscriptions_of_one_name_or_of_an_unknown_type_are_refused(store, nats_url):
    with pytest.raises(Misconfigured):
        async with running(store, nats_url, keeper("c"), keeper("c")):
            pass
    with pytest.raises(Misconfigured, match=r"order\.vanished"):
        keeper("d", types=frozenset({"order.vanished"}))
