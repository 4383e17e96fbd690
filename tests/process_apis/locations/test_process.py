from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from gateway.canonical.capabilities import Report
from gateway.canonical.events import Event, Position, Recorded
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import LocationCode
from gateway.canonical.shipping_times import CutOff, ShippingTimes
from gateway.canonical.stock import MovementType, OrderKey, ReportedMovement
from gateway.kernel.errors import Conflict, CrossdockError, Invalid, NotFound, Rejected
from gateway.kernel.quantity import UnitConversion
from gateway.reference.survivorship import Ownership
from gateway.systems.directory import Directory
from process_apis.availability.process import Availability
from process_apis.availability.subscriptions import subscriptions
from process_apis.items.process import Items
from process_apis.locations.models import Change

from .conftest import DECLARED

pytestmark = pytest.mark.integration
SITE = {"holder": "wms_s", "region": "na", "time_zone": "UTC", "name": "South DC"}


def change(location="south", codes=None, *, whole=True, **attributes):
    made = None if codes is None else {
        source: tuple(LocationCode(location=location, source=source, code=code) for code in some)
        for source, some in codes.items()
    }  # fmt: skip
    return Change(location=location, attributes=attributes, codes=made, whole=whole)


def movement(number, code="S", at=None):
    return ReportedMovement(
        source="wms_s",
        event_id=f"e{number}",
        line=0,
        order_key=OrderKey(1, number),
        type=MovementType.STOCK_ADJUSTED,
        occurred_at=at or datetime.now(UTC),
        source_item="X-A",
        source_location=code,
        amount=Decimal(5),
        uom="EA",
    )


@pytest.fixture
async def stock(reference_store, clock, tenant, locations):
    items = Items(reference_store, clock)
    reported = [ReportedItem(source_code="X-A", sku="A", name="A", base_uom="EA")]
    await items.adopt(tenant, "wms_s", reported, correlation_id="c")
    return Availability(store=reference_store, cache=None, items=items, locations=locations.known, clock=clock)


async def test_what_is_declared_counts_and_declaring_it_again_or_in_many_workers_changes_nothing(
    locations, make_locations, reference_store, tenant
):
    assert list(locations.known.of(tenant)) == DECLARED
    others = [make_locations() for _ in range(4)]
    await asyncio.gather(*(each.declare(tenant, DECLARED) for each in others))
    events = "select count(*) from store.event where tenant = $1 and type = 'location.changed'"
    assert await reference_store.fetchval(events, tenant) == 1
    await others[0].declare(tenant, [replace(DECLARED[0], priority=7)])
    await locations.known.refresh(tenant)
    assert locations.known.priority(tenant, "north") == (7, "north")


async def test_a_person_outranks_the_settings_and_a_restart_undoes_nothing(locations, caller, tenant):
    await locations.state(caller, "steward", change("north", name="Albany"))
    await locations.state(caller, "wms_n", change("north", codes={"wms_n": ["N2"]}, whole=False))
    await locations.declare(tenant, DECLARED)
    found = (await locations.known.copy(tenant)).hierarchy.node("north")
    assert (found.name, found.holder) == ("Albany", "wms_n")
    assert locations.known.by_code(tenant, "wms_n", "N2") is not None
    assert locations.known.by_code(tenant, "wms_n", "N") is None
    (name,) = [each for each in await locations.provenance(tenant, "north") if each.attribute == "name"]
    assert (name.value, name.source) == ("Albany", "steward")
    assert [(each.source, each.value) for each in name.others] == [("settings", "North DC")]
    await locations.state(caller, "steward", change("north"))
    assert (await locations.node(tenant, "north")).name == "North DC"


