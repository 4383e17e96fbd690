"""How far figures are trusted, and what a channel does when their sources are not heard in time."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.location import Location
from gateway.canonical.stock import Confidence
from gateway.kernel.errors import Conflict, Misconfigured
from process_apis.availability.freshness import (
    RANK,
    Heard,
    Objective,
    SourceObjectives,
    certainty,
    confidence,
    fallen_back,
)
from process_apis.availability.models import ChannelRule, ChannelTerms, LocationTerms, StockLine
from process_apis.availability.selling import sellable

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PLACES = [
    Location(location="n", name="N", region="na", time_zone="UTC", holder="wms_n", codes={"wms_n": "N", "erp": "WN"}),
    Location(location="s", name="S", region="emea", time_zone="UTC", holder="wms_s", codes={"wms_s": "S"}),
]


def heard(seconds, **compared):
    return Heard(NOW - timedelta(seconds=seconds), **compared)


def line(location, sellable):
    zero = Decimal(0)
    return StockLine(item="a", location=location, owner="main", on_hand=Decimal(sellable), sellable=Decimal(sellable),
                     reserved=zero, allocated=zero, external=zero, version=1, as_of=NOW)  # fmt: skip


def sells(terms):
    return sellable("a", LINES, ChannelRule(channel="web", version=1, terms=terms), (), {})


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0, "high"), (900, "high"), (901, "degraded"), (3600, "degraded"), (3601, "stale"), (None, "stale")],
)
def test_confidence_falls_with_the_age_of_the_last_word(age, expected):
    assert confidence(None if age is None else heard(age), Objective(), NOW) is Confidence(expected)


@pytest.mark.parametrize(
    ("drifted", "ago", "expected"),
    [(5, 0, "high"), (6, 0, "degraded"), (6, 3600, "degraded"), (6, 3601, "high")],
)
def test_a_snapshot_that_drifted_too_far_lowers_the_confidence_for_a_time(drifted, ago, expected):
    compared = NOW - timedelta(seconds=ago)
    known = heard(1, compared_at=compared, figures=100, drifted=drifted)
    assert confidence(known, Objective(), NOW) is Confidence(expected)


def test_an_objective_holds_for_one_source_and_domain():
    objectives = {
        "wms_n": SourceObjectives(stock=Objective(degraded_after_seconds=5, stale_after_seconds=10)),
        "erp": SourceObjectives(demand=Objective(degraded_after_seconds=5, stale_after_seconds=60)),
    }
    words = {"wms_n": heard(1), "wms_s": heard(20), "erp/demand": heard(30), "erp": heard(99_999)}
    sure = certainty(PLACES, objectives, words, NOW)
    assert sure.confidence is Confidence.DEGRADED
    assert sure.doubtful == {"n": Confidence.DEGRADED}
    [silent] = sure.silent
    assert (silent.source, silent.domain, silent.cause, silent.locations) == ("erp", "demand", "silent", ("n",))
    assert silent.since == NOW - timedelta(seconds=30)
    assert sure.as_of == NOW - timedelta(seconds=30)


def test_a_feed_that_no_objective_names_is_not_waited_for():
    assert certainty(PLACES, {}, {"wms_n": heard(1), "wms_s": heard(2)}, NOW).confidence is Confidence.HIGH


def test_drift_is_told_as_drift_and_silence_as_silence():
    words = {"wms_n": heard(1, compared_at=NOW, figures=1, drifted=1)}
    told = {each.source: (each.cause, each.since) for each in certainty(PLACES, {}, words, NOW).silent}
    assert told == {"wms_n": ("drift", NOW - timedelta(seconds=1)), "wms_s": ("silent", None)}


LINES = [line("n", 10), line("s", 20)]


@pytest.mark.parametrize(
    ("fallback", "doubt", "expected"),
    [
        ("serve", "stale", 29),
        ("stop", "degraded", 29),
        ("stop", "stale", 10),
        ("buffer", "degraded", 26),
        ("buffer", "stale", 26),
    ],
)
def test_a_doubtful_location_costs_what_the_fallback_says_and_the_others_nothing(fallback, doubt, expected):
    terms = ChannelTerms(
        fallback=fallback, fallback_buffer=Decimal(3), locations=(LocationTerms(location="s", safety_stock=Decimal(1)),)
    )
    assert sells(terms) == 29
    changed = fallen_back(terms, {"s": Confidence(doubt)})
    assert sells(changed) == expected


def test_a_location_that_a_channel_may_not_use_stays_closed_to_it():
    terms = ChannelTerms(only_named=True, locations=(LocationTerms(location="n"),), fallback="buffer")
    changed = fallen_back(terms, {"s": Confidence.STALE, "n": Confidence.STALE})
    assert [place.location for place in changed.locations] == ["n"]


grades = st.sampled_from(list(Confidence))


@given(
    fallback=st.sampled_from(["serve", "buffer", "stop"]),
    doubtful=st.dictionaries(st.sampled_from(["n", "s", "x"]), grades),
    worse=st.dictionaries(st.sampled_from(["n", "s", "x"]), grades),
    safety=st.integers(0, 25),
    buffer=st.integers(0, 25),
)
def test_more_doubt_never_sells_more(fallback, doubtful, worse, safety, buffer):
    terms = ChannelTerms(
        fallback=fallback,
        fallback_buffer=Decimal(buffer),
        locations=(LocationTerms(location="n", safety_stock=Decimal(safety)),),
    )
    further = {
        place: max((doubtful.get(place, Confidence.HIGH), worse.get(place, Confidence.HIGH)), key=RANK.__getitem__)
        for place in {*doubtful, *worse}
    }
    doubts = [
        {place: sure for place, sure in some.items() if sure is not Confidence.HIGH} for some in (doubtful, further)
    ]
    less, least = (sells(fallen_back(terms, some)) for some in doubts)
    assert least <= less <= sells(terms)


def test_objectives_that_cannot_hold_are_refused():
    with pytest.raises(Misconfigured):
        Objective(degraded_after_seconds=10, stale_after_seconds=5)
    with pytest.raises(Misconfigured):
        Objective(drift_share=1.5)


# --- on a record ----------------------------------------------------------------------------------------------------


async def answer(world):
    [told] = await world.availability.availability("acme", channel="web", items=[world.id["A"]])
    return told


@pytest.mark.integration
@pytest.mark.parametrize(("fallback", "left"), [("serve", 14), ("buffer", 11), ("stop", 4)])
async def test_answers_and_claims_fall_back_alike_while_one_warehouse_is_silent(world, fallback, left):
    await world.stock("A", 10)
    await world.stock("A", 4, "wms_s")
    terms = ChannelTerms(fallback=fallback, fallback_buffer=Decimal(3))
    await world.availability.set_rule("acme", "web", terms, actor="ops")
    assert ((await answer(world)).available_to_sell, (await answer(world)).silent) == (14, ())
    world.clock.ahead = timedelta(hours=2)
    await world.availability.heard("acme", "wms_s")
    told = await answer(world)
    assert (told.available_to_sell, told.confidence) == (left, Confidence.STALE)
    assert [(each.source, each.cause, each.locations) for each in told.silent] == [("wms_n", "silent", ("loc_n",))]
    with pytest.raises(Conflict):
        await world.claim("ord_too_much", ("A", left + 1))
    await world.claim("ord_all", ("A", left))
    await world.availability.heard("acme", "wms_n")
    world.clock.ahead += timedelta(seconds=5)
    assert ((await answer(world)).available_to_sell, (await answer(world)).confidence) == (14 - left, Confidence.HIGH)
    assert await world.broken_invariants() == []


@pytest.mark.integration
async def test_a_channel_without_a_fallback_reads_no_sources_to_claim(world):
    await world.stock("A", 10)
    world.clock.ahead = timedelta(days=9)
    await world.claim("ord_1", ("A", 10))


@pytest.mark.integration
async def test_only_a_later_snapshot_can_drift(world):
    await world.record(world.snapshot("first", 5, {"A": 10, "B": 4}, full=True))
    await world.stock("A", 1, "wms_s")
    assert (await answer(world)).confidence is Confidence.HIGH
    await world.record(world.snapshot("same", 6, {"A": 10, "B": 4}, full=True))
    world.clock.ahead = timedelta(seconds=5)
    assert (await answer(world)).confidence is Confidence.HIGH
    await world.record(world.snapshot("other", 7, {"A": 9, "B": 4}, full=True))
    world.clock.ahead = timedelta(seconds=10)
    told = await answer(world)
    assert (told.confidence, told.silent[0].cause, told.available_to_sell) == (Confidence.DEGRADED, "drift", 10)
