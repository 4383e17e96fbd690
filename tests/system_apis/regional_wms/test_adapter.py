"""The adapter on its running sandbox."""

import asyncio
import contextlib
from decimal import Decimal

import pytest

from gateway.canonical.order import WorkState
from gateway.canonical.stock import Bucket, MovementType
from gateway.kernel.errors import Conflict, NotAuthenticated, NotFound, OutcomeUnknown, Rejected, Unavailable

from .conftest import call, order

pytestmark = pytest.mark.integration


def figures(snapshot):
    return {(f.source_item, f.bucket): f.amount for f in snapshot.figures if f.amount}


async def test_a_partial_shipment_moves_stock_and_order_and_tells_both_by_line(adapter, wms):
    await adapter.release_work(call(), order=order("ord_1", ("SKU-0001", "5"), ("SKU/1 #é", "2")), location="NOR1")
    await wms.control("ship", client_reference="ord_1", lines=[{"line_number": 1, "quantity": "3"}])
    assert (await adapter.find_work(call(), reference="ord_1")).state is WorkState.PICKING
    await wms.control("ship", client_reference="ord_1")
    assert (await adapter.find_work(call(), reference="ord_1")).state is WorkState.SHIPPED

    report, _ = await adapter.read_movements(call(), cursor=None)
    shipped = [m for m in report.movements if m.type is MovementType.SHIPMENT_CONFIRMED]
    told = [(m.order_reference, m.order_line, m.source_item, m.amount) for m in shipped]
    assert told == [
        ("ord_1", 1, "W-000001", Decimal(3)),
        ("ord_1", 1, "W-000001", Decimal(2)),
        ("ord_1", 2, "W/001 #a", Decimal(2)),
    ]
    stock = figures(await adapter.read_stock(call(), locations=["NOR1"]))
    assert stock["W-000001", Bucket.SELLABLE] == 95
    assert stock["W/001 #a", Bucket.SELLABLE] == 5


async def test_many_releases_of_one_order_at_once_make_one(adapter, wms):
    works = await asyncio.gather(*[adapter.release_work(call(), order=order(), location="NOR1") for _ in range(8)])
    assert len({work.number for work in works}) == 1
    assert len((await wms.look("orders"))["orders"]) == 1


async def test_a_reference_that_holds_other_work_is_a_conflict(adapter):
    await adapter.release_work(call(), order=order("ord_1", ("SKU-0001", "5")), location="NOR1")
    with pytest.raises(Conflict) as caught:
        await adapter.release_work(call(), order=order("ord_1", ("SKU-0001", "6")), location="NOR1")
    assert caught.value.code == "wms.reference_reused"


async def test_cancelling_is_refused_once_picking_began_and_harmless_to_repeat_before(adapter, wms):
    await adapter.release_work(call(), order=order("ord_1"), location="NOR1")
    for _ in range(2):
        assert (await adapter.cancel_work(call(), reference="ord_1")).state is WorkState.CANCELLED
    await adapter.release_work(call(), order=order("ord_2"), location="NOR1")
    await wms.control("pick", client_reference="ord_2", lines=[{"line_number": 1, "quantity": "1"}])
    with pytest.raises(Conflict) as caught:
        await adapter.cancel_work(call(), reference="ord_2")
    assert caught.value.code == "wms.picking_started"
    with pytest.raises(NotFound):
        await adapter.cancel_work(call(), reference="ord_3")


async def test_an_item_or_warehouse_unknown_to_the_wms_is_rejected(adapter):
    with pytest.raises(Rejected) as caught:
        await adapter.release_work(call(), order=order("ord_1", ("NO-SUCH", "1")), location="NOR1")
    assert caught.value.code == "wms.unknown_item"
    with pytest.raises(Rejected):
        await adapter.read_stock(call(), locations=["MOON"])


@pytest.mark.parametrize("fault", ["hang_after", "hang_before", "drop_after", "drop_before", "error_after", "garbage"])
async def test_after_an_unknown_outcome_looking_tells_and_submitting_again_makes_one(adapter, wms, fault):
    await wms.control("faults", rules=[{"match": "POST /api/v2/orders", "do": fault, "seconds": 2}])

    async def release_once_sent():
        while True:
            with contextlib.suppress(Unavailable):  # the machine was held up: nothing was sent
                return await adapter.release_work(call(0.5), order=order(), location="NOR1")

    with pytest.raises(OutcomeUnknown):
        async with asyncio.timeout(60):
            await release_once_sent()
    found = await adapter.find_work(call(), reference="ord_1")
    assert (found is not None) == (fault not in ("hang_before", "drop_before"))
    work = await adapter.release_work(call(), order=order(), location="NOR1")
    assert found is None or found.number == work.number
    assert len((await wms.look("orders"))["orders"]) == 1


async def test_packs_are_shipped_in_the_unit_that_was_ordered_and_counted_in_pieces(adapter, wms):
    await wms.control("receive", warehouse="NOR1", item_code="W-000002", quantity="2", unit="CTN")
    report, _ = await adapter.read_movements(call(), cursor=None)
    assert (report.movements[0].amount, report.movements[0].uom) == (Decimal(2), "CS")
    stock = figures(await adapter.read_stock(call(), locations=["NOR1"]))
    assert stock["W-000002", Bucket.RECEIVING] == 24


async def test_a_snapshot_is_cut_off_where_the_events_continue(adapter, wms):
    await wms.control("adjust", warehouse="NOR1", item_code="W-000001", quantity="-1.5", reason="broken")
    snapshot = await adapter.read_stock(call(), locations=["NOR1"])
    await wms.control("count", warehouse="NOR1", item_code="W-000001", quantity="90")
    report, _ = await adapter.read_movements(call(), cursor=None)
    keys = [movement.order_key for movement in report.movements]
    assert keys[0] <= snapshot.cut_off < keys[1]
    assert [m.amount for m in report.movements] == [Decimal("-1.5"), Decimal(90)]
    assert snapshot.full
    assert figures(snapshot)["W-000001", Bucket.SELLABLE] == Decimal("98.5")


async def test_catching_up_from_a_cursor_misses_and_repeats_nothing_across_a_restored_wms(adapter, wms):
    seen, cursor = [], None
    for number in range(6):
        if number == 3:
            await wms.control("restore")
        await wms.control("receive", warehouse="NOR1", item_code="W-000001", quantity=str(number + 1))
        report, cursor = await adapter.read_movements(call(), cursor=cursor)
        seen += report.movements
    assert [movement.amount for movement in seen] == [1, 2, 3, 4, 5, 6]
    assert [movement.order_key.epoch for movement in seen] == [1, 1, 1, 2, 2, 2]
    report, again = await adapter.read_movements(call(), cursor=cursor)
    assert (report.movements, again) == ((), cursor)


async def test_a_webhook_is_read_after_its_signature_only(adapter, wms, subscriber):
    await wms.control("webhook", url=subscriber.url)
    await wms.control("receive", warehouse="NOR1", client_sku="SKU/1 #é", quantity="0.000000001")
    await subscriber.until(lambda s: s.sequences == [1])
    webhook = subscriber.deliveries[0][0]
    movement = adapter.parse_webhook(webhook).movements[0]
    assert (movement.source_item, movement.amount) == ("W/001 #a", Decimal("0.000000001"))
    await wms.control("faults", webhook_bad_signatures=1)
    await wms.control("receive", warehouse="NOR1", item_code="W-000001", quantity="1")
    await subscriber.until(lambda s: len(s.deliveries) == 2)
    with pytest.raises(NotAuthenticated):
        adapter.parse_webhook(subscriber.deliveries[1][0])
