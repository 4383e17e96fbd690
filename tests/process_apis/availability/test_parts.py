"""Snapshots in parts: nothing before the last part is here, the same as a whole one afterwards."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from random import Random

import msgspec
import pytest

from gateway.canonical.capabilities import Report
from gateway.canonical.stock import Outcome, SnapshotPart
from gateway.kernel.errors import Rejected

pytestmark = pytest.mark.integration


def in_parts(whole, count):
    """`whole` in `count` parts of its figures, dealt out in turn."""
    return [
        SnapshotPart(
            snapshot=msgspec.structs.replace(whole, figures=whole.figures[number - 1 :: count]), number=number, of=count
        )
        for number in range(1, count + 1)
    ]


async def tell(world, *parts):
    return await world.availability.record("acme", Report(parts=parts))


async def apply(world):
    while await world.availability.parts.apply_next():
        pass


async def test_nothing_changes_before_the_last_part_is_here(world):
    await world.stock("A", 3)
    parts = in_parts(world.snapshot("s1", 10, {"A": 100, "B": 7}, full=True), 2)
    assert (await tell(world, parts[1])).recorded == 1
    await apply(world)
    assert await world.positions("A") == {"sellable": 3}
    assert await world.positions("B") == {}
    await tell(world, parts[0])
    assert await world.positions("A") == {"sellable": 3}
    await apply(world)
    assert await world.positions("A") == {"sellable": 100}
    assert await world.positions("B") == {"sellable": 7}
    assert await world.broken_invariants() == []


async def test_parts_told_again_are_duplicates_and_told_otherwise_are_conflicts(world):
    whole = world.snapshot("s1", 10, {"A": 100, "B": 7}, full=True)
    first, second = in_parts(whole, 2)
    await tell(world, first)
    other = msgspec.structs.replace(first, snapshot=world.snapshot("s1", 10, {"A": 99}, full=True))
    moved = msgspec.structs.replace(second, snapshot=world.snapshot("s1", 11, {"B": 7}, full=True))
    receipt = await tell(world, first, other, moved, msgspec.structs.replace(second, of=3))
    outcomes = [line.outcome for line in receipt.others]
    assert outcomes == [Outcome.DUPLICATE, Outcome.CONFLICT, Outcome.CONFLICT, Outcome.CONFLICT]
    assert (await world.record(whole)).others[0].outcome is Outcome.CONFLICT
    await tell(world, second)
    await apply(world)
    figures = await world.store.fetchval("select count(*) from availability.figure")
    assert {line.outcome for line in (await tell(world, first, second)).others} == {Outcome.DUPLICATE}
    await world.store.execute("update availability.parted_snapshot set applied_at = now() - interval '8 days'")
    await world.availability.parts.forget()
    assert {line.outcome for line in (await tell(world, first, second)).others} == {Outcome.DUPLICATE}
    await apply(world)
    assert await world.store.fetchval("select count(*) from availability.figure") == figures
    assert await world.positions("A") == {"sellable": 100}


async def test_a_snapshot_that_never_became_complete_may_be_told_anew(world):
    parts = in_parts(world.snapshot("s1", 10, {"A": 100, "B": 7}), 2)
    await tell(world, parts[0])
    await world.store.execute("update availability.parted_snapshot set opened_at = now() - interval '8 days'")
    await world.availability.parts.forget()
    assert (await tell(world, *parts)).recorded == 2
    await apply(world)
    assert await world.positions("B") == {"sellable": 7}


@pytest.mark.parametrize("seed", range(2))
async def test_parts_in_any_order_among_movements_end_like_a_whole_snapshot(world, seed):
    chance = Random(seed)
    before = [
        world.movement(f"b{n}", n, "stock_adjusted", n, sku=chance.choice("AB"), lot=f"L{n}") for n in range(1, 6)
    ]
    after = [world.movement(f"a{n}", 20 + n, "stock_adjusted", n, sku=chance.choice("AB")) for n in range(1, 6)]
    picks = [world.movement(f"p{n}", 8 + 5 * n, "pick_confirmed", 1, order=f"ord_{n}") for n in range(3)]
    ships = [world.movement(f"s{n}", 9 + 5 * n, "shipment_confirmed", 1, order=f"ord_{n}") for n in range(3)]
    figures = {"A": 50, "B": 40, "A.picked": 2, "B.damaged": 1}
    wholes = {source: world.snapshot("snap", 15, figures, full=True, source=source) for source in ("wms_n", "wms_s")}
    theirs = [
        msgspec.structs.replace(each, source="wms_s", source_location="S") for each in before + after + picks + ships
    ]
    await world.record(*before, *theirs[:5])
    for each in (wholes["wms_s"], *chance.sample(theirs, len(theirs))):  # loc_s hears it whole
        await world.record(each)
    todo = [*in_parts(wholes["wms_n"], 4), *before, *after, *picks, *ships]
    chance.shuffle(todo)
    for each in todo:
        await (tell(world, each) if isinstance(each, SnapshotPart) else world.record(each))
        if chance.random() < 0.5:
            await world.availability.parts.apply_next()
    await asyncio.gather(*(apply(world) for _ in range(3)))
    await apply(world)
    for sku in "AB":
        assert await world.positions(sku) == await world.positions(sku, "loc_s")
    assert await world.broken_invariants() == []


async def test_drift_is_told_once_for_all_parts_and_what_is_unknown_waits_for_its_mapping(world):
    await world.stock("A", 3)
    await world.record(world.movement("k", 2, "stock_adjusted", 9, sku="K", uom="KGM"))
    whole = world.snapshot("s1", 10, {"A": 5, "B": 7, "NEW": 4}, full=True)
    for part in in_parts(whole, 3):
        await tell(world, part)
    await apply(world)
    [row] = await world.events("stock.snapshot_applied")
    told = json.loads(row["data"])
    assert (told["figures"], told["drifted"], told["full"]) == (2, 3, True)
    assert sorted(each["drift"] for each in told["drift"]) == ["-9", "2", "7"]
    kept = await world.store.fetch("select amount from availability.drift where snapshot = $1", told["snapshot"])
    assert sorted(row["amount"] for row in kept) == [-9, 2]
    parked = await world.availability.parked("acme", before=None, limit=10)
    assert [row["cause"] for row in parked] == ["stock.item_unknown"]
    await world.items.cross_reference("acme", "wms_n", {"X-NEW": "K"}, correlation_id="mend")
    listed = await world.availability.parts.list("acme")
    assert [(row["arrived"], row["applied"], row["applied_at"] is not None) for row in listed] == [(3, 3, True)]


async def test_parts_of_a_system_that_does_not_hold_the_location_only_compare(world):
    await world.stock("A", 3)
    for part in in_parts(world.snapshot("s1", 10, {"A": 5, "B": 7}, source="erp", full=True), 2):
        await tell(world, part)
    await apply(world)
    assert await world.positions("A") == {"sellable": 3}
    rows = await world.store.fetch("select figures, drifted, drift from availability.snapshot where not moves")
    assert [(row["figures"], row["drifted"]) for row in rows] == [(2, 2)]
    assert sorted(each["drift"] for each in json.loads(rows[0]["drift"])) == ["2", "7"]


async def test_one_snapshot_that_cannot_be_applied_does_not_hold_up_the_others(world):
    await tell(world, *in_parts(world.snapshot("broken", 10, {"A": 5}), 1))
    await world.store.execute("update availability.snapshot_part set figures = 'no JSON'")
    await tell(world, *in_parts(world.snapshot("sound", 11, {"B": 7}), 1))
    with pytest.raises(msgspec.DecodeError):
        await world.availability.parts.apply_next()
    assert await world.availability.parts.apply_next()
    assert await world.positions("B") == {"sellable": 7}


async def test_a_part_out_of_its_bounds_is_refused(world):
    whole = world.snapshot("s1", 10, {"A": Decimal(5)})
    for number, of in ((0, 1), (2, 1), (1, 10_001)):
        with pytest.raises(Rejected, match="number parts from 1"):
            await tell(world, SnapshotPart(snapshot=whole, number=number, of=of))
