from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.cache.valkey import Cache
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import Confidence
from gateway.kernel.errors import Unavailable
from gateway.store.log_reader import BEGINNING, LogReader
from process_apis.availability.models import ChannelTerms, Held
from process_apis.availability.process import Availability
from process_apis.availability.projecting import Projection, _stock, channel_field
from process_apis.availability.subscriptions import subscriptions

pytestmark = pytest.mark.integration

PLACES = [
    Location(location="loc_n", name="N", region="na", time_zone="UTC", holder="wms_n", codes={"wms_n": "N"}),
    Location(location="loc_s", name="S", region="na", time_zone="UTC", holder="wms_s", codes={"wms_s": "S"}),
]


@pytest.fixture
async def cached(world, valkey_url):
    cache = Cache(valkey_url, timeout=30.0)
    await cache.open()
    world.cache = cache
    world.availability = Availability(
        store=world.store, cache=cache, items=world.items, locations=LocationMap({"acme": PLACES}), clock=world.clock
    )
    yield world
    await cache.close()


async def changes(world):
    async with world.store.connection() as connection:
        stretch = await LogReader().read_after(connection, BEGINNING, limit=1000)
    return [each for each in stretch.events if each.event.type == "availability.changed"]


async def deliver(world, events):
    (projecting, _) = subscriptions(world.availability)
    async with world.store.transaction() as connection:
        half = len(events) // 2
        for each in events[:half]:
            await projecting.handler(connection, each)
        await projecting.together(connection, events[half:])


async def read(world):
    return await world.availability.projection.read("acme", list(world.id.values()))


async def both_answers(world):
    items = list(world.id.values())
    ask = world.availability.availability
    return [
        await ask("acme", channel="web", items=items, locations=True, from_record=from_record)
        for from_record in (False, True)
    ]


async def test_the_projection_says_what_the_record_says_whatever_order_changes_come_in(cached):
    await cached.stock("A", 10)
    assert await cached.availability.projection.ensure()
    assert not await cached.availability.projection.ensure()
    await cached.stock("A", 4, "wms_s")
    await cached.stock("B", 4, "wms_s")
    await cached.claim("ord_1", ("A", 3))
    await cached.allocate("ord_1")
    await cached.record(cached.movement("p", 9, "pick_confirmed", 2, order="ord_1"))
    events = await changes(cached)
    shuffled = events * 2
    random.Random(7).shuffle(shuffled)
    await deliver(cached, shuffled)
    projected, recorded = await both_answers(cached)
    assert projected == recorded
    assert {str(answer.available_to_sell) for answer in projected} == {"11", "4", "0"}
    assert (await read(cached))[cached.id["A"]].channels[("web", "main")][0] == 1


async def test_an_empty_or_wiped_cache_is_never_read_and_is_rebuilt(cached):
    await cached.stock("A", 10)
    with pytest.raises(Unavailable):
        await read(cached)
    projected, recorded = await both_answers(cached)
    assert projected == recorded
    assert projected[0].available_to_sell == 10
    await cached.availability.projection.ensure()
    await read(cached)
    await cached.cache.command("FLUSHDB")
    with pytest.raises(Unavailable):
        await read(cached)
    projected, recorded = await both_answers(cached)
    assert projected == recorded
    assert await cached.availability.projection.ensure()
    assert (await read(cached))[cached.id["A"]].lines[0].sellable == 10


async def test_a_cache_restored_from_an_older_run_is_not_believed(cached):
    await cached.stock("A", 10)
    await cached.availability.projection.ensure()
    pointer = cached.cache.key("{availability}", "current")
    generation = (await cached.cache.command("GET", pointer)).split(b" ")[0]
    await cached.cache.command("SET", pointer, generation + b" of-another-run")
    with pytest.raises(Unavailable):
        await read(cached)
    assert await cached.availability.projection.ensure()
    await read(cached)


