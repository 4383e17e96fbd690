"""What a look says, what goes first, and what is shown: without a shop."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.item import Item
from gateway.kernel.quantity import UnitConversion
from process_apis.channel_publication.models import Figure, FigureState, Look, Sale, Verdict
from process_apis.channel_publication.rules import (
    ANY,
    FROM_ZERO,
    TO_ZERO,
    figure_to_show,
    fits,
    is_certain,
    judge,
    known_version,
    rank,
    shown_now,
    tier,
    unit_of,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SETTLE = timedelta(seconds=2)


def figure(**known):
    return Figure(item="itm_1", sku="A", **{"state": FigureState.LISTED, **known})


def verdict(known, *sales, imported_after=0.0):
    at = NOW + timedelta(seconds=imported_after)
    return judge(known, [Sale(*sale) for sale in sales], imported_at=at, settle=SETTLE)


def test_what_is_shown_is_whole_units_less_the_buffer_and_never_below_zero():
    assert [figure_to_show(Decimal(text)) for text in ("7.999", "7", "0.5", "-3")] == [7, 7, 0, 0]
    assert [figure_to_show(Decimal(text), 2) for text in ("7", "1.5")] == [5, 0]


def test_a_channel_counts_in_its_unit_of_items_that_have_it_in_whole_base_units():
    packs = (UnitConversion("CS", Decimal(12)), UnitConversion("BX", Decimal("2.5")))
    item = Item(item="i", sku="s", name="s", base_uom="EA", packs=packs)
    assert [unit_of(item, uom) for uom in ("CS", "BX", "PL", "EA", None)] == [12, 1, 1, 1, 1]
    assert [figure_to_show(Decimal(text), 1, 12) for text in ("11", "35", "36", "-1")] == [0, 1, 2, 0]


def test_falling_to_zero_goes_before_rising_from_it_and_that_before_the_rest():
    assert [tier(5, 0), tier(None, 0), tier(0, 5), tier(5, 4), tier(None, 4)] == [TO_ZERO, TO_ZERO, FROM_ZERO, ANY, ANY]


def test_what_sells_goes_first_among_equals_and_nothing_waits_for_ever():
    assert rank(NOW, 100) < rank(NOW, 1) < rank(NOW, 0) == NOW
    assert rank(NOW, 10**9) >= NOW - timedelta(seconds=5)


def test_what_the_channel_told_explains_what_it_shows():
    known = figure(base=10, base_version=4, look=Look(7, 6, NOW))
    assert verdict(known, (2, 5), (1, 6)) is Verdict.AGREES
    assert verdict(known, (2, 5), (1, 6), (4, 7)) is Verdict.AGREES  # sold since the look
    assert verdict(known, (2, 5)) is Verdict.WAIT
    assert verdict(known, (2, 5), imported_after=2) is Verdict.DISAGREES


def test_a_figure_seen_for_the_first_time_is_trusted_once_its_sales_can_be_read():
    known = figure(look=Look(7, 6, NOW))
    assert verdict(known, imported_after=1.9) is Verdict.WAIT
    assert verdict(known, imported_after=2) is Verdict.AGREES


def test_an_attempt_without_answer_is_recognised_whether_it_was_carried_out_or_not():
    sent = {"base": 10, "base_version": 4, "attempted": 6, "attempted_version": 4}
    assert verdict(figure(**sent, look=Look(10, 4, NOW))) is Verdict.AGREES
    assert verdict(figure(**sent, look=Look(6, 5, NOW))) is Verdict.AGREES
    assert verdict(figure(**sent, look=Look(5, 6, NOW)), (1, 6)) is Verdict.AGREES  # carried out, then one was sold
    assert verdict(figure(**sent, look=Look(9, 5, NOW)), (1, 5)) is Verdict.AGREES  # one was sold, so it was refused
    assert verdict(figure(**sent, look=Look(5, 5, NOW)), (1, 5), imported_after=2) is Verdict.DISAGREES


def test_a_change_that_nobody_told_makes_what_is_known_uncertain():
    known = figure(base=10, base_version=4)
    assert known_version(known, [Sale(1, 5), Sale(2, 6)]) == 6
    assert known_version(known, [Sale(1, 6)]) is None
    assert not is_certain(known, [Sale(1, 6)], compares=True)
    assert is_certain(known, [Sale(1, 6)], compares=False)
    assert shown_now(known, [Sale(1, 5), Sale(2, 6)]) == 7


@given(
    base=st.integers(0, 50),
    quantities=st.lists(st.integers(-5, 5).filter(bool), max_size=8),
    seen=st.integers(0, 8),
    told=st.integers(0, 8),
)
def test_a_look_agrees_as_soon_as_every_sale_before_it_is_told_and_never_disagrees_with_a_shop_that_tells(
    base, quantities, seen, told
):
    sales = [Sale(quantity, version) for version, quantity in enumerate(quantities, start=2)]
    before = sales[:seen]
    shown = base - sum(sale.quantity for sale in before)
    known = figure(base=base, base_version=1, look=Look(shown, 1 + len(before), NOW))
    imported = sales[: max(told, seen)]
    assert judge(known, imported, imported_at=NOW + SETTLE, settle=SETTLE) is Verdict.AGREES
    assert judge(known, sales[:told], imported_at=NOW, settle=SETTLE) is not Verdict.DISAGREES


@pytest.mark.parametrize(
    ("sent", "sales", "shown", "expected"),
    [
        (10, [], 10, True),
        (10, [(2, 5), (1, 6)], 10, True),  # both came before the feed
        (10, [(2, 5), (1, 6)], 9, True),
        (10, [(2, 5), (1, 6)], 7, True),
        (10, [(2, 5), (1, 6)], 8, False),
        (10, [], 9, False),
    ],
)
def test_a_fed_figure_fits_what_is_shown_less_the_latest_sales(sent, sales, shown, expected):
    assert fits(sent, [Sale(*sale) for sale in sales], shown) is expected