async def test_region_and_time_zone_come_from_above(locations, caller, tenant):
    await locations.add(caller, "steward", change("acme", kind="company", time_zone="UTC"))
    await locations.add(caller, "steward", change("emea", kind="region", parent="acme", time_zone="Europe/Berlin"))
    await locations.add(caller, "steward", change("de", kind="zone", parent="emea", region=None))
    made = await locations.add(caller, "steward", change("ber", parent="de", holder="wms_s"))
    assert (made.region, made.time_zone, made.above) == ("emea", "Europe/Berlin", ("de", "emea", "acme"))
    assert [each.location for each in await locations.page(tenant, after=None, limit=9, below="acme")] == [
        *("ber", "de", "emea")
    ]
    with pytest.raises(Invalid, match="ber, which belongs to it") as refused:
        await locations.state(caller, "steward", change("de", kind="zone"))
    assert refused.value.code == "location.incomplete"
    assert (await locations.node(tenant, "ber")).region == "emea", "what is refused changes nothing"


async def test_when_goods_leave_is_said_once_for_all_places_below_and_otherwise_where_one_differs(
    locations, caller, tenant
):
    said = {"cut_offs": [{"at": "15:00"}], "holidays": ["2026-12-25"]}
    await locations.add(caller, "steward", change("acme", kind="company", time_zone="UTC", shipping=said))
    await locations.add(caller, "steward", change(**SITE, parent="acme"))
    known = locations.known
    await known.refresh(tenant)
    assert known.by_id(tenant, "south").shipping == ShippingTimes(
        cut_offs=(CutOff(at="15:00"),), holidays=(date(2026, 12, 25),)
    )
    assert known.by_id(tenant, "north").shipping is None
    assert known.ships_by_times(tenant)
    await locations.state(caller, "steward", change(**SITE, parent="acme", shipping={"handling_days": 1}))
    await known.refresh(tenant)
    assert known.by_id(tenant, "south").shipping == ShippingTimes(handling_days=1)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"parent": "moon"}, "location.parent_unknown"),
        ({"parent": "north"}, "location.parent_kind"),
        ({"parent": "south"}, "location.parent_kind"),
        ({"time_zone": "Mars/Base"}, "location.time_zone"),
        ({"holder": "wms_x"}, "location.system_unknown"),
        ({"poster_to": "erp_x"}, "location.system_unknown"),
        ({"region": None}, "location.incomplete"),
        ({"shipping": {"cut_offs": [{"at": "25:00"}]}}, "location.shipping"),
    ],
)
async def test_what_cannot_hold_is_refused_with_what_to_do(locations, caller, tenant, said, code):
    with pytest.raises(Invalid) as refused:
        await locations.add(caller, "steward", change(**{**SITE, **said}))
    assert refused.value.code == code
    with pytest.raises(NotFound):
        await locations.node(tenant, "south")


async def test_a_location_added_while_all_runs_is_known_to_another_worker_without_being_told(
    locations, make_locations, caller, tenant
):
    other = make_locations()
    directory = Directory([], other.known, tenant=tenant)
    async with other.following(tenant, DECLARED):
        await locations.add(caller, "steward", change(codes={"wms_s": ["S"]}, **SITE))
        for _ in range(600):
            if directory.held_by("wms_s"):
                break
            await asyncio.sleep(0.05)
    assert [each.location for each in directory.held_by("wms_s")] == ["south"]
    with pytest.raises(Conflict) as refused:
        await other.add(caller, "steward", change(**SITE))
    assert refused.value.code == "location.exists"


async def test_a_code_that_is_added_lets_in_what_was_parked_for_it(locations, stock, caller, tenant):
    receipt = await stock.record(tenant, Report(movements=(movement(1),)))
    assert [line.cause for line in receipt.others] == ["stock.location_unknown"]
    await locations.add(caller, "steward", change(codes={"wms_s": ["S"]}, **SITE))
    assert (await stock.unpark(tenant)).recorded == 1
    assert await stock.parked(tenant, before=None, limit=9) == []


