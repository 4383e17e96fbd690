from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.location import Location, LocationMap
from gateway.canonical.shipping_times import CutOff, ShippingTimes
from gateway.canonical.stock import ClaimedLine, ClaimRequest, ClaimState
from process_apis.availability.leaving import Departures, Leaving, leaves, transit

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia", "UTC")]
# Around both changes of the clocks of the north and of the south.
instants = st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30), timezones=st.just(UTC))  # noqa: DTZ001
clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
days = st.dates(date(2026, 3, 1), date(2026, 12, 31))
weekdays = st.sets(st.integers(1, 7), min_size=1).map(lambda some: tuple(sorted(some)))
cut_offs = st.builds(CutOff, at=clocks, valid_from=st.none() | days, weekdays=st.just(()) | weekdays)
shipping = st.builds(
    ShippingTimes,
    cut_offs=st.lists(cut_offs, max_size=3).map(tuple),
    working_days=weekdays,
    holidays=st.lists(days, max_size=20).map(tuple),
    handling_days=st.integers(0, 4),
)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def working(times, day):
    return day.isoweekday() in times.working_days and day not in times.holidays


@given(times=shipping, zone=st.sampled_from(ZONES), instant=instants, later=st.timedeltas(timedelta(), timedelta(40)))
def test_what_is_ordered_later_never_leaves_earlier_and_goods_leave_on_working_days_only(times, zone, instant, later):
    first, second = leaves(times, zone, instant), leaves(times, zone, instant + later)
    assert first.on <= second.on
    assert first.by <= second.by
    assert working(times, first.on)
    assert instant < first.by
    assert first.on >= instant.astimezone(zone).date() - timedelta(days=1)
    same = leaves(times, zone, first.by - timedelta(microseconds=1))
    assert same == first, "until `by` nothing changes, so that it may be kept until then"
    if second.by > first.by:
        assert instant + later >= first.by


@given(times=shipping, zone=st.sampled_from(ZONES), instant=instants, day=days)
def test_a_holiday_more_lets_nothing_leave_earlier(times, zone, instant, day):
    without = leaves(times, zone, instant)
    with_it = leaves(ShippingTimes(
        cut_offs=times.cut_offs, working_days=times.working_days, holidays=(*times.holidays, day),
        handling_days=times.handling_days,
    ), zone, instant)  # fmt: skip
    assert with_it.on >= without.on


def test_the_latest_cut_off_counts_and_of_two_the_one_that_names_its_days():
    times = ShippingTimes(
        cut_offs=(
            CutOff(at="15:00"),
            CutOff(at="12:00", weekdays=(5,)),
            CutOff(at="17:00", valid_from=date(2026, 12, 1)),
        ),
        holidays=(date(2026, 12, 25),),
    )
    assert leaves(times, BERLIN, at("2026-11-26T14:59")).on == date(2026, 11, 26)
    assert leaves(times, BERLIN, at("2026-11-26T15:00")).on == date(2026, 11, 27)
    assert leaves(times, BERLIN, at("2026-11-27T12:00")).on == date(2026, 11, 30), "a weekend lies between"
    assert leaves(times, BERLIN, at("2026-12-04T16:59")).on == date(2026, 12, 4), (
        "since December until five, Fridays too"
    )
    assert leaves(times, BERLIN, at("2026-12-24T17:00")).on == date(2026, 12, 28)


def test_a_cut_off_in_an_hour_that_the_clock_leaves_out_or_repeats_is_one_instant():
    times = ShippingTimes(cut_offs=(CutOff(at="02:30"),), working_days=(1, 2, 3, 4, 5, 6, 7))
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)
    before = datetime(2026, 3, 29, 1, 29, tzinfo=UTC)  # 03:29 there: half an hour after two is not yet over
    assert leaves(times, BERLIN, before) == Leaving(spring, datetime(2026, 3, 29, 1, 30, tzinfo=UTC))
    assert leaves(times, BERLIN, before + timedelta(minutes=1)).on == spring + timedelta(days=1)
    first = datetime(2026, 10, 25, 0, 29, tzinfo=UTC)
    assert leaves(times, BERLIN, first).on == autumn
    again = datetime(2026, 10, 25, 1, 29, tzinfo=UTC)  # 02:29 once more
    assert leaves(times, BERLIN, again).on == autumn + timedelta(days=1)


def test_a_place_that_never_works_has_no_date():
    every_day = tuple(date(2026, 1, 1) + timedelta(days=number) for number in range(900))
    assert leaves(ShippingTimes(holidays=every_day), BERLIN, at("2026-11-26T14:59")) is None
    slow = leaves(ShippingTimes(holidays=every_day[400:], handling_days=300), BERLIN, at("2026-11-26T14:59"))
    assert slow.on == date(2029, 6, 1)


def test_the_longest_region_that_a_ship_to_begins_with_says_how_long_goods_travel():
    times = ShippingTimes(transit_days={"US": 3, "US 97": 1, "DE": 5, "*": 9})
    assert [transit(times, to) for to in ("US 10001", "US 97201", "DE 10115", "CA K1A", None)] == [3, 1, 5, 9, 9]
    assert transit(ShippingTimes(), "US 97201") == 0


class Still:
    """A clock that a test sets."""

    def __init__(self, now):
        self.instant = now

    def now(self):
        return self.instant


def departures(clock, **shipping_of):
    places = [
        Location(location=name, name=name, region="eu", time_zone="Europe/Berlin", holder="wms", shipping=shipping)
        for name, shipping in shipping_of.items()
    ]
    return Departures(LocationMap({"acme": places}), clock)


def test_places_are_late_by_when_goods_arrive_and_the_earlier_of_equals_goes_first():
    clock = Still(at("2026-11-26T14:00"))
    made = departures(
        clock,
        a=ShippingTimes(cut_offs=(CutOff(at="13:00"),)),
        b=ShippingTimes(cut_offs=(CutOff(at="15:00"),), transit_days={"US": 2}),
        c=None,
    )
    assert list(made.preferred("acme", "abc", clock.now())) == ["c", "b", "a"]
    assert made.late("acme", "abc", clock.now(), date(2026, 11, 26), "DE 1") == {"a"}
    assert made.late("acme", "abc", clock.now(), date(2026, 11, 26), "US 1") == {"a", "b"}
    clock.instant = at("2026-11-26T15:00")
    assert made.leaves("acme", "b").on == date(2026, 11, 27), "what was kept ends with its cut-off"
    request = ClaimRequest(
        action="x", order="o", channel="web", lines=[], correlation_id="c", need_by=date(2026, 11, 27), ship_to="US 1"
    )
    parts = [
        ClaimedLine(claim=place, line=line, item="i", location=place, amount=1, state=ClaimState.RESERVED)
        for line, place in ((1, "a"), (1, "b"), (2, "a"), (3, "c"))
    ]
    assert made.arrive_late("acme", request, parts) == {1: date(2026, 11, 29)}


def test_where_no_place_says_when_it_ships_nothing_is_reckoned():
    made = departures(None, b=None, a=None)
    assert list(made.preferred("acme", "ba", None)) == ["a", "b"]
    assert made.late("acme", "ba", None, date.min, None) == frozenset()
