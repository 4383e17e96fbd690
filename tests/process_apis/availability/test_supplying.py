from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from gateway.canonical.capabilities import Report
from gateway.canonical.item import ReportedItem
from gateway.canonical.stock import OrderKey, ReportedSupply, SupplyKind
from gateway.kernel.errors import Rejected
from process_apis.availability.models import ChannelTerms, LocationTerms

pytestmark = pytest.mark.integration


def line(world, sequence=1, ordered=10, days=5, **more):
    """A line of PO-1 to loc_n, due in so many days."""
    if days is not None:
        more.setdefault("requested", world.clock.now().date() + timedelta(days=days))
    more = {"source": "erp", "document": "PO-1", "line": 1, "source_item": "X-A", "source_location": "WH-N"} | more
    key = OrderKey(more.pop("epoch", 1), sequence)
    return ReportedSupply(order_key=key, ordered=Decimal(ordered), uom=more.pop("uom", "EA"), **more)


async def tell(world, *lines):
    return await world.availability.record("acme", Report(supply=lines))


async def promised(world, *days, sku="A", amount=None, channel="web"):
    """What may be promised in so many days from today, and the days to wait for `amount`."""
    today = world.clock.now().date()
    [answer] = await world.availability.promises(
        "acme", channel=channel, items=[world.id[sku]], dates=[today + timedelta(days=each) for each in days],
        amount=amount and Decimal(amount),
    )  # fmt: skip
    first = answer.earliest and (answer.earliest - today).days
    found = [int(each.available_to_promise) for each in answer.promises]
    return (found, first) if amount else found


async def to_come(world, sku="A"):
    return [int(amount) for _, amount, _ in await world.availability.supply("acme", [world.id[sku]])]


async def outcomes(world, *lines):
    receipt = await tell(world, *lines)
    return receipt.recorded, [(each.outcome.value, each.cause) for each in receipt.others]


async def test_what_may_be_promised_grows_with_supply_on_its_day(world):
    await world.stock("A", 4)
    assert (await tell(world, line(world, days=5), line(world, line=2, days=9, ordered=3))).recorded == 2
    assert await promised(world, 0, 4, 5, 8, 9, 365) == [4, 4, 14, 14, 17, 17]
    assert await promised(world, amount=14) == ([], 5)
    assert await promised(world, amount=18) == ([], None)
    await world.claim("ord_1", ("A", 3))
    assert await promised(world, 0, 5) == [1, 11]
    assert await world.broken_invariants() == []


async def test_the_rule_of_the_channel_keeps_back_the_same_of_every_date(world):
    await world.stock("A", 4)
    await tell(world, line(world))
    terms = ChannelTerms(buffer=Decimal(2), locations=(LocationTerms(location="loc_n", safety_stock=Decimal(3)),))
    await world.availability.set_rule("acme", "web", terms, actor="test")
    assert await promised(world, 0, 5) == [0, 9]
    await world.availability.set_rule("acme", "web", ChannelTerms(only_named=True), actor="test")
    assert await promised(world, 0, 5) == [0, 0]


async def test_the_best_date_known_counts_and_what_is_overdue_or_undated_does_not(world):
    today = world.clock.now().date()
    dates = {"acknowledged": today + timedelta(days=8), "advised": today + timedelta(days=6)}
    await tell(world, line(world, days=5, **dates))
    assert await promised(world, 5, 6) == [0, 10]
    await tell(world, line(world, 2, days=-1), line(world, line=2, days=None))
    assert await promised(world, 0, 300) == [0, 0]
    world.clock.ahead = timedelta(days=2)
    await tell(world, line(world, 3, days=1))
    assert await promised(world, 1) == [10]
    world.clock.ahead = timedelta(days=4)
    assert await promised(world, 1) == [0], "overdue by now"


