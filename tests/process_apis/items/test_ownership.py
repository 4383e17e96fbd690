from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from gateway.canonical.capabilities import Report
from gateway.canonical.events import Event, Position, Recorded
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import MovementType, OrderKey, ReportedMovement
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, CrossdockError, Invalid, NotFound
from gateway.kernel.quantity import UnitConversion
from gateway.reference.survivorship import Ownership
from process_apis.availability.process import Availability
from process_apis.availability.subscriptions import subscriptions
from process_apis.items.models import Change
from process_apis.items.process import Items

pytestmark = pytest.mark.integration
PIM = {"name": Ownership(publishes=("pim", "*")), "packs": Ownership(publishes=("pim",), enriches=("erp",))}
EVENTS = "select count(*) from store.event where tenant = $1 and type = 'item.changed'"


def reported(code, sku, name, **packs):
    found = tuple(UnitConversion(uom, Decimal(factor)) for uom, factor in packs.items())
    return ReportedItem(source_code=code, sku=sku, name=name, base_uom="EA", packs=found)


@pytest.fixture
def items(reference_store):
    return Items(reference_store, SystemClock())


async def test_a_pim_owns_the_description_from_the_moment_that_somebody_says_so(items, caller, reference_store, tenant):
    await items.adopt(tenant, "erp", [reported("1", "A", "of the ERP", CS=12, PX=480)], correlation_id="c")
    await items.adopt(tenant, "pim", [reported("P1", "A", "of the PIM", CS=10)], correlation_id="c")
    item = (await items.by_sku(tenant, ["A"]))["A"]
    assert (item.name, item.factor("CS").factor) == ("of the ERP", 12)
    made = await items.change_ownership(caller, PIM, expected=1, note="the PIM is in use")
    item = await items.get(tenant, item.item)
    assert (item.name, item.factor("CS").factor, item.factor("PX").factor) == ("of the PIM", 10, 480)
    told = {each.attribute: each for each in await items.provenance(tenant, item.item)}
    assert (told["name"].source, told["pack:CS"].source, told["pack:PX"].source) == ("pim", "pim", "erp")
    assert [(each.source, each.value) for each in told["name"].others] == [("erp", "of the ERP")]
    events = await reference_store.fetchval(EVENTS, tenant)
    assert await items.change_ownership(caller, PIM, expected=1, note="again") == made
    assert await reference_store.fetchval(EVENTS, tenant) == events
    audit = "select count(*) from store.audit where tenant = $1 and action = 'reference.ownership_changed'"
    assert await reference_store.fetchval(audit, tenant) == 1
    with pytest.raises(Conflict):
        await items.change_ownership(caller, {"name": Ownership()}, expected=1, note="has not seen it")


async def test_what_people_say_of_an_item_is_kept_beside_what_systems_say_and_audited(items, caller, tenant):
    added = await items.add(
        caller,
        "steward",
        Change(
            record="B", sku="B", attributes={"name": "Nut", "base_uom": "EA"}, codes=(("wms_n", "W-2"),), whole=True
        ),
    )
    assert (await items.by_source(tenant, "wms_n", ["W-2"]))["W-2"] == added
    with pytest.raises(Conflict) as refused:
        await items.add(caller, "pim", Change(record="B", sku="B", attributes={"name": "Nut", "base_uom": "EA"}))
    assert refused.value.code == "item.exists"
    changed = await items.state(caller, "steward", added.item, {"name": "Nut M8", "item_group": "fasteners"})
    assert (changed.name, changed.group, changed.base_uom) == ("Nut M8", "fasteners", "EA")
    with pytest.raises(Invalid) as unfit:
        await items.state(caller, "steward", added.item, {"pack:KG": "2"})
    assert unfit.value.code == "item.unit_unknown"
    await items.add_code(caller, "gtin", added.item, "04006381333931")
    assert ("gtin", "04006381333931") in await items.codes(tenant, added.item)
    with pytest.raises(NotFound):
        await items.state(caller, "steward", "itm_none", {"name": "x"})


async def test_an_ownership_that_gives_two_items_one_sku_changes_nothing(items, caller, tenant):
    await items.adopt(tenant, "erp", [reported("1", "A", "a"), reported("2", "B", "b")], correlation_id="c")
    item = (await items.by_sku(tenant, ["A"]))["A"].item
    await items.state(caller, "pim", item, {"sku": "B"})
    with pytest.raises(Conflict) as refused:
        await items.change_ownership(caller, {"sku": Ownership(publishes=("pim", "*"))}, expected=1, note="")
    assert refused.value.code == "item.sku_taken"
    assert (await items.ownership(tenant)).version == 1


