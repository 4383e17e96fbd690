from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import msgspec
import pytest

from gateway.canonical.events import movements_told
from gateway.canonical.stock import Outcome

pytestmark = pytest.mark.integration


async def test_movements_flow_through_the_buckets(world):
    await world.record(
        world.movement("e1", 1, "receipt_posted", 2, uom="CS"),
        world.movement("e2", 2, "put_away", 20),
        world.movement("e3", 3, "status_changed", 3, from_bucket="sellable", to_bucket="damaged"),
        world.movement("e4", 4, "pick_confirmed", 5, order="ord_1"),
        world.movement("e5", 5, "shipment_confirmed", 4, order="ord_1"),
        world.movement("e6", 6, "stock_adjusted", -1),
    )
    assert await world.positions() == {"receiving": 4, "sellable": 11, "damaged": 3, "picked": 1}
    line = await world.figures()
    assert (line["on_hand"], line["sellable"]) == (19, 11)
    assert await world.broken_invariants() == []


async def test_a_shipment_without_a_pick_leaves_from_sellable_and_a_late_pick_changes_nothing_more(world):
    await world.stock("A", 10)
    await world.record(world.movement("s", 5, "shipment_confirmed", 4, order="ord_1"))
    assert await world.positions() == {"sellable": 6}
    await world.record(world.movement("p", 4, "pick_confirmed", 4, order="ord_1"))
    assert await world.positions() == {"sellable": 6}


async def test_a_pick_before_and_a_shipment_after_the_snapshot_take_it_from_picked(world):
    await world.record(
        world.movement("p", 4, "pick_confirmed", 4, order="ord_1"),
        world.movement("s", 6, "shipment_confirmed", 4, order="ord_1"),
        world.snapshot("snap", 5, {"A": 6, "A.picked": 4}, full=True),
    )
    assert await world.positions() == {"sellable": 6}


async def test_an_event_delivered_ten_times_at_once_counts_once(world):
    events = [world.movement(f"e{n}", n, "stock_adjusted", 1, sku="A" if n % 2 else "B") for n in range(20)]
    receipts = await asyncio.gather(*(world.record(*(events if n % 2 else events[::-1])) for n in range(10)))
    assert sum(receipt.recorded for receipt in receipts) == 20
    assert await world.positions("A") == {"sellable": 10}
    assert await world.positions("B") == {"sellable": 10}
    assert len(await world.movements_told()) == 20


async def test_the_same_id_with_other_content_is_kept_out_and_raised(world):
    await world.record(world.movement("e1", 1, "stock_adjusted", 5))
    receipt = await world.record(
        world.movement("e1", 1, "stock_adjusted", 7), world.movement("e2", 2, "stock_adjusted", 1)
    )
    assert [(line.event_id, line.outcome, line.cause) for line in receipt.others] == [
        ("e1", Outcome.CONFLICT, "stock.event_conflict")
    ]
    assert await world.positions() == {"sellable": 6}
    assert len(await world.events("stock.movement_parked")) == 1
    await world.availability.unpark("acme")
    assert await world.positions() == {"sellable": 6}


async def test_a_revision_replaces_the_effect_of_the_one_before_in_either_order(world):
    first = world.movement("e1", 1, "stock_adjusted", 5)
    second = msgspec.structs.replace(first, amount=Decimal(7), revision=1)
    await world.record(first)
    await world.record(second)
    assert await world.positions() == {"sellable": 7}
    late = world.movement("e2", 2, "pick_confirmed", 2, order="ord_1", revision=1)
    await world.record(late)
    receipt = await world.record(msgspec.structs.replace(late, amount=Decimal(3), revision=0))
    assert receipt.others[0].outcome is Outcome.SUPERSEDED
    assert await world.positions() == {"sellable": 5, "picked": 2}
    await world.record(msgspec.structs.replace(late, amount=Decimal(1), revision=2, source_item="X-B"))
    assert await world.positions() == {"sellable": 7}
    assert await world.positions("B") == {"sellable": -1, "picked": 1}
    told = [json.loads(row["data"]) for row in await world.events("stock.movement_recorded")]
    assert told[-1]["replaces"] == told[-2]["movement"]


async def test_the_log_tells_movements_of_orders_one_by_one_and_the_others_together(world):
    orders = [world.movement(f"p{n}", n, "pick_confirmed", 1, order="ord_1") for n in range(3)]
    others = [world.movement(f"a{n}", 10 + n, "stock_adjusted", 1) for n in range(250)]
    asked = [world.movement(f"r{n}", 300 + n, "stock_adjusted", 1, correlation_id=f"req_{n % 2}") for n in range(4)]
    await world.record(*orders, *others, *asked)
    assert len(await world.events("stock.movement_recorded")) == 3
    rows = await world.events("stock.movements_recorded")
    told = [list(movements_told(json.loads(row["data"]))) for row in rows]
    assert sorted(len(some) for some in told) == [2, 2, 50, 100, 100]
    rows = await world.store.fetch("select distinct correlation_id from store.event where correlation_id like 'req%'")
    assert {row["correlation_id"] for row in rows} == {"req_0", "req_1"}
    assert {each["movement"] for each in await world.movements_told()} == {
        row["movement"] for row in await world.store.fetch("select movement from availability.movement")
    }
    await world.record(msgspec.structs.replace(others[0], amount=Decimal(3), revision=1))
    assert (await world.movements_told())[-1]["replaces"] == next(
        each["movement"] for some in told for each in some if each["event_id"] == "a0"
    )


