from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.item import Item
from gateway.kernel.clock import SystemClock
from gateway.kernel.quantity import UnitConversion
from process_apis.availability.models import (
    NO_LINE,
    Handled,
    Need,
    OpenClaim,
    Progress,
    Refusal,
    StockLine,
)
from process_apis.availability.rules import (
    assigned,
    base_amount,
    consumption,
    settled,
)
from process_apis.availability.sourcing import lacking, source, whole

amounts = st.integers(0, 20).map(Decimal)
places = st.sampled_from(["n", "s", "w"])
PIECE = Item(item="itm", sku="A", name="A", base_uom="EA", packs=(UnitConversion("CS", Decimal(12)),))


def line(location="n", sellable=0, **figures):
    rest = {name: Decimal(figures.get(name, 0)) for name in ("reserved", "allocated", "external")}
    return StockLine(
        item="itm", location=location, owner=figures.get("owner", "main"), on_hand=Decimal(sellable),
        sellable=Decimal(sellable), version=1, as_of=SystemClock().now(), **rest,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("amount", "uom", "expected"),
    [("2", "CS", "24"), ("1.5", "CS", "18"), ("0.1", "CS", "stock.not_exact"), ("1", "PAL", "stock.unit_unknown")],
)
def test_units_convert_exactly_or_not_at_all(amount, uom, expected):
    made = base_amount(PIECE, Decimal(amount), uom)
    assert (made.cause if isinstance(made, Refusal) else str(made[0].normalize().to_integral_value())) == expected


claims = st.lists(st.tuples(places, st.integers(1, 10), st.booleans()), min_size=1, max_size=4).map(
    lambda some: [
        OpenClaim(
            claim=f"clm{number}", order="o", line=1, item="itm", location=place, owner="main", channel="web",
            amount=Decimal(amount), consumed=Decimal(0), released=Decimal(amount if released else 0),
            state="released" if released else "allocated",
        )
        for number, (place, amount, released) in enumerate(some)
    ]
)  # fmt: skip
handled = st.dictionaries(places, st.tuples(st.integers(-2, 12), st.integers(0, 12)), max_size=3).map(
    lambda some: [Progress(place, Decimal(picked), Decimal(shipped)) for place, (picked, shipped) in some.items()]
)


@given(claims=claims, progress=handled)
def test_what_is_consumed_is_what_left_each_place_and_never_more_than_claimed(claims, progress):
    shares = consumption(claims, progress)
    left = sum(max(p.picked, p.shipped) if p.shipped > 0 else p.picked for p in progress)
    consumed = sum(share[0] for share in shares.values())
    assert consumed == min(max(left, sum(p.shipped for p in progress), 0), sum(claim.amount for claim in claims))
    for claim in claims:
        eaten, gone = shares[claim.claim]
        after = settled(claim, eaten, gone)
        assert 0 <= gone <= eaten <= claim.amount
        assert after.open >= 0
        assert after.state not in ("fulfilled", "released") or after.open == 0


@given(claims=claims, progress=handled)
def test_consumption_does_not_depend_on_how_far_it_had_come(claims, progress):
    shares = consumption(claims, progress)
    once = [settled(claim, *shares[claim.claim]) for claim in claims]
    again = consumption(once, progress)
    assert [settled(claim, *again[claim.claim]) for claim in once] == once


def test_handling_without_a_line_belongs_to_the_one_line_that_has_its_item():
    def claim(line, item):
        return OpenClaim(
            claim=f"clm{line}", order="o", line=line, item=item, location="n", owner="main", channel="web",
            amount=Decimal(9), consumed=Decimal(0), released=Decimal(0), state="allocated",
        )  # fmt: skip

    told = [Handled("o", 1, "", Progress("n", Decimal(1), Decimal(0))),
            Handled("o", NO_LINE, "A", Progress("n", Decimal(2), Decimal(1)))]  # fmt: skip
    assert assigned([claim(1, "A"), claim(2, "B")], told) == {("o", 1): [Progress("n", Decimal(3), Decimal(1))]}
    assert assigned([claim(1, "A"), claim(2, "A")], told) == {("o", 1): [told[0].progress]}
    assert assigned([claim(2, "B")], told[1:]) == {}


stocks = st.dictionaries(st.sampled_from("AB"), st.dictionaries(places, amounts, max_size=3), max_size=2)
wanted = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(1, 15), st.one_of(st.none(), places)), min_size=1, max_size=4
).map(lambda some: [Need(n, item, Decimal(amount), place) for n, (item, amount, place) in enumerate(some)])


@given(stock=stocks, needs=wanted)
def test_what_fits_is_sourced_whole_and_from_no_more_than_there_is(stock, needs):
    sellable = {item: sum(places.values(), Decimal(0)) for item, places in stock.items()}
    at_once = whole(needs, stock, sellable, ["n", "s", "w"])
    if lacking(needs, stock, sellable):
        assert at_once is None
        return
    portions = source(needs, stock, ["n", "s", "w"])
    assert at_once in (None, portions)
    for need in needs:
        mine = [portion for portion in portions if portion.line == need.line]
        assert sum(portion.amount for portion in mine) == need.amount
        assert need.location is None or {portion.location for portion in mine} == {need.location}
    for item, held in stock.items():
        for place, amount in held.items():
            assert sum(p.amount for p in portions if (p.item, p.location) == (item, place)) <= amount


def test_one_location_that_has_all_goes_before_a_preferred_one_that_has_less():
    stock = {"A": {"n": Decimal(3), "s": Decimal(9)}}
    portions = source([Need(1, "A", Decimal(5), None)], stock, ["n", "s"])
    assert [(portion.location, portion.amount) for portion in portions] == [("s", 5)]
