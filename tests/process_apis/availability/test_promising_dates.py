from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from process_apis.availability.models import ChannelTerms, Need
from process_apis.availability.promising_dates import (
    Outlook,
    Step,
    SupplyLine,
    Waiting,
    earliest,
    expected_dates,
    from_supply,
    promisable,
    serve,
    service_order,
    still_to_come,
)
from process_apis.availability.rules import sell_of_pool

TODAY = date(2026, 11, 2)
UNTIL = TODAY + timedelta(days=30)
days = st.integers(-3, 34).map(lambda days: TODAY + timedelta(days=days))
steps = st.lists(st.builds(Step, days, st.integers(-12, 12).map(Decimal)), max_size=8)
hands = st.integers(-8, 15).map(Decimal)
channels = st.builds(
    ChannelTerms,
    buffer=st.integers(0, 4).map(Decimal),
    share=st.sampled_from([None, Decimal("0.5"), Decimal(1)]),
)


def day_by_day(at_hand, some, on):
    """The oracle: the level at the end of each day from `on` to the horizon, walked; the lowest of them."""
    level = at_hand + sum((step.amount for step in some if step.on <= on), Decimal(0))
    lowest, day = level, on
    while day < UNTIL:
        day += timedelta(days=1)
        level += sum((step.amount for step in some if step.on == day), Decimal(0))
        lowest = min(lowest, level)
    return lowest


def po(line=1, ordered=10, received=0, cancelled=0, **more):
    more = {"kind": "purchase", "opened": 0, "closed": 0, "document": "PO", "due": TODAY} | more
    figures = {name: Decimal(more.pop(name)) for name in ("opened", "closed")}
    return SupplyLine(
        source="erp", line=line, item="itm", location="n", owner="main", ordered=Decimal(ordered),
        received=Decimal(received), cancelled=Decimal(cancelled), **figures, **more,
    )  # fmt: skip


@given(hands, steps, st.integers(0, 30))
def test_the_projection_is_what_a_walk_day_by_day_finds(at_hand, some, ahead):
    outlook, on = Outlook("n", at_hand, some, UNTIL), TODAY + timedelta(days=ahead)
    expected = day_by_day(at_hand, some, on)
    assert outlook.lowest(on) == expected
    assert outlook.promisable(on) == max(0, expected)
    assert outlook.from_supply(on) == max(0, min(expected, day_by_day(Decimal(0), some, on)))


@given(st.lists(st.tuples(hands, steps), max_size=3), channels, st.integers(0, 10).map(Decimal), days, days)
def test_later_never_promises_less(places, terms, held, one, other):
    outlooks = [Outlook(str(number), *place, UNTIL) for number, place in enumerate(places)]
    early, late = sorted([max(one, TODAY), max(other, TODAY)])
    assert promisable(outlooks, terms, held, early) <= promisable(outlooks, terms, held, late)


@given(st.lists(st.tuples(hands, steps), max_size=3), channels, st.integers(1, 25).map(Decimal))
def test_the_earliest_date_is_the_first_that_a_search_day_by_day_finds(places, terms, amount):
    outlooks = [Outlook(str(number), *place, UNTIL) for number, place in enumerate(places)]
    searched = (TODAY + timedelta(days=ahead) for ahead in range(31))
    expected = next((on for on in searched if promisable(outlooks, terms, Decimal(0), on) >= amount), None)
    assert earliest(outlooks, terms, Decimal(0), amount, TODAY) == expected


@given(st.lists(hands, max_size=3), channels, st.integers(0, 10).map(Decimal))
def test_without_supply_and_waiting_promises_every_date_answers_what_may_be_sold_today(places, terms, held):
    outlooks = [Outlook(str(number), at_hand, [], UNTIL) for number, at_hand in enumerate(places)]
    pool = sum((max(Decimal(0), at_hand) for at_hand in places), Decimal(0))
    assert promisable(outlooks, terms, held, TODAY) == sell_of_pool(pool, terms, held)
    assert promisable(outlooks, terms, held, UNTIL) == sell_of_pool(pool, terms, held)


@given(hands, steps, st.integers(0, 30), st.data())
def test_promising_from_supply_takes_nothing_from_today_and_breaks_no_promise(at_hand, some, ahead, data):
    on = TODAY + timedelta(days=ahead)
    outlook = Outlook("n", at_hand, some, UNTIL)
    most = outlook.from_supply(on)
    amount = data.draw(st.integers(0, int(most)).map(Decimal))
    after = Outlook("n", at_hand, [*some, Step(on, -amount)], UNTIL)
    if amount:
        assert after.lowest(on) >= 0
        sold_out = Outlook("n", min(at_hand, Decimal(0)), [*some, Step(on, -amount)], UNTIL)
        assert sold_out.lowest(on) >= 0, "whoever buys what is at hand today takes nothing of it"


