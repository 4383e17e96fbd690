from __future__ import annotations

from collections import defaultdict
from decimal import ROUND_CEILING, Decimal

from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.substitute import Substitute, whole_step
from process_apis.availability.models import Need
from process_apis.availability.sourcing import fitting, lacking, source
from process_apis.availability.substituting import marked, offers, substituted

FILLS = ("complete", "line_complete", "partial")
FACTORS = [Decimal(each) for each in ("1", "2", "0.1", "0.5", "1.5", "3")]
amounts = st.integers(0, 30).map(Decimal)
SUBSTITUTES = ("X", "Y", "Z")


@st.composite
def worlds(draw):
    items = ("A", "B", *SUBSTITUTES)
    stock = {item: {place: draw(amounts) for place in draw(st.sets(st.sampled_from("ns")))} for item in items}
    sellable = {item: min(sum(places.values(), Decimal(0)), draw(amounts)) for item, places in stock.items()}
    places = st.sampled_from([None, None, "n", "s"])
    needs = [
        Need(line, draw(st.sampled_from("AABX")), Decimal(draw(st.integers(1, 25))), draw(places))
        for line in range(1, draw(st.integers(1, 4)) + 1)
    ]
    allowed = {}
    for need in needs:
        named = draw(st.permutations(SUBSTITUTES))[: draw(st.integers(0, 3))]
        factors = [draw(st.sampled_from(FACTORS)) for _ in named]
        allowed[need.line] = [Substitute(*each, whole_step(each[1])) for each in zip(named, factors, strict=True)]
    return needs, allowed, stock, sellable, draw(st.sampled_from(FILLS))


@given(worlds())
def test_no_more_than_asked_is_served_and_no_more_than_there_is_taken(world):
    needs, allowed, stock, sellable, fill = world
    there = substituted(needs, allowed, stock, sellable, fill)
    portions = marked(source(fitting(there.needs, there.stock, there.sellable, fill), there.stock, "ns"), there.chosen)
    served, taken = defaultdict(Decimal), defaultdict(Decimal)
    for each in portions:
        taken[each.item, each.location] += each.amount
        if each.kit is None:
            served[each.line] += each.amount
            continue
        whole = each.amount / each.per_kit
        assert whole == whole.to_integral_value()
        assert each.amount == each.amount.to_integral_value()
        served[each.line] += whole
    assert all(served[need.line] <= need.amount for need in needs)
    assert all(part.location in (None, need.location) or need.location is None for need in needs for part in portions
               if part.line == need.line)  # fmt: skip
    assert all(amount <= stock[item][place] for (item, place), amount in taken.items())
    assert all(sum(amount for (of, _), amount in taken.items() if of == item) <= sellable[item] for item in stock)


@given(worlds())
def test_nothing_stands_in_for_what_suffices_and_the_preferred_that_does_comes_first(world):
    needs, allowed, stock, sellable, fill = world
    there = substituted(needs, allowed, stock, sellable, fill)
    missing = {need.line for need in lacking(needs, stock, sellable)}
    asked = {need.item for need in needs}
    assert {each.line for each in there.chosen} <= missing
    for each in there.chosen:
        assert each.substitute in allowed[each.line]
        assert each.substitute.item not in asked
        assert each.lacked > 0
        assert fill == "partial" or each.served >= each.lacked
        rank = [one.item for one in allowed[each.line]].index(each.substitute.item)
        if each.served >= each.lacked:
            assert set(each.passed) <= {one.item for one in allowed[each.line][:rank]}
    if len(needs) == 1 and len(there.chosen) == 1:
        [chosen] = there.chosen
        for one, amount in offers(needs, allowed, stock, sellable)[1]:
            if one.item == chosen.substitute.item:
                break
            assert amount < chosen.lacked or one.item in asked or _too_much(one, chosen, needs[0])


@given(worlds())
def test_what_fits_without_substitutes_fits_as_it_is(world):
    needs, allowed, stock, sellable, fill = world
    if not lacking(needs, stock, sellable):
        assert substituted(needs, allowed, stock, sellable, fill) == (needs, (), stock, sellable)
    assert substituted(needs, {}, stock, sellable, fill).chosen == ()


@given(worlds())
def test_a_line_that_can_be_served_alone_with_a_substitute_is(world):
    [need, *_], allowed, stock, sellable, _ = world
    may = {need.line: [each for each in allowed[need.line] if each.item != need.item]}
    there = substituted([need], may, stock, sellable, "complete")
    could = any(
        amount >= need.amount for _, amount in offers([need], may, stock, sellable).get(need.line, ())
    )  # fmt: skip
    if could and all(each.step == 1 for each in may[need.line]):
        assert not lacking(there.needs, there.stock, there.sellable)


def _too_much(one, chosen, need):
    steps = (chosen.lacked / one.step).to_integral_value(ROUND_CEILING)
    return steps * one.step > need.amount


def test_the_item_comes_first_and_what_lacks_of_it_from_the_first_that_has_all_of_that():
    ten = Substitute("X", Decimal("0.1"), Decimal(10))
    one = Substitute("Y", Decimal(1))
    stock = {"A": {"n": Decimal(7)}, "X": {"n": Decimal(1), "s": Decimal(1)}, "Y": {"s": Decimal(9)}}
    sellable = {"A": Decimal(7), "X": Decimal(2), "Y": Decimal(9)}
    need = Need(1, "A", Decimal(15), None)
    there = substituted([need], {1: [ten, one]}, stock, sellable, "complete")
    assert [(each.item, each.amount) for each in there.needs] == [("A", 5), ("X", 1)]
    assert (there.chosen[0].served, there.chosen[0].lacked, there.chosen[0].passed) == (10, 8, ())
    pinned = need._replace(location="s")
    there = substituted([pinned], {1: [ten, one]}, stock, sellable, "partial")
    assert [(each.item, each.amount, each.location) for each in there.needs] == [("X", 1, "s")]
    there = substituted([need._replace(amount=Decimal(16))], {1: [one, ten]}, stock, sellable, "complete")
    assert [(each.item, each.amount) for each in there.needs] == [("A", 7), ("Y", 9)]
    there = substituted([need._replace(amount=Decimal(27))], {1: [one, ten]}, stock, sellable, "complete")
    assert [(each.item, each.amount) for each in there.needs] == [("A", 7), ("X", 2)]
    assert there.chosen[0].passed == ("Y",)
