"""A dead source, its stand-by, and the way back: figures converge whatever arrives when."""

import os
import random
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import Confidence, ReportedMovement
from gateway.kernel.errors import Conflict, Invalid, NotFound
from process_apis.availability.freshness import Objective, SourceObjectives
from process_apis.availability.holding import Era, placed
from process_apis.availability.process import Availability
from process_apis.availability.translating import Translator

from .conftest import LOCATIONS, START

pytestmark = pytest.mark.integration
NORTH = Location(
    location="loc_n",
    name="North",
    region="na",
    time_zone="UTC",
    holder="wms_n",
    codes={"wms_n": "N", "erp": "WH-N"},
    stand_by="erp",
    stand_by_after_seconds=600,
)


@pytest.fixture
async def guarded(world):
    """North, held by its WMS, with the ERP's own feed as a stand-by."""
    world.availability = Availability(
        store=world.store,
        cache=None,
        items=world.items,
        locations=LocationMap({"acme": [NORTH, LOCATIONS[1]]}),
        clock=world.clock,
        freshness={"erp": SourceObjectives(stock=Objective(drift_share=1))},
    )
    return world


async def switch(world, to="erp"):
    return await world.availability.switch_holder(
        "acme", "loc_n", to=to, actor="ops", reason="the 3PL's system is down", correlation_id="req_1"
    )


def at(world, report, seconds):
    """The same report, about a moment so many seconds from now."""
    moment = world.clock.now() + timedelta(seconds=seconds)
    name = "occurred_at" if isinstance(report, ReportedMovement) else "taken_at"
    return msgspec.structs.replace(report, **{name: moment})


def wms(world, number, amount, seconds=-60, kind="stock_adjusted", **more):
    return at(world, world.movement(f"w{number}", number, kind, amount, **more), seconds)


def erp(world, number, amount, seconds=60, kind="stock_adjusted", **more):
    return at(world, world.movement(f"e{number}", number, kind, amount, source="erp", **more), seconds)


async def sellable(world):
    return (await world.positions()).get("sellable", Decimal(0))


async def test_after_a_switch_the_stand_by_counts_from_its_first_snapshot(guarded):
    await guarded.record(wms(guarded, 1, 100))
    await guarded.record(erp(guarded, 900, 7, -60))  # told while it held nothing
    assert await sellable(guarded) == 100
    await switch(guarded)
    assert await sellable(guarded) == 100  # what stood stands
    await guarded.record(wms(guarded, 2, -5, -30))  # late: of the time when it held
    await guarded.record(wms(guarded, 3, -9, +30))  # it is not as dead as was thought: kept, and moves nothing
    assert await sellable(guarded) == 100
    await guarded.record(at(guarded, guarded.snapshot("cut", 1_000, {"A": 80}, source="erp", full=True), 10))
    await guarded.record(erp(guarded, 1_001, -3), erp(guarded, 999, -50))
    assert await sellable(guarded) == 77
    assert await guarded.broken_invariants() == []
    told = [row["counts"] for row in await _told(guarded)]
    assert told.count(False) == 1


async def _told(world):
    return await world.store.fetch("select source, event_id, moves as counts from availability.movement")


async def test_a_late_pick_of_the_dead_source_consumes_its_claim_once_and_moves_no_goods(guarded):
    await guarded.record(wms(guarded, 1, 100))
    await guarded.claim("ord_1", ("A", 10))
    await guarded.allocate("ord_1")
    await switch(guarded)
    pick = wms(guarded, 2, 10, -30, "pick_confirmed", order="ord_1")
    await guarded.record(at(guarded, guarded.snapshot("cut", 50, {"A": 90}, source="erp", full=True), 10))
    for _ in range(3):
        await guarded.record(pick)
    figures = await guarded.figures()
    assert (figures["sellable"], figures["allocated"]) == (90, 0)
    assert await guarded.broken_invariants() == []


async def test_switching_back_needs_a_snapshot_too(guarded):
    await guarded.record(wms(guarded, 1, 100))
    await switch(guarded)
    await guarded.record(at(guarded, guarded.snapshot("cut", 5, {"A": 80}, source="erp", full=True), 1))
    guarded.clock.ahead += timedelta(hours=1)
    await switch(guarded, "wms_n")
    await guarded.record(erp(guarded, 6, -1, -30))
    assert await sellable(guarded) == 80
    # Its sequence goes on, far below what an era stands above.
    await guarded.record(at(guarded, guarded.snapshot("back", 9, {"A": 60}, full=True), 1))
    await guarded.record(wms(guarded, 10, 5, 60), wms(guarded, 8, -40, 60))
    assert await sellable(guarded) == 65
    assert await guarded.broken_invariants() == []


async def test_until_its_first_snapshot_a_stand_by_is_not_trusted_wholly(guarded):
    await guarded.record(wms(guarded, 1, 100))
    await guarded.record(erp(guarded, 1, 1, -60))
    await guarded.availability.heard("acme", "wms_s")
    await switch(guarded)
    [told] = await guarded.availability.availability("acme", channel="web", items=[guarded.id["A"]])
    assert (told.confidence, [(each.source, each.cause) for each in told.silent]) == (
        Confidence.DEGRADED,
        [("erp", "switched")],
    )
    await guarded.record(at(guarded, guarded.snapshot("cut", 5, {"A": 80}, source="erp", full=True), 1))
    guarded.clock.ahead += timedelta(seconds=3)
    [told] = await guarded.availability.availability("acme", channel="web", items=[guarded.id["A"]])
    assert (told.confidence, told.silent) == (Confidence.HIGH, ())