def test_supply_fills_what_a_count_found_missing_before_it_is_promised():
    outlook = Outlook("n", Decimal(-3), [Step(TODAY, Decimal(10))], UNTIL)
    assert outlook.promisable(TODAY) == 7


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([po(ordered=10, cancelled=2)], [8]),
        ([po(closed=4)], [6]),
        ([po(closed=14)], [0]),
        ([po(received=4, closed=4)], [6]),
        ([po(received=7, closed=4)], [3]),
        ([po(1, closed=12), po(2, closed=12)], [0, 8]),
        ([po(1, closed=10), po(2, received=10, closed=10)], [10, 0]),
        ([po(1, ordered=5, cancelled=5, closed=6), po(2, closed=6)], [0, 4]),
        ([po(kind="transfer", opened=0)], [0]),
        ([po(kind="transfer", opened=10, closed=4)], [6]),
        ([po(kind="transfer", opened=0, closed=4)], [0]),
        ([po(document="PO", closed=4), po(document="PO-2")], [6, 10]),
    ],
)
def test_each_unit_of_supply_counts_once(lines, expected):
    assert still_to_come(lines) == expected


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4),
    st.integers(0, 30),
)
def test_what_is_to_come_of_an_order_is_never_more_than_ordered_less_received(figures, closed):
    lines = [
        po(number, ordered=ordered, cancelled=cancelled, received=received, closed=closed)
        for number, (ordered, cancelled, received) in enumerate(figures)
    ]
    wanted = [max(0, ordered - cancelled) for ordered, cancelled, _ in figures]
    found = still_to_come(lines)
    assert all(0 <= amount <= most for amount, most in zip(found, wanted, strict=True))
    assert sum(found) <= max(0, sum(wanted) - min(closed, sum(wanted)))


claims = st.lists(
    st.tuples(st.integers(1, 9).map(Decimal), st.none() | days, st.integers(-1, 1)), min_size=1, max_size=5
).map(lambda some: [Waiting(f"c{number}", *each) for number, each in enumerate(some)])
coming = st.lists(st.builds(Step, days.filter(lambda on: on >= TODAY), st.integers(1, 12).map(Decimal)), max_size=4)


@given(claims, coming, hands, st.integers(-3, 15).map(Decimal))
def test_waiting_promises_share_what_is_free_and_are_told_when_the_rest_comes(waiting, arrivals, free, arrived):
    given, dates = serve(waiting, arrivals, free, arrived)
    by_claim = {each.claim: each for each in waiting}
    assert sum(given.values()) <= max(0, free)
    assert all(0 < amount <= by_claim[claim].amount for claim, amount in given.items())
    rest = {each.claim: each.amount - given.get(each.claim, 0) for each in waiting}
    assert dates.keys() == {claim for claim, amount in rest.items() if amount}
    covered = max((on for on in dates.values() if on), default=TODAY)
    served = sum(rest[claim] for claim, on in dates.items() if on)
    assert not served or served <= sum(step.amount for step in arrivals if step.on <= covered) + min(free, 0)
    late = {claim for claim, on in dates.items() if on is None or on > (by_claim[claim].due or date.min)}
    assert not late or sum(given.values()) == max(0, free), "a late promise leaves nothing free"


@given(claims, coming, st.integers(0, 9).map(Decimal))
def test_while_every_promise_can_be_kept_every_promise_is(waiting, arrivals, free):
    wanted = {each.due or date.min for each in waiting}
    can = all(
        sum(each.amount for each in waiting if (each.due or date.min) <= on)
        <= free + sum(step.amount for step in arrivals if step.on <= on)
        for on in wanted
    )
    _, dates = serve(waiting, arrivals, free, free)
    kept = all(on is not None and on <= (each.due or date.min) for each in waiting
               for on in [dates.get(each.claim, date.min)])  # fmt: skip
    assert kept if can else True


@given(claims, coming, hands, st.integers(0, 15).map(Decimal))
def test_what_is_short_goes_by_priority_and_then_by_date(waiting, arrivals, free, arrived):
    given, _ = serve(waiting, arrivals, min(free, arrived), arrived)
    ordered = service_order(waiting, arrivals, min(free, arrived))
    full = [given.get(each.claim, Decimal(0)) == each.amount for each in ordered]
    assert full == sorted(full, reverse=True), "nobody is served whole behind somebody who is not"


@given(
    st.lists(st.tuples(hands, coming), min_size=1, max_size=3),
    st.lists(st.integers(1, 9).map(Decimal), max_size=4),
    days,
)
def test_supply_covers_what_was_promised_on_it_whatever_was_promised_before(places, amounts, on):
    on = min(max(on, TODAY), UNTIL)
    some = [Outlook(str(number), *place, UNTIL) for number, place in enumerate(places)]
    needs = [Need(number, "itm", amount, None) for number, amount in enumerate(amounts)]
    portions, rest = from_supply(needs, {"itm": some}, on)
    asked = {need.line: need.amount for need in needs}
    for line, amount in asked.items():
        parts = sum(part.amount for part in portions if part.line == line)
        assert parts + sum(need.amount for need in rest if need.line == line) == amount
    for outlook in some:
        taken = sum(part.amount for part in portions if part.location == outlook.location)
        assert taken <= outlook.from_supply(on)


@given(claims, coming, st.integers(1, 9).map(Decimal), st.integers(-1, 1))
def test_what_was_sold_without_asking_breaks_no_promise_that_can_be_kept(waiting, arrivals, amount, priority):
    waiting = [each._replace(wanted=each.due) for each in waiting]
    ordered = service_order(waiting, arrivals, Decimal(0))
    before = expected_dates(ordered, arrivals, Decimal(0))
    kept = all((on := before[each.claim]) is not None and on <= (each.due or date.min) for each in waiting)
    expected = expected_dates([*ordered, Waiting("new", amount, None, 0)], arrivals, Decimal(0))["new"]
    new = Waiting("new", amount, expected or UNTIL, priority, TODAY - timedelta(days=10))
    after = expected_dates(service_order([*waiting, new], arrivals, Decimal(0)), arrivals, Decimal(0))
    if kept:
        assert all(after[each.claim] <= each.due for each in waiting)
        assert expected is None or after["new"] <= expected