async def test_a_location_that_changes_lets_in_what_waits_for_it_and_looks_at_nothing_else(
    locations, stock, caller, reference_store, tenant, monkeypatch
):
    waiting = (movement(1), movement(2, code="no such"), movement(3, code="nor such"))
    assert len((await stock.record(tenant, Report(movements=waiting))).others) == 3
    await locations.add(caller, "steward", change(codes={"wms_s": ["S"]}, **SITE))
    looked = []
    known = locations.known.by_code
    monkeypatch.setattr(locations.known, "by_code", lambda *asked: looked.append(asked[2]) or known(*asked))
    mending = next(each for each in subscriptions(stock) if each.name == "availability.mending")
    query = "select aggregate, data from store.event where tenant = $1 and type = 'location.changed' order by id"
    for row in await reference_store.fetch(query, tenant):
        event = Event(
            tenant=tenant, type="location.changed", aggregate=row["aggregate"], aggregate_version=1,
            occurred_at=datetime.now(UTC), data=json.loads(row["data"]), correlation_id="c",
        )  # fmt: skip
        await mending.handler(None, Recorded(position=Position(1, 1, 1), recorded_at=event.occurred_at, event=event))
    assert set(looked) == {"S"}
    assert {row["event_id"] for row in await stock.parked(tenant, before=None, limit=9)} == {"e2", "e3"}


async def test_what_is_parked_after_its_code_was_told_of_is_tried_again_by_its_own_event(
    locations, stock, caller, reference_store, tenant, monkeypatch
):
    """The code is added, and what waited let in, while a movement is between its mapping and its commit."""
    with monkeypatch.context() as held:
        held.setattr(locations.known, "by_code", lambda *_: None)
        receipt = await stock.record(tenant, Report(movements=(movement(1), movement(2, code="no such"))))
    assert len(receipt.others) == 2
    await locations.add(caller, "steward", change(codes={"wms_s": ["S"]}, **SITE))
    mending = next(each for each in subscriptions(stock) if each.name == "availability.mending")
    events = "select aggregate from store.event where tenant = $1 and type = 'stock.movement_parked' order by id"
    for row in await reference_store.fetch(events, tenant):
        event = Event(
            tenant=tenant,
            type="stock.movement_parked",
            aggregate=row["aggregate"],
            aggregate_version=1,
            occurred_at=datetime.now(UTC),
            data={},
            correlation_id="c",
        )
        recorded = Recorded(position=Position(1, 1, 1), recorded_at=event.occurred_at, event=event)
        for _ in range(2):
            await mending.handler(None, recorded)
    waiting = await stock.parked(tenant, before=None, limit=9)
    assert [row["event_id"] for row in waiting] == ["e2"]


async def test_a_worker_that_has_not_heard_of_a_location_asks_the_record_before_it_parks(
    locations, make_locations, stock, caller, tenant
):
    await make_locations().add(caller, "steward", change(codes={"wms_s": ["S"]}, **SITE))
    assert locations.known.by_code(tenant, "wms_s", "S") is None
    assert (await stock.record(tenant, Report(movements=(movement(1),)))).recorded == 1


async def test_a_code_means_one_location_at_a_time_and_may_change_hands(locations, stock, caller, clock, tenant):
    await locations.add(caller, "steward", change(codes={"wms_s": ["S"]}, **SITE))
    await locations.add(caller, "steward", change("east", **{**SITE, "name": "East"}))
    with pytest.raises(Invalid) as refused:
        await locations.state(caller, "wms_s", change("east", codes={"wms_s": ["S"]}, whole=False))
    assert refused.value.code == "location.code_taken"
    handed_over = clock.now() + timedelta(hours=1)
    before = LocationCode(location="south", source="wms_s", code="S", valid_until=handed_over)
    after = LocationCode(location="east", source="wms_s", code="S", valid_from=handed_over)
    for each in (before, after):
        await locations.state(caller, "wms_s", Change(location=each.location, attributes={}, codes={"wms_s": (each,)}))
    report = Report(movements=(movement(1), movement(2, at=handed_over)))
    assert [line.outcome for line in (await stock.record(tenant, report)).others] == []
    places = await stock._store.fetch(
        "select location from availability.movement where tenant = $1 order by event_id", tenant
    )
    assert [row["location"] for row in places] == ["south", "east"]
    assert [each.location for each in await locations.by_code(tenant, "wms_s", "S")] == ["south"]
    clock.ahead = timedelta(hours=2)
    await locations.known.refresh(tenant)
    assert locations.known.by_code(tenant, "wms_s", "S").location == "east"