async def test_a_switch_is_told_audited_and_made_once(guarded):
    await switch(guarded)
    with pytest.raises(Conflict):
        await switch(guarded)
    [event] = await guarded.events("stock.holder_switched")
    assert (event["aggregate"], event["aggregate_version"]) == ("location/loc_n", 1)
    audited = await guarded.store.fetch("select actor, subject from store.audit where action = $1",
                                        "availability.holder_switched")  # fmt: skip
    assert [tuple(row) for row in audited] == [("ops", "location/loc_n")]


async def test_only_the_holder_and_its_stand_by_may_hold(guarded):
    with pytest.raises(Invalid):
        await switch(guarded, "wms_s")
    with pytest.raises(NotFound):
        await guarded.availability.switch_holder("acme", "loc_x", to="erp", actor="ops", reason="r", correlation_id="c")
    with pytest.raises(Invalid):
        await guarded.availability.switch_holder("acme", "loc_s", to="erp", actor="ops", reason="r", correlation_id="c")


async def test_a_declared_rule_switches_after_so_much_silence_and_only_to_who_speaks(guarded):
    await guarded.availability.heard("acme", "wms_n")
    assert await guarded.availability.stand_in("acme") == []
    guarded.clock.ahead += timedelta(seconds=601)
    assert await guarded.availability.stand_in("acme") == []  # nobody to stand in
    await guarded.availability.heard("acme", "erp")
    [made] = await guarded.availability.stand_in("acme")
    assert (made.location, made.holder, made.before) == ("loc_n", "erp", "wms_n")
    assert await guarded.availability.stand_in("acme") == []


moves = st.lists(st.integers(-20, 20).filter(bool), max_size=4)
TABLES = (
    "once", "parked", "movement", "position", "settlement", "full_snapshot", "full_cut", "figure", "snapshot",
    "stock_line", "holding",
)  # fmt: skip


@settings(
    max_examples=int(os.environ.get("SWITCH_EXAMPLES", "8")),
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(early=moves, late=moves, after=moves, zombie=moves, counted=st.integers(0, 4), seed=st.integers(0, 2**32))
async def test_any_order_ends_in_what_lies_there(guarded, early, late, after, zombie, counted, seed):
    """Both sources tell of the same goods. The WMS dies: some of its news comes late, some after it was given up."""
    world, chance = guarded, random.Random(seed)
    await world.store.execute(f"truncate store.event, {', '.join(f'availability.{name}' for name in TABLES)}")
    past = [*early, *late]
    by_wms = [wms(world, 10 + number, amount, -3_600) for number, amount in enumerate(past)]
    given_up = [wms(world, 100 + number, amount, +3_600) for number, amount in enumerate(zombie)]
    by_erp = [erp(world, 10 + number, amount, -3_600) for number, amount in enumerate(past)]
    by_erp += [erp(world, 50 + number, amount, +3_600) for number, amount in enumerate(after)]
    opening = at(world, world.snapshot("opening", 5, {"A": 100}, full=True), -7_200)
    known = Decimal(100 + sum(past) + sum(after[:counted]))
    cut = at(world, world.snapshot("cut", 50 + min(counted, len(after)) - 1, {"A": known}, source="erp", full=True), 0)

    first = [*by_wms[: len(early)], *by_erp[: chance.randint(0, len(past))]]
    chance.shuffle(first)
    await world.record(opening)
    await world.record(*first)
    await switch(world)
    rest = [*by_wms, *given_up, *by_erp, cut, opening]
    rest += chance.choices(rest, k=4)
    chance.shuffle(rest)
    for each in rest:
        await world.record(each)
    assert await sellable(world) == 100 + sum(past) + sum(after)
    assert await world.broken_invariants() == []


@pytest.mark.parametrize(
    ("source", "hours", "era", "order"),
    [
        ("wms_n", 0.5, 0, "ord_1"),
        ("wms_n", 1.5, 2, None),
        ("wms_n", 2.5, 2, "ord_1"),
        ("erp", 0.5, None, "ord_1"),
        ("erp", 1.5, 1, "ord_1"),
        ("erp", 2.5, None, "ord_1"),
    ],
)
async def test_an_event_counts_in_the_era_that_it_happened_in(guarded, source, hours, era, order):
    eras = [Era(0, "wms_n", START - timedelta(days=1))]
    eras += [Era(1, "erp", START + timedelta(hours=1)), Era(2, "wms_n", START + timedelta(hours=2))]
    told = guarded.movement("x", 7, "pick_confirmed", 1, source=source, order="ord_1")
    told = msgspec.structs.replace(told, occurred_at=START + timedelta(hours=hours))
    [each], _ = await Translator(guarded.items, LocationMap({"acme": [NORTH]})).movements("acme", [told])
    made = placed(each, eras)
    assert made.moves is (era is not None)
    if era is not None:
        assert made.reported.order_key.epoch == 1 + era * 2**54
        assert made.reported.order_reference == order