async def test_a_change_that_could_not_be_projected_is_rebuilt_before_it_is_read(cached):
    await cached.availability.projection.ensure()
    await cached.stock("A", 10)
    down = Projection(cached.store, Cache("redis://127.0.0.1:1/0"))
    async with cached.store.transaction() as connection:
        for each in await changes(cached):
            await down.handle(connection, each)
    assert await cached.store.fetchval("select dirty from availability.projection")
    assert await cached.availability.projection.ensure()
    assert not await cached.store.fetchval("select dirty from availability.projection")
    assert (await read(cached))[cached.id["A"]].lines[0].sellable == 10


async def test_a_rebuild_beside_changes_loses_none_and_sweeps_the_old_generation(cached):
    projection = cached.availability.projection
    await projection.ensure()
    await cached.stock("A", 10)

    async def change():
        for turn in range(20):
            await cached.record(cached.movement(f"e{turn}", turn, "stock_adjusted", 1, sku="B"))
            await deliver(cached, (await changes(cached))[-1:])

    await asyncio.gather(change(), projection.rebuild(), projection.rebuild())
    assert (await read(cached))[cached.id["B"]].lines[0].sellable == 20
    assert not await projection.ensure()
    keys = await cached.cache.command("KEYS", cached.cache.key("available", "*"))
    assert len({key.split(b":")[2] for key in keys}) == 1


async def test_confidence_follows_the_silence_of_sources_and_stop_sells_nothing(cached):
    await cached.stock("A", 10)
    item = [cached.id["A"]]
    ask = cached.availability.availability
    assert (await ask("acme", channel="web", items=item))[0].confidence is Confidence.STALE
    await cached.availability.heard("acme", "wms_s")
    cached.clock.ahead += timedelta(seconds=2)
    answer = (await ask("acme", channel="web", items=item))[0]
    assert (answer.confidence, answer.uom) == (Confidence.HIGH, "EA")
    assert abs(answer.as_of - cached.clock.now()) < timedelta(minutes=1)
    cached.clock.ahead += timedelta(minutes=20)
    assert (await ask("acme", channel="web", items=item))[0].confidence is Confidence.DEGRADED
    cached.clock.ahead += timedelta(hours=2)
    assert (await ask("acme", channel="web", items=item))[0].available_to_sell == 10
    await cached.availability.set_rule("acme", "web", ChannelTerms(fallback="stop"), actor="test")
    assert (await ask("acme", channel="web", items=item))[0].available_to_sell == 0


async def test_unknown_items_are_left_out_and_known_ones_without_stock_have_none(cached):
    answers = await cached.availability.availability("acme", channel="web", items=["itm_no", cached.id["B"]])
    assert [(answer.item, answer.available_to_sell) for answer in answers] == [(cached.id["B"], Decimal(0))]


async def test_mending_an_item_code_lets_parked_movements_in(cached):
    await cached.record(cached.movement("e1", 1, "stock_adjusted", 5, source_item="X-NEW"))
    await cached.items.cross_reference("acme", "wms_n", {"X-NEW": "A"}, correlation_id="mend")
    (_, mending) = subscriptions(cached.availability)
    async with cached.store.connection() as connection:
        stretch = await LogReader().read_after(connection, BEGINNING, limit=1000)
        told = [each for each in stretch.events if each.event.type == "item.changed"]
        await mending.handler(connection, told[-1])
    assert await cached.positions() == {"sellable": 5}


def test_what_a_channel_drew_of_an_allotment_survives_the_projection():
    row = {"channel": "web", "owner": "main", "open": Decimal(3), "version": 7}
    drawn = row | {"channel": "fair", "allotment": "spring", "drawn": Decimal("2.5")}
    fields = [channel_field(1, row), channel_field(1, drawn)]
    stock = _stock("itm", [part for field in fields for part in (field[0].encode(), b"1 7 " + field[3])])
    assert stock.channels == {
        ("web", "main"): Held(Decimal(3), 7),
        ("fair", "main"): Held(Decimal(3), 7, "spring", Decimal("2.5")),
    }
