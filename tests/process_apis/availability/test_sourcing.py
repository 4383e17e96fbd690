from __future__ import annotations

from decimal import Decimal
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from process_apis.availability.models import Need
from process_apis.availability.sourcing import fitting, lacking, source, source_in_time

ORDER = ["n", "s", "w", "e", "x"]
amounts = st.integers(0, 6).map(Decimal)
stocks = st.dictionaries(
    st.sampled_from("AB"), st.dictionaries(st.sampled_from(ORDER), amounts, max_size=5), min_size=1, max_size=2
)
wanted = st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 9)), min_size=1, max_size=3).map(
    lambda some: [Need(number, item, Decimal(amount), None) for number, (item, amount) in enumerate(some)]
)
pins = st.lists(st.one_of(st.none(), st.sampled_from(ORDER)), min_size=3, max_size=3)


def totals(needs):
    return {item: sum(need.amount for need in needs if need.item == item) for item in {need.item for need in needs}}


def suffices(places, needs, stock):
    return all(
        sum(stock.get(item, {}).get(place, Decimal(0)) for place in places) >= amount
        for item, amount in totals(needs).items()
    )


@given(stock=stocks, needs=wanted)
def test_an_order_is_split_no_further_than_it_must_be_and_goes_to_the_preferred_of_equals(stock, needs):
    sellable = {item: sum(places.values(), Decimal(0)) for item, places in stock.items()}
    if lacking(needs, stock, sellable):
        return
    portions = source(needs, stock, ORDER)
    used = {portion.location for portion in portions}
    useful = [place for place in ORDER if any(stock.get(need.item, {}).get(place) for need in needs)]
    for size in (1, 2, 3):
        oracle = next((set(some) for some in combinations(useful, size) if suffices(some, needs, stock)), None)
        if oracle is not None:
            assert used <= oracle
            assert len(used) == size, "a smaller set would have been found before"
            return


@given(stock=stocks, needs=wanted, where=pins, short=st.integers(0, 6))
def test_each_policy_promises_what_it_says_and_no_more_than_there_is(stock, needs, where, short):
    needs = [need._replace(location=place) for need, place in zip(needs, where, strict=False)]
    sellable = {item: max(Decimal(0), sum(places.values(), Decimal(0)) - short) for item, places in stock.items()}
    missing = lacking(needs, stock, sellable)
    complete = fitting(needs, stock, sellable, "complete")
    lines = fitting(needs, stock, sellable, "line_complete")
    partial = fitting(needs, stock, sellable, "partial")
    assert complete == ([] if missing else needs)
    assert lines == [need for need in needs if need not in missing]
    asked = {need.line: need.amount for need in needs}
    assert all(0 < need.amount <= asked[need.line] for need in partial)
    if not missing:
        assert partial == needs
    for fits in (complete, lines, partial):
        portions = source(fits, stock, ORDER)
        assert sum(portion.amount for portion in portions) == sum(need.amount for need in fits)
        for item, total in totals(fits).items():
            assert total <= sellable[item]
            for place, amount in stock[item].items():
                assert sum(p.amount for p in portions if (p.item, p.location) == (item, place)) <= amount
    free = not any(where[: len(needs)])
    if free:
        for item, total in totals(partial).items():
            assert total == min(totals(needs)[item], sellable.get(item, Decimal(0))), "as much as there is"


@given(stock=stocks, needs=wanted, where=pins, late=st.sets(st.sampled_from(ORDER)))
def test_lines_that_can_be_in_time_are_and_nobody_is_promised_less_for_it(stock, needs, where, late):
    needs = [need._replace(location=place) for need, place in zip(needs, where, strict=False)]
    everything = {item: sum(places.values(), Decimal(0)) for item, places in stock.items()}
    needs = fitting(needs, stock, everything, "line_complete")
    portions = source_in_time(needs, stock, ORDER, late)
    for need in needs:
        served = [part for part in portions if part.line == need.line]
        assert sum(part.amount for part in served) == need.amount
        assert need.location is None or {part.location for part in served} == {need.location}
    for item, places in stock.items():
        for place, amount in places.items():
            assert sum(p.amount for p in portions if (p.item, p.location) == (item, place)) <= amount
    early = {item: {p: a for p, a in places.items() if p not in late} for item, places in stock.items()}
    free = not any(need.location for need in needs)
    if free and not lacking(needs, early, everything):
        assert portions == source(needs, early, [place for place in ORDER if place not in late])
    if not late:
        assert portions == source(needs, stock, ORDER)
    alone = [need for need in needs if free and len([other for other in needs if other.item == need.item]) == 1]
    for need in alone:
        if not lacking([need], early, everything):
            assert not late & {part.location for part in portions if part.line == need.line}


class Counted(dict):
    """Stock of an item, which counts how often it is looked at."""

    looks = 0

    def get(self, *asked):
        Counted.looks += 1
        return super().get(*asked)


def test_fifty_locations_of_which_no_three_do_cost_a_bounded_number_of_looks():
    places = [f"loc_{number:02}" for number in range(50)]
    # Any three have enough of each line but the last, and of that three never have: nothing can be ruled out at once.
    stock = {f"itm_{line}": dict.fromkeys(places, Decimal(4)) for line in range(10)}
    stock["itm_9"] = {place: Decimal(4 if number % 2 else 3) for number, place in enumerate(places)}
    needs = [Need(line, f"itm_{line}", Decimal(12), None) for line in range(9)] + [Need(9, "itm_9", Decimal(13), None)]
    Counted.looks = 0
    portions = source(needs, {item: Counted(held) for item, held in stock.items()}, places)
    # A look costs less than a tenth of a microsecond: some hundredths of a second at the most.
    assert Counted.looks < 250_000
    assert sum(portion.amount for portion in portions) == 121


def test_one_location_far_down_the_list_goes_before_two_preferred_ones():
    places = [f"loc_{number:02}" for number in range(50)]
    stock = {"A": dict.fromkeys(places, Decimal(5)) | {"loc_49": Decimal(9)}}
    assert [part.location for part in source([Need(1, "A", Decimal(9), None)], stock, places)] == ["loc_49"]