async def test_what_counts_is_the_same_after_changes_and_ownerships_at_once(items, caller, reference_store, tenant):
    await items.adopt(tenant, "erp", [reported(str(n), f"S{n}", "erp", CS=2) for n in range(4)], correlation_id="c")
    others = [Items(reference_store, SystemClock()) for _ in range(4)]

    async def change(worker, turn):
        names = [reported(f"P{n}", f"S{n}", f"pim {turn}", CS=turn + 3) for n in range(4)]
        with suppress(CrossdockError):  # a version that somebody else changed meanwhile
            if turn % 2:
                owners = PIM if turn % 4 == 1 else {"name": Ownership(), "packs": Ownership()}
                seen = (await worker.ownership(tenant)).version
                await worker.change_ownership(caller, owners, expected=seen, note=str(turn))
            await worker.adopt(tenant, "pim", names, correlation_id="c")

    await asyncio.gather(*(change(others[turn % 4], turn) for turn in range(8)))
    await items.refresh(tenant)
    for item in (await items.by_sku(tenant, [f"S{n}" for n in range(4)])).values():
        told = {each.attribute: each.value for each in await items.provenance(tenant, item.item)}
        assert (item.name, str(item.factor("CS").factor)) == (told["name"], told["pack:CS"])


def movement(event, code, uom="EA"):
    return ReportedMovement(
        source="wms_n", event_id=event, line=0, type=MovementType.STOCK_ADJUSTED, order_key=OrderKey(0, int(event[1:])),
        occurred_at=datetime.now(UTC), source_item=code, source_location="N", amount=Decimal(1), uom=uom,
    )  # fmt: skip


async def mended(stock, store, tenant, already):
    """Deliver what was told of items since `already` events, as the log's consumer does."""
    mending = next(each for each in subscriptions(stock) if each.name == "availability.mending")
    query = "select aggregate, data from store.event where tenant = $1 and type = 'item.changed' order by id offset $2"
    for row in await store.fetch(query, tenant, already):
        event = Event(
            tenant=tenant, type="item.changed", aggregate=row["aggregate"], aggregate_version=1,
            occurred_at=datetime.now(UTC), data=msgspec.json.decode(row["data"]), correlation_id="c",
        )  # fmt: skip
        await mending.handler(None, Recorded(position=Position(1, 1, 1), recorded_at=event.occurred_at, event=event))


async def test_an_item_that_changes_lets_in_what_waits_for_it_and_looks_at_nothing_else(
    items, reference_store, tenant, monkeypatch
):
    north = Location(location="north", name="N", region="na", time_zone="UTC", holder="wms_n", codes={"wms_n": "N"})
    places = LocationMap({tenant: [north]})
    stock = Availability(store=reference_store, cache=None, items=items, locations=places, clock=SystemClock())
    await items.adopt(tenant, "erp", [reported("1", "A", "a"), reported("2", "B", "b")], correlation_id="c")
    await items.cross_reference(tenant, "wms_n", {"W-1": "A"}, correlation_id="c")
    waiting = (movement("e1", "W-1", "CS"), movement("e2", "W-2"), movement("e3", "W-3"))
    assert len((await stock.record(tenant, Report(movements=waiting))).others) == 3
    looked: list[str] = []
    resolve = items.by_source

    async def by_source(of, source, codes):
        looked.extend(codes)
        return await resolve(of, source, codes)

    monkeypatch.setattr(items, "by_source", by_source)
    other = Items(
        reference_store, SystemClock()
    )  # the copy that `stock` maps by has not heard of what this one changes
    told = await reference_store.fetchval(EVENTS, tenant)
    await other.adopt(tenant, "erp", [reported("1", "A", "a", CS=12)], correlation_id="c")
    await mended(stock, reference_store, tenant, told)
    assert set(looked) == {"W-1"}
    assert {row["event_id"] for row in await stock.parked(tenant, before=None, limit=9)} == {"e2", "e3"}
    told = await reference_store.fetchval(EVENTS, tenant)
    await other.cross_reference(tenant, "wms_n", {"W-2": "B"}, correlation_id="c")
    await mended(stock, reference_store, tenant, told)
    assert {row["event_id"] for row in await stock.parked(tenant, before=None, limit=9)} == {"e3"}