async def test_older_news_never_wins_in_any_order_of_arrival(world):
    versions = [
        line(world, 1, 10),
        line(world, 3, 7, cancelled=Decimal(5)),
        line(world, 1, 30, epoch=2),
    ]
    for number, some in enumerate(permutations(versions)):
        for each in some:
            await tell(
                world, ReportedSupply(**{f: getattr(each, f) for f in each.__struct_fields__} | {"line": number})
            )
    assert await to_come(world) == [30] * 6
    assert await outcomes(world, line(world, 1), line(world, 1), line(world, 9, line=99), line(world, 8, line=99)) == (
        1, [("duplicate", None), ("superseded", None), ("superseded", None)],
    )  # fmt: skip
    assert await outcomes(world, line(world, 9, line=99, ordered=11)) == (0, [("conflict", "stock.supply_conflict")])
    assert len(await world.events("supply.changed")) >= 6


async def test_receipts_reduce_supply_once_in_either_order_and_by_revision(world):
    await world.record(world.movement("r1", 1, "receipt_posted", 4, document="PO-1"))
    await tell(world, line(world))
    assert await to_come(world) == [6]
    assert await promised(world, 0, 5) == [4, 10], "what is being received counts today, though it cannot be sold yet"
    await world.record(world.movement("r1", 1, "receipt_posted", 4, document="PO-1"))
    await world.record(world.movement("r2", 2, "receipt_posted", 6, document="PO-1", to_bucket="sellable"))
    assert await to_come(world) == [0]
    await world.record(world.movement("r2", 2, "receipt_posted", 5, document="PO-1", to_bucket="sellable", revision=1))
    assert await to_come(world) == [1]
    await world.record(world.movement("p1", 3, "put_away", 4))
    assert await promised(world, 0, 5) == [9, 10]


async def test_a_transfer_is_supply_while_it_is_on_its_way(world):
    await world.stock("A", 10, source="wms_s")
    await tell(world, line(world, document="T-1", kind=SupplyKind.TRANSFER, days=2))
    assert await promised(world, 0, 2) == [10, 10], "still on the shelf that it leaves"
    await world.record(world.movement("d", 2, "transfer_dispatched", 8, source="wms_s", document="T-1"))
    assert await promised(world, 0, 2) == [2, 10]
    await world.record(world.movement("a", 3, "transfer_received", 8, document="T-1", to_bucket="sellable"))
    assert await promised(world, 0, 2) == [10, 10]


async def test_a_supply_line_that_moves_counts_where_it_goes(world):
    await tell(world, line(world))
    await tell(world, line(world, 2, source_location="WH-S", source_item="X-B", uom="CS", ordered=2))
    assert await promised(world, 5) == [0]
    assert await promised(world, 5, sku="B") == [24]


async def test_what_cannot_be_mapped_waits_and_is_let_in_behind_what_came_later(world):
    unknown = [line(world, line=number, source_item="X-NEW") for number in (1, 2)]
    assert await outcomes(
        world, *unknown, line(world, line=3, uom="PAL"), line(world, line=4, source_location="?")
    ) == (
        0,
        [("parked", "stock.item_unknown")] * 2
        + [("parked", "stock.unit_unknown"), ("parked", "stock.location_unknown")],
    )
    new = ReportedItem(source_code="X-NEW", sku="N", name="N", base_uom="EA")
    await world.items.adopt("acme", "erp", [new], correlation_id="mend")
    await tell(world, line(world, 2, line=2, source_item="X-NEW", ordered=3))
    receipt = await world.availability.unpark("acme")
    assert (receipt.recorded, [each.outcome.value for each in receipt.others]) == (1, ["superseded"])
    world.id["N"] = (await world.items.by_sku("acme", ["N"]))["N"].item
    assert await to_come(world, "N") == [10, 3]
    assert len(await world.availability.parked("acme", before=None, limit=9)) == 2


async def test_a_date_beyond_the_horizon_is_refused(world):
    with pytest.raises(Rejected) as refused:
        await promised(world, 367)
    assert refused.value.code == "promise.date_too_far"
