"""What is told too late waits for a person; what is condensed is answered no more; spans go when they are through."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from gateway.canonical.capabilities import Report
from gateway.canonical.stock import Outcome, SnapshotPart
from gateway.kernel.errors import Misconfigured, NotFound, Unavailable
from process_apis.availability.condensing import begin, condense_next
from process_apis.availability.history import HistoryOptions
from process_apis.availability.partitions import spans
from tests.process_apis.availability.conftest import START

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "options", [{"movement_days": 13}, {"movement_days": 401}, {"once_days": 59}, {"history_days": 59}]
)
def test_events_are_known_and_history_reaches_at_least_as_long_as_they_may_be_late(options):
    with pytest.raises(Misconfigured, match="movement_days"):
        HistoryOptions(**options)


async def condense(world):
    """Everything that was told by now."""
    await begin(world.store, "acme", await world.store.fetchval("select clock_timestamp()"))
    while await condense_next(world.store, "acme"):
        pass


def late_causes(receipt):
    return [(line.event_id, line.outcome, line.cause) for line in receipt.others]


async def parked(world):
    rows = await world.store.fetch(
        "select event_id, kind, cause, mendable, detail from availability.parked order by id"
    )
    assert all("count what it concerns" in row["detail"] for row in rows if row["cause"] == "stock.too_late")
    return [tuple(row)[:4] for row in rows]


async def test_what_happened_too_long_ago_waits_for_a_person_and_moves_nothing(world):
    await world.stock("A", 10)
    world.clock.ahead = timedelta(days=90)
    late = world.movement("late", 5, "stock_adjusted", 3)
    receipt = await world.record(late, world.movement("late", 5, "stock_adjusted", 3))
    assert late_causes(receipt) == [("late", Outcome.PARKED, "stock.too_late")] * 2
    receipt = await world.record(world.snapshot("old", 6, {"A": 99}))
    assert late_causes(receipt) == [("old", Outcome.PARKED, "stock.too_late")]
    assert await parked(world) == [
        ("late", "movement", "stock.too_late", False),
        ("old", "snapshot", "stock.too_late", False),
    ]
    assert await world.positions() == {"sellable": 10}
    # Mending mappings does not let it in, and what was known in time is a duplicate however late it comes again.
    assert (await world.availability.unpark("acme")).recorded == 0
    receipt = await world.record(world.movement("opening-A-wms_n", 1, "stock_adjusted", 10))
    assert late_causes(receipt) == [("opening-A-wms_n", Outcome.DUPLICATE, None)]


async def test_a_revision_of_what_is_condensed_waits_for_a_person(world):
    await world.stock("A", 10)
    await world.record(world.movement("m", 5, "stock_adjusted", 3))
    await condense(world)
    receipt = await world.record(world.movement("m", 5, "stock_adjusted", 4, revision=1))
    assert late_causes(receipt) == [("m", Outcome.PARKED, "stock.too_late")]
    assert await world.positions() == {"sellable": 13}
    assert late_causes(await world.record(world.movement("m", 5, "stock_adjusted", 3))) == [
        ("m", Outcome.DUPLICATE, None)
    ]


@pytest.mark.parametrize("full", [False, True])
async def test_a_figure_at_a_cut_off_before_what_is_condensed_waits_for_a_person(world, full):
    for number in range(1, 5):
        await world.record(world.movement(f"m{number}", number * 10, "stock_adjusted", number))
    await condense(world)
    # Its cut-off lies among movements that are one sum by now: from it, nobody could tell what came after.
    receipt = await world.record(world.snapshot("among", 25, {"A": 7}, full=full))
    assert late_causes(receipt) == [("among", Outcome.PARKED, "stock.too_late")]
    receipt = await world.record(world.movement("n", 25, "cycle_counted", 7), world.movement("d", 50, "put_away", 1))
    assert receipt.recorded == 1
    assert late_causes(receipt) == [("n", Outcome.PARKED, "stock.too_late")]
    assert await world.positions() == {"sellable": 11, "receiving": -1}
    # Before them all, or after, it holds.
    assert (await world.record(world.snapshot("before", 5, {"A": 100}, full=full))).recorded == 1
    assert await world.positions() == {"sellable": 111, "receiving": -1}
    assert (await world.record(world.snapshot("after", 45, {"A": 7}, full=full))).recorded == 1
    assert await world.positions() == {"sellable": 8, "receiving": -1}


async def test_questions_of_before_what_is_kept_are_answered_with_how_far_it_reaches(world):
    await world.stock("A", 10)
    before = await world.store.fetchval("select clock_timestamp()")
    item = world.id["A"]
    assert await world.availability.positions("acme", items=[item], location=None, as_known_at=before)
    await condense(world)
    reach = await world.availability.history.reach("acme")
    assert reach.since is not None
    assert not reach.condensing
    for asked in ({"as_known_at": before}, {"as_happened_at": START}):
        with pytest.raises(NotFound, match="ask for that or later") as refused:
            await world.availability.positions("acme", items=[item], location=None, **asked)
        assert refused.value.code == "stock.history_gone"
    rows = await world.availability.positions("acme", items=[item], location=None, as_known_at=reach.since)
    assert [row["amount"] for row in rows] == [10]


async def test_a_turn_condenses_what_is_old_drops_its_spans_and_forgets_what_came_once(new_world):
    world = new_world
    await world.stock("A", 10)
    await world.record(world.snapshot("s", 7, {"A": 12}), world.movement("later", 9, "stock_adjusted", 1))
    history = world.availability.history
    await history.turn("acme")
    assert (await history.reach("acme")).since is None
    world.clock.ahead = timedelta(days=700)
    for _ in range(2):  # the second finds the spans through
        await history.turn("acme")
    reach = await history.reach("acme")
    assert reach.since is not None
    assert not [each for each in await spans(world.store) if each.name.endswith("first")]
    assert await world.positions() == {"sellable": 13}
    assert await world.store.fetchval("select count(*) from availability.once") == 0
    kept = await world.store.fetch("select tableoid::regclass::text as span, amount from availability.movement")
    assert [tuple(row) for row in kept] == [("availability.movement_carried", 1)]


@pytest.mark.long
async def test_a_span_stays_while_another_tenant_counts_on_it(new_world):
    world = new_world
    await world.stock("A", 10)
    await world.store.execute(
        "insert into availability.movement select (jsonb_populate_record(m, jsonb_build_object("
        "'tenant', 'other', 'movement', 'mov_other'))).* from availability.movement m"
    )
    world.clock.ahead = timedelta(days=700)
    for _ in range(2):
        await world.availability.history.turn("acme")
    assert await world.store.fetchval("select count(*) from availability.movement_first") == 1


def parts_of(world, event, sequence, **more):
    whole = world.snapshot(event, sequence, {"A": 7, "B": 5}, full=True, **more)
    return [
        SnapshotPart(snapshot=replace(whole, figures=(figure,)), number=number, of=2)
        for number, figure in enumerate(whole.figures, start=1)
    ]


async def test_a_snapshot_in_parts_that_comes_too_late_waits_for_a_person(world):
    await world.stock("A", 10)
    for sequence in (20, 30):
        await world.record(world.movement(f"m{sequence}", sequence, "stock_adjusted", 1))
    await condense(world)
    # Its cut-off lies inside what is one sum by now: A's part cannot be applied, nor what it leaves out be zeroed.
    await world.record(world.movement("hold", 40, "stock_adjusted", 2, lot="L"))
    await world.availability.record("acme", Report(parts=parts_of(world, "among", 25)))
    while await world.availability.parts.apply_next():
        pass
    assert await world.positions() == {"sellable": 14}
    assert await world.positions("B") == {"sellable": 5}
    kinds = [(event, kind, cause) for event, kind, cause, _ in await parked(world)]
    assert set(kinds) == {("among", "snapshot", "stock.too_late")}
    world.clock.ahead = timedelta(days=90)
    receipt = await world.availability.record("acme", Report(parts=parts_of(world, "old", 50)))
    assert [line.cause for line in receipt.others] == ["stock.too_late"] * 2
    assert await world.positions() == {"sellable": 14}
    assert {region.region: region.parked for region in await world.availability.regions("acme")} == {
        "na": len(kinds) + 2
    }


async def test_what_is_too_much_for_one_transaction_is_condensed_by_less(world, monkeypatch):
    await world.stock("A", 10)
    tried = []

    async def busy(store, tenant, lines, steps):
        tried.append((lines, steps))
        if len(tried) < 6:
            raise Unavailable("it took too long", code="store.contended")
        return await condense_next(store, tenant, lines, steps)

    monkeypatch.setattr("process_apis.availability.history.condense_next", busy)
    await begin(world.store, "acme", await world.store.fetchval("select clock_timestamp()"))
    await world.availability.history.turn("acme")
    assert tried == [(50, 1), (12, 1), (3, 1), (1, 1), (1, 4), (1, 16), (1, 16)]
    assert await world.store.fetchval("select sum(carried) from availability.movement") == 1
