"""Prices that buyers state: within the channel's tolerance ours holds, else the order is held or refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace
from order_world import CALLER, ask
from test_releases import order

from gateway.kernel.errors import Conflict, Misconfigured
from gateway.kernel.money import Money
from process_apis.order_to_ship.models import AskedLine
from process_apis.order_to_ship.stated_prices import StatedPrices, price_differences


@pytest.mark.parametrize(
    ("stated", "percent", "amount", "off"),
    [
        ("30", "0", "0", False),
        ("30.01", "0", "0", True),
        ("29", "4", "2", False),
        ("29", "3", "2", True),
        ("29", "4", "1.99", True),
        ("31", "4", "2", False),
        ("0", "100", "60", False),
        ("0", "99", "60", True),
    ],
)
def test_a_price_passes_both_limits_or_is_off(stated, percent, amount, off):
    whole = order(("24", "0"))
    line = replace(
        whole.lines[0], unit_price=Decimal("2.5"), asked_uom="CS", factor=Decimal(12), asked_amount=Decimal(2),
        stated_price=Decimal(stated),
    )  # fmt: skip
    terms = StatedPrices(percent=Decimal(percent), amount=Decimal(amount))
    found = price_differences(replace(whole, lines=(line,)), terms)
    assert [each.line for each in found] == [line.line] * off


def test_terms_are_not_below_zero():
    with pytest.raises(Misconfigured):
        StatedPrices(percent=Decimal(-1))


@pytest.fixture
def terms(world, monkeypatch):
    stated = {}
    monkeypatch.setattr(world.process._acceptance._vetting, "_stated", stated)
    return stated


def stating(number, price, *, currency="USD", uom="EA", amount="2"):
    line = AskedLine(sku="SKU-1", amount=Decimal(amount), uom=uom, stated_price=Money(Decimal(price), currency))
    return ask(number, lines=(line,))


async def _placed(world, command):
    await world.stock(100, "itm_1")
    return (await world.process.place_order(command)).order


@pytest.mark.integration
async def test_what_is_off_is_held_with_the_reason_and_goes_on_at_our_price_when_somebody_says_so(world, terms):
    placed = await _placed(world, stating("P-1", "2.40"))
    held = await world.drain(placed.order_id)
    assert (held.state, held.hold_kind) == ("held", "rule")
    assert held.hold_reason == "line 1: its buyer states 2.4 USD a EA, our price is 2.5"
    assert (held.lines[0].stated_price, held.lines[0].unit_price) == (Decimal("2.40"), Decimal("2.50"))
    assert await world.sales(placed.order_id) == []
    await world.process.release_hold(CALLER, placed.order_id, reason="agreed by phone")
    assert (await world.drain(placed.order_id)).state == "released"


@pytest.mark.integration
async def test_what_is_off_little_or_not_at_all_goes_on_at_our_price(world, terms):
    terms["web"] = StatedPrices(percent=Decimal(5), amount=Decimal("0.20"))
    for number, price in (("P-2", "2.40"), ("P-3", "2.50")):
        placed = await _placed(world, stating(number, price))
        done = await world.drain(placed.order_id)
        assert (done.state, done.lines[0].unit_price) == ("released", Decimal("2.50"))


@pytest.mark.integration
async def test_a_channel_may_refuse_it_with_the_lines_and_keeps_nothing(world, terms):
    terms["web"] = StatedPrices(then="refuse")
    for price in ("2.40", "2.60"):
        with pytest.raises(Conflict) as refused:
            await _placed(world, stating("P-4", price))
        assert refused.value.code == "order.price_differs"
        assert [each.pointer for each in refused.value.problems] == ["/lines/0/stated_price"]
    assert await world.available("itm_1") == 100
    with pytest.raises(Conflict) as foreign:
        await _placed(world, stating("P-4", "2.50", currency="EUR"))
    assert foreign.value.code == "order.lines_invalid"
    assert (await _placed(world, stating("P-4", "30", uom="CS"))).lines[0].asked_uom == "CS"


@pytest.mark.integration
async def test_another_price_is_other_content_under_the_same_number(world, terms):
    first = await _placed(world, stating("P-5", "2.50"))
    again = await world.process.place_order(stating("P-5", "2.5"))
    assert (again.created, again.order.order_id) == (False, first.order_id)
    for other in (stating("P-5", "2.60"), ask("P-5")):
        with pytest.raises(Conflict) as refused:
            await world.process.place_order(other)
        assert refused.value.code == "order.number_reused"
