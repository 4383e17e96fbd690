from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gateway.canonical.stock import Outcome

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 1, tzinfo=UTC)


async def test_a_snapshot_holds_at_its_cut_off_and_later_deltas_are_added(world):
    await world.record(world.movement("e1", 5, "stock_adjusted", 3), world.movement("e2", 15, "stock_adjusted", -2))
    await world.record(world.snapshot("s1", 10, {"A": 100}))
    assert await world.positions() == {"sellable": 98}
    await world.record(world.movement("late", 7, "stock_adjusted", -50))
    assert await world.positions() == {"sellable": 98}


async def test_an_older_snapshot_that_arrives_later_changes_nothing(world):
    await world.record(world.snapshot("s2", 20, {"A": 50}))
    await world.record(world.snapshot("s1", 10, {"A": 100}))
    assert await world.positions() == {"sellable": 50}


async def test_a_new_epoch_of_the_source_is_later_whatever_its_sequence(world):
    await world.record(world.snapshot("s1", 1000, {"A": 50}))
    await world.record(world.movement("e1", 1, "stock_adjusted", 2, epoch=2))
    assert await world.positions() == {"sellable": 52}
    await world.record(world.snapshot("s2", 5, {"A": 7}, epoch=2))
    assert await world.positions() == {"sellable": 7}


async def test_a_delta_at_the_cut_off_is_contained_in_the_snapshot(world):
    await world.record(world.movement("e1", 10, "stock_adjusted", 3))
    await world.record(world.snapshot("s1", 10, {"A": 100}))
    assert await world.positions() == {"sellable": 100}


async def test_a_full_snapshot_zeroes_what_it_does_not_name_even_when_that_comes_later(world):
    await world.record(world.movement("e1", 5, "stock_adjusted", 3, sku="B"))
    await world.record(world.snapshot("s1", 10, {"A": 100}, full=True))
    assert await world.positions("B") == {}
    await world.record(world.movement("e2", 6, "stock_adjusted", 9, sku="K", uom="KGM"))
    assert await world.positions("K") == {}
    await world.record(world.movement("e3", 11, "stock_adjusted", 9, sku="K", uom="KGM"))
    assert await world.positions("K") == {"sellable": 9}


async def test_a_partial_snapshot_leaves_the_rest_alone(world):
    await world.record(world.movement("e1", 5, "stock_adjusted", 3, sku="B"))
    await world.record(world.snapshot("s1", 10, {"A": 100}))
    assert await world.positions("B") == {"sellable": 3}


async def test_a_cycle_count_is_a_snapshot_of_one_key(world):
    await world.record(
        world.movement("e1", 5, "stock_adjusted", 30),
        world.movement("c1", 6, "cycle_counted", 25),
        world.movement("e2", 7, "stock_adjusted", 1),
    )
    assert await world.positions() == {"sellable": 26}
    await world.record(world.movement("c1", 6, "cycle_counted", 24, revision=1))
    assert await world.positions() == {"sellable": 25}


async def test_a_count_corrected_to_another_item_gives_back_the_figure_it_had_replaced(world):
    wrong = world.movement("c1", 20, "cycle_counted", 3)
    await world.record(
        world.snapshot("s1", 10, {"A": 100, "B": 40}),
        world.movement("p", 8, "pick_confirmed", 4, order="ord_1"),
        world.movement("e1", 15, "stock_adjusted", -2),
        world.movement("s", 16, "shipment_confirmed", 4, order="ord_1"),
        wrong,
        world.movement("e2", 25, "stock_adjusted", 1),
    )
    assert await world.positions() == {"sellable": 4}
    await world.record(msgspec.structs.replace(wrong, source_item="X-B", revision=1))
    assert await world.positions() == {"sellable": 99}
    assert await world.positions("B") == {"sellable": 3}
    assert await world.broken_invariants() == []


async def test_drift_is_logged_before_rebasing_and_excludes_what_came_after(world):
    await world.record(world.movement("e1", 5, "stock_adjusted", 30), world.movement("e2", 15, "stock_adjusted", 4))
    await world.record(world.snapshot("s1", 10, {"A": 28, "B": 0}))
    data = json.loads((await world.events("stock.snapshot_applied"))[0]["data"])
    assert data["drifted"] == 1
    assert [(each["item"], each["drift"]) for each in data["drift"]] == [(world.id["A"], "-2")]
    assert await world.positions() == {"sellable": 32}


async def test_a_snapshot_counts_once_and_the_same_id_with_other_figures_is_refused(world):
    await world.record(world.snapshot("s1", 10, {"A": 28}))
    again = await world.record(world.snapshot("s1", 10, {"A": 28}))
    other = await world.record(world.snapshot("s1", 10, {"A": 29}))
    assert [again.others[0].outcome, other.others[0].outcome] == [Outcome.DUPLICATE, Outcome.CONFLICT]
    assert await world.positions() == {"sellable": 28}


async def test_a_figure_that_could_not_be_mapped_joins_its_snapshot_when_mended(world):
    await world.record(world.snapshot("s1", 10, {"A": 28, "NEW": 5}, full=True))
    await world.record(world.movement("e1", 11, "stock_adjusted", 1))
    await world.items.cross_reference("acme", "wms_n", {"X-NEW": "A"}, correlation_id="mend")
    await world.availability.unpark("acme")
    await world.availability.unpark("acme")
    assert await world.positions() == {"sellable": 34}
    assert await world.broken_invariants() == []


async def test_questions_about_the_past_tell_what_had_happened_from_what_was_known(world):
    await world.record(world.snapshot("s1", 10, {"A": 100}, full=True), world.movement("e1", 20, "stock_adjusted", -5))
    before = (await world.store.fetchrow("select clock_timestamp() as now"))["now"]
    await world.record(
        world.movement("late", 12, "stock_adjusted", -30),
        world.movement("c1", 30, "cycle_counted", 50),
        world.movement("p", 31, "pick_confirmed", 4, order="ord_1"),
        world.movement("s", 33, "shipment_confirmed", 4, order="ord_1"),
    )

    async def asked(second, **more):
        rows = await world.availability.positions(
            "acme",
            items=[world.id["A"]],
            location="loc_n",
            as_happened_at=START + timedelta(seconds=second),
            **more,
        )
        return {row["bucket"]: row["amount"] for row in rows if row["amount"]}

    told = [await asked(second) for second in (5, 10, 15, 25, 30, 32, 40)]
    assert told == [
        {}, {"sellable": 100}, {"sellable": 70}, {"sellable": 65}, {"sellable": 50}, {"sellable": 46, "picked": 4},
        {"sellable": 46},
    ]  # fmt: skip
    assert [await asked(second, as_known_at=before) for second in (15, 40)] == [{"sellable": 100}, {"sellable": 95}]
