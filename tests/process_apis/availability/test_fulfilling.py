from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.canonical.stock import ClaimLine, ClaimRequest
from gateway.kernel.errors import Conflict

pytestmark = pytest.mark.integration


async def rows_of(world, order="ord_1"):
    return await world.availability.claims_of("acme", order)


async def test_a_reservation_that_comes_back_is_a_reservation_and_expires_as_before(world):
    await world.stock("A", 10)
    ends = world.clock.now() + timedelta(days=7)
    await world.claim("cart", ("A", 4), expires_at=ends)
    await world.record(world.movement("s", 5, "shipment_confirmed", 4, order="cart"))
    assert [(row["state"], row["consumed"]) for row in await rows_of(world, "cart")] == [("fulfilled", 4)]
    await world.record(world.movement("s", 5, "shipment_confirmed", 1, order="cart", revision=1))
    [back] = await rows_of(world, "cart")
    assert (back["state"], back["consumed"], back["expires_at"]) == ("reserved", 1, ends)
    line = await world.figures()
    assert (line["reserved"], line["allocated"]) == (3, 0)
    await world.store.execute("update availability.claim set expires_at = now()")
    assert await world.availability.expire() == 1
    assert await world.broken_invariants() == []


async def test_an_allocation_that_comes_back_is_an_allocation(world):
    await world.stock("A", 10)
    await world.claim("ord_1", ("A", 4), expires_at=world.clock.now() + timedelta(days=7))
    await world.allocate("ord_1")
    await world.record(world.movement("s", 5, "shipment_confirmed", 4, order="ord_1"))
    await world.record(world.movement("s", 5, "shipment_confirmed", 3, order="ord_1", revision=1))
    [back] = await rows_of(world)
    assert (back["state"], back["expires_at"], back["consumed"]) == ("allocated", None, 3)
    assert (await world.figures())["allocated"] == 1
    assert await world.broken_invariants() == []


async def test_what_is_picked_here_and_shipped_unpicked_there_is_consumed_at_both(world):
    await world.stock("A", 5)
    await world.stock("A", 5, source="wms_s")
    await world.claim("ord_1", ("A", 10))
    await world.record(world.movement("p", 5, "pick_confirmed", 5, order="ord_1"))
    await world.record(world.movement("s", 5, "shipment_confirmed", 5, order="ord_1", source="wms_s"))
    for place in ("loc_n", "loc_s"):
        line = await world.figures(location=place)
        assert (line["sellable"], line["reserved"], line["short"]) == (0, 0, 0)
    assert sum(row["consumed"] for row in await rows_of(world)) == 10
    assert await world.broken_invariants() == []


async def test_handling_without_a_line_consumes_the_one_line_of_its_item_whatever_comes_first(world):
    picked = world.movement("p", 5, "pick_confirmed", 3, order_reference="ord_1")
    shipped = world.movement("s", 6, "shipment_confirmed", 2, order_reference="ord_1")

    async def promise():
        await world.claim("ord_1", ("A", 4), ("B", 1))

    ends = []
    for number, steps in enumerate(itertools.permutations([picked, shipped, promise])):
        tables = "claim, claim_order, channel_line, progress, action, stock_line, movement, once, position, settlement"
        await world.store.execute("truncate " + ", ".join(f"availability.{name}" for name in tables.split(", ")))
        await world.store.execute("delete from store.event")
        await world.stock("A", 10, event_id=f"a{number}")
        await world.stock("B", 10, event_id=f"b{number}")
        for step in steps:
            await (step() if step is promise else world.record(step))
        ends.append(sorted((row["order_line"], row["consumed"], row["state"]) for row in await rows_of(world)))
        assert (await world.figures())["reserved"] == 1
        assert await world.broken_invariants() == []
    assert ends == [[(1, 3, "reserved"), (2, 0, "reserved")]] * 6


async def test_handling_that_could_be_of_two_lines_consumes_neither_until_its_source_names_one(world):
    await world.stock("A", 10)
    await world.claim("ord_1", ("A", 2), ("A", 3))
    await world.record(world.movement("s", 5, "shipment_confirmed", 2, order_reference="ord_1"))
    assert [row["consumed"] for row in await rows_of(world)] == [0, 0]
    await world.record(world.movement("s", 5, "shipment_confirmed", 2, order="ord_1", order_line=2, revision=1))
    assert {row["order_line"]: row["consumed"] for row in await rows_of(world)} == {1: 0, 2: 2}
    assert await world.broken_invariants() == []


async def test_a_refused_reservation_leaves_nothing(world):
    await world.stock("A", 5)

    def asked(order, amount):
        line = ClaimLine(line=1, item=world.id["A"], amount=Decimal(amount))
        return ClaimRequest(action=f"a-{order}-{amount}", order=order, channel="web", lines=[line], correlation_id="c")

    await world.availability.claims.reserve("acme", asked("ord_1", 3))
    for order in ("ord_1", "ord_2"):
        with pytest.raises(Conflict):
            await world.availability.claims.reserve("acme", asked(order, 9))
    kept = await world.store.fetch("select order_id from availability.claim_order")
    assert [row["order_id"] for row in kept] == ["ord_1"]
    await world.availability.claims.reserve("acme", asked("ord_2", 2))
    assert await world.broken_invariants() == []
