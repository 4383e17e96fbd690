"""The adapter against what a live Tryton 8.2.1 answered; `record.py` writes the records anew."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.canonical.stock import Bucket
from system_apis.tryton import sandbox_data
from tests.system_apis.tryton.exchanges import Player
from tests.system_apis.tryton.scenarios import SCENARIOS


@pytest.fixture
def play(adapter_over):
    async def played(name):
        return await SCENARIOS[name](adapter_over(Player(name)))

    return played


async def test_items_come_in_pages_with_packs_prices_and_odd_codes(play):
    first, second = await play("items")
    assert (len(first.items), len(second.items), second.next_cursor) == (150, 54, None)
    by_sku = {item.sku: item for item in (*first.items, *second.items)}
    assert set(sandbox_data.SKUS) == set(by_sku)
    assert by_sku["SKU-0000"].list_price.amount == Decimal("9.95")
    assert [(pack.uom, pack.factor) for pack in by_sku["SKU-0001"].packs] == [("CS", Decimal(24))]
    assert by_sku["SKU-0180"].base_uom == "KGM"
    assert by_sku["SKU-0180"].packs == ()


async def test_stock_is_trytons_own_by_zone_of_each_warehouse(play):
    snapshot = await play("stock")
    found = {(f.source_item, f.source_location): f.amount for f in snapshot.figures}
    expected = {
        (sku, warehouse): amount
        for sku in sandbox_data.SKUS
        for warehouse, _ in sandbox_data.WAREHOUSES
        if (amount := sandbox_data.opening_stock(sku, warehouse))
    }
    assert found == expected
    assert {f.bucket for f in snapshot.figures} == {Bucket.SELLABLE}
    assert snapshot.full
    assert snapshot.locations == ("WH-N", "WH-W")


async def test_customers_come_with_terms_limit_balance_and_hold(play):
    (first, _, third, fourth, fifth), missing = await play("customers")
    assert (first.payment_term, first.credit_limit.amount, first.balance.amount) == ("Net 30", 1_000_000, 0)
    assert third.credit_limit is None
    assert (fourth.credit_limit.amount, fourth.balance.amount) == (500, Decimal("120.50"))
    assert [customer.hold for customer in (first, third, fourth, fifth)] == [False, False, False, True]
    assert missing == "NotFound erp.customer_not_found"


async def test_demand_is_what_others_ordered_and_not_what_we_did(play):
    (line,) = await play("demand")
    assert (line.source_item, line.amount, line.source_location, line.uom) == ("SKU-0150", Decimal(7), "WH-N", "EA")


async def test_an_order_goes_from_nothing_to_two_partial_shipments(play):
    before, submitted, again, part, rest, late, after = await play("shipping")
    assert before is None
    assert submitted.ready
    assert {s.location for s in submitted.shipments} == {"WH-N", "WH-W"}
    assert again == submitted
    assert part.state == "done"
    assert [(line.line, line.item, line.amount) for line in part.lines] == [(1, "SKU-0020", Decimal(4))]
    assert sorted((line.line, line.amount) for line in rest.lines) == [(1, Decimal(6)), (2, Decimal(3))]
    assert late == "Conflict erp.work_begun"
    assert sorted((s.location, s.state) for s in after.shipments) == [
        ("WH-N", "done"),
        ("WH-N", "done"),
        ("WH-W", "waiting"),
    ]


async def test_an_order_is_cancelled_in_both_warehouses_once(play):
    cancelled, again, found = await play("cancelling")
    assert cancelled.cancelled
    assert cancelled == again == found
    assert {shipment.state for shipment in found.shipments} == {"cancelled"}


async def test_what_tryton_cannot_take_is_refused_by_its_reason(play):
    assert await play("refusals") == {
        "sku": "Rejected erp.unknown_sku",
        "location": "Rejected erp.unknown_location",
        "customer": "Rejected erp.customer_not_found",
        "unit": "Rejected erp.unit_mismatch",
        "digits": "Rejected erp.refused",
        "precision": "Rejected erp.quantity_precision",
        "unknown order": "NotFound erp.order_not_found",
    }