async def test_a_negative_figure_is_kept_flagged_and_raised_once(world):
    await world.record(world.movement("e1", 1, "stock_adjusted", -3))
    await world.record(world.movement("e2", 2, "stock_adjusted", -1))
    assert await world.positions() == {"sellable": -4}
    assert (await world.figures())["negative"]
    assert len(await world.events("stock.position_negative")) == 1
    await world.record(world.movement("e3", 3, "stock_adjusted", 4))
    assert not (await world.figures())["negative"]


async def test_a_line_is_flagged_until_the_last_of_its_figures_is_no_longer_negative(world):
    await world.record(
        world.movement("e1", 1, "stock_adjusted", -3),
        world.movement("e2", 2, "stock_adjusted", -2, to_bucket="damaged"),
        world.movement("e3", 3, "stock_adjusted", 7, to_bucket="returned"),
    )
    assert (await world.figures())["negative"]
    await world.record(world.movement("e4", 4, "stock_adjusted", 5))
    assert (await world.figures())["negative"]
    await world.record(
        world.movement("e5", 5, "stock_adjusted", 1, to_bucket="damaged"),
        world.movement("e6", 6, "stock_adjusted", 1, to_bucket="damaged"),
    )
    assert not (await world.figures())["negative"]
    assert len(await world.events("stock.position_negative")) == 1
    assert await world.broken_invariants() == []


async def test_what_cannot_be_mapped_waits_and_mending_applies_it_once(world):
    receipt = await world.record(
        world.movement("e1", 1, "stock_adjusted", 5, source_item="X-NEW"),
        world.movement("e2", 2, "stock_adjusted", 5, source_location="??"),
        world.movement("e3", 3, "stock_adjusted", 5, uom="PAL"),
        world.movement("e4", 4, "stock_adjusted", "0.5"),
        world.movement("e5", 5, "status_changed", 5),
        world.movement("e6", 6, "stock_adjusted", 1),
    )
    causes = {line.event_id: line.cause for line in receipt.others}
    assert causes == {
        "e1": "stock.item_unknown",
        "e2": "stock.location_unknown",
        "e3": "stock.unit_unknown",
        "e4": "stock.not_exact",
        "e5": "stock.bucket_missing",
    }
    assert receipt.recorded == 1
    assert (await world.availability.unpark("acme")).recorded == 0
    await world.items.cross_reference("acme", "wms_n", {"X-NEW": "A"}, correlation_id="mend")
    receipts = await asyncio.gather(*(world.availability.unpark("acme") for _ in range(3)))
    assert sum(receipt.recorded for receipt in receipts) == 1
    assert await world.positions() == {"sellable": 6}
    assert len(await world.availability.parked("acme", before=None, limit=10)) == 4


async def test_what_another_system_says_about_owned_buckets_moves_nothing(world):
    await world.stock("A", 10)
    await world.record(
        world.movement("e1", 1, "shipment_confirmed", 3, source="erp", order="ord_1"),
        world.snapshot("s1", 1, {"A": 7}, source="erp"),
    )
    assert await world.positions() == {"sellable": 10}
    assert len(await world.movements_told()) == 1
    rows = await world.store.fetch("select moves, drifted, drift from availability.snapshot where not moves")
    assert [(row["moves"], row["drifted"]) for row in rows] == [(False, 1)]
    assert json.loads(rows[0]["drift"])[0]["drift"] == "-3"


async def test_owners_and_lots_never_pool(world):
    await world.record(
        world.movement("e1", 1, "stock_adjusted", 5, owner="other"),
        world.movement("e2", 2, "stock_adjusted", 3, lot="L1"),
        world.movement("e3", 3, "stock_adjusted", 4, lot="L2"),
    )
    rows = await world.store.fetch("select owner, lot, amount from availability.position order by owner, lot")
    assert [tuple(row) for row in rows] == [("main", "L1", 3), ("main", "L2", 4), ("other", "", 5)]
    rows = await world.store.fetch("select owner, sellable from availability.stock_line order by owner")
    assert [tuple(row) for row in rows] == [("main", 7), ("other", 5)]


async def test_transfer_balances_close_in_either_order(world):
    await world.record(world.movement("in", 9, "transfer_received", 4, source="wms_s", document="T1"))
    await world.record(world.movement("out", 1, "transfer_dispatched", 6, document="T1"))
    rows = await world.store.fetch("select kind, document, opened, closed from availability.balance")
    assert [tuple(row) for row in rows] == [("transfer", "T1", 6, 4)]
    assert await world.positions("A", "loc_s") == {"receiving": 4}


async def test_decimals_are_exact_to_the_last_digit(world):
    await world.record(
        world.movement("e1", 1, "stock_adjusted", "12345678901.123456789", sku="K", uom="KGM"),
        world.movement("e2", 2, "stock_adjusted", "-0.000000001", sku="K", uom="KGM"),
    )
    assert (await world.figures("K"))["sellable"] == Decimal("12345678901.123456788")
