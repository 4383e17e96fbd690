"""What is told of regions: lags from the ledger and the projection, confidence, what waits, who is silent."""

import math
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backbone.consumer import Subscription
from gateway.cache.valkey import Cache
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import Confidence
from gateway.store.log_reader import BEGINNING, LogReader
from process_apis.availability.freshness import Objective, SourceObjectives
from process_apis.availability.lags import Lag, lag_of, slot_of
from process_apis.availability.process import Availability
from process_apis.availability.subscriptions import subscriptions

from .conftest import LOCATIONS

SOUTH = Location(location="loc_s", name="South", region="emea", time_zone="UTC", holder="wms_s", codes={"wms_s": "S"})


@given(st.lists(st.floats(0.002, 80_000), min_size=1, max_size=60))
def test_quantiles_are_within_a_twentieth_of_the_exact_ones(seconds):
    lag = lag_of(Counter(map(slot_of, seconds)))
    ordered = sorted(seconds)
    for part, told in ((0.5, lag.p50), (0.99, lag.p99)):
        exact = ordered[max(1, math.ceil(len(ordered) * part)) - 1]
        assert exact * 0.949 <= told <= exact * 1.051
    assert lag.news == len(seconds)


def test_where_there_was_no_news_no_lag_is_told():
    assert lag_of({}) == Lag(0, None, None)


def test_a_clock_that_is_ahead_makes_no_negative_lag():
    assert slot_of(-3.0) == slot_of(0.0) == 0


@pytest.fixture
async def two_regions(world, valkey_url):
    cache = Cache(valkey_url, timeout=30.0)
    await cache.open()
    world.availability = Availability(
        store=world.store,
        cache=cache,
        items=world.items,
        locations=LocationMap({"acme": [LOCATIONS[0], SOUTH]}),
        clock=world.clock,
        freshness={"wms_s": SourceObjectives(stock=Objective(degraded_after_seconds=60, stale_after_seconds=600))},
    )
    yield world
    await cache.close()


async def standing(world):
    return {each.region: each for each in await world.availability.regions("acme")}


async def report_late(world, seconds, number, source="wms_n"):
    """One movement that reaches us so many seconds after it happened."""
    one = world.movement(f"{source}-{number}", number, "stock_adjusted", 1, source=source)
    at = world.clock.now() - timedelta(seconds=seconds)
    await world.record(type(one)(**{name: getattr(one, name) for name in one.__struct_fields__} | {"occurred_at": at}))


@pytest.mark.integration
async def test_lags_are_told_by_region_however_often_they_are_counted(two_regions):
    world = two_regions
    for number in range(20):
        await report_late(world, 40, number)
    for number in range(5):
        await report_late(world, 3_600, number, "wms_s")
    for _ in range(3):
        await world.availability.lags.keep()
    told = await standing(world)
    na, emea = told["na"], told["emea"]
    assert (na.recorded.news, emea.recorded.news) == (20, 5)
    # 60 s for how long the machine took, a twentieth for the slots.
    assert 40 * 0.95 <= na.recorded.p50 <= 100 * 1.05
    assert 3_600 * 0.95 <= emea.recorded.p99 <= 3_660 * 1.05
    assert sum(minute.recorded.news for minute in na.minutes) == 20


@pytest.mark.integration
async def test_what_figures_show_is_counted_once_it_is_there_and_waits_until_then(two_regions):
    world = two_regions
    await world.availability.projection.ensure()
    await world.store.execute(
        "insert into store.consumer (name, log_epoch, transaction_id, event_id)"
        " values ('availability.projection', 0, '0', 0)"
    )
    await world.stock("A", 10)
    await world.stock("B", 10)
    await world.stock("A", 4, "wms_s")
    before = await standing(world)
    assert (before["na"].unpublished, before["emea"].unpublished) == (2, 1)
    projecting: Subscription = subscriptions(world.availability)[0]
    async with world.store.transaction() as connection:
        for each in (await LogReader().read_after(connection, BEGINNING, limit=100)).events:
            if each.event.type in projecting.types:
                await projecting.handler(connection, each)
    await world.availability.lags.keep()
    await world.availability.lags.keep()
    after = await standing(world)
    assert (after["na"].published.news, after["emea"].published.news) == (2, 1)


@pytest.mark.integration
async def test_a_silent_region_says_so_and_the_others_do_not(two_regions):
    world = two_regions
    await world.stock("A", 10)
    await world.stock("A", 4, "wms_s")
    world.clock.ahead = timedelta(seconds=61)
    told = await standing(world)
    assert (told["na"].confidence, told["emea"].confidence) == (Confidence.HIGH, Confidence.DEGRADED)
    [source] = told["emea"].sources
    assert (source.source, source.locations, source.stale_after_seconds) == ("wms_s", ("loc_s",), 600)
    assert source.age_seconds >= 61
    assert [each.source for each in told["emea"].silent] == ["wms_s"]
    assert told["na"].silent == ()


@pytest.mark.integration
async def test_what_is_parked_counts_for_the_region_that_it_names(two_regions):
    world = two_regions
    await world.record(world.movement("p1", 1, "stock_adjusted", 1, source="wms_s", source_item="?"))
    await world.record(world.movement("p2", 1, "stock_adjusted", 1, source_item="?", source_location="elsewhere"))
    told = await standing(world)
    assert (told["na"].parked, told["emea"].parked) == (1, 1)


@pytest.mark.integration
async def test_lags_older_than_a_day_are_forgotten(two_regions):
    world = two_regions
    await report_late(world, 1, 1)
    await world.availability.lags.keep()
    world.clock.ahead = timedelta(days=1, minutes=2)
    await world.availability.lags.keep()
    assert await world.store.fetchval("select count(*) from availability.lag") == 0