async def test_a_movement_told_late_is_counted_by_the_factor_that_held_when_it_happened(
    locations, stock, reference_store, caller, clock, tenant
):
    await locations.add(caller, "steward", change(codes={"wms_s": ["S"]}, **SITE))
    items = Items(reference_store, clock)
    for factor in (12, 10):
        packs = (UnitConversion("CS", Decimal(factor)),)
        reported = [ReportedItem(source_code="X-A", sku="A", name="A", base_uom="EA", packs=packs)]
        await items.adopt(tenant, "wms_s", reported, correlation_id="c")
    edges = "select max(effective_from) from items.pack where tenant = $1 and effective_from < 'infinity'"
    changed = await reference_store.fetchval(edges, tenant)
    told = [replace(movement(1, at=changed - timedelta(hours=1)), uom="CS"), replace(movement(2, at=changed), uom="CS")]
    stock = Availability(store=reference_store, cache=None, items=items, locations=locations.known, clock=clock)
    assert (await stock.record(tenant, Report(movements=tuple(told)))).recorded == 2
    rows = await reference_store.fetch(
        "select amount, factor from availability.movement where tenant = $1 order by event_id", tenant
    )
    assert [(row["amount"], row["factor"]) for row in rows] == [(60, 12), (50, 10)]


async def test_codes_claimed_at_once_for_two_locations_go_to_one(locations, make_locations, caller, tenant):
    for name in ("east", "west"):
        await locations.add(caller, "steward", change(name, **SITE))

    async def claim(name):
        with suppress(CrossdockError):
            await make_locations().state(caller, "wms_s", change(name, codes={"wms_s": ["S"]}, whole=False))
            return name

    won = [each for each in await asyncio.gather(*map(claim, ["east", "west"] * 3)) if each]
    found = await locations.by_code(tenant, "wms_s", "S")
    assert {each.location for each in found} == set(won)
    assert len(found) == 1


async def test_ownership_is_versioned_and_what_counts_follows_it(locations, caller, reference_store, tenant):
    await locations.state(caller, "pim", change("north", name="From the PIM"))
    assert (await locations.node(tenant, "north")).name == "From the PIM"
    owners = {"name": Ownership(publishes=("settings", "pim"), validates=("wms_n",), consumes=("storefront",))}
    made = await locations.change_ownership(caller, owners, expected=1, note="the list is in git")
    assert (made.version, (await locations.ownership(tenant)).attributes["name"]) == (2, owners["name"])
    assert (await locations.node(tenant, "north")).name == "North DC"
    again = await locations.change_ownership(caller, owners, expected=1, note="said twice")
    assert again.version == 2
    with pytest.raises(Conflict) as stale:
        await locations.change_ownership(caller, {"name": Ownership()}, expected=1, note="")
    assert stale.value.code == "precondition.failed"
    for wrong in (
        {"colour": Ownership()},
        {"name": Ownership(publishes=("*", "*"))},
        {"name": Ownership(publishes=())},
    ):
        with pytest.raises(Rejected):
            await locations.change_ownership(caller, wrong, expected=2, note="")
    audit = "select action from store.audit where tenant = $1 order by id"
    rows = await reference_store.fetch(audit, tenant)
    assert [row["action"] for row in rows] == ["location.changed", "reference.ownership_changed"]


async def test_tenants_see_their_own_locations_only(locations, tenant):
    with pytest.raises(NotFound):
        await locations.node("somebody-else", "north")
    assert await locations.page("somebody-else", after=None, limit=9) == []
    assert locations.known.by_code("somebody-else", "wms_n", "N") is None
