"""Freight: offers before the ERP's order, a booking when the work is released, and a carrier that is down or dies."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import order_fakes as fakes
import pytest
from order_world import CALLER, PACE, World, ask

from experience_apis.storefront.v2.mapping import order_view
from gateway.canonical.freight import MilestoneKind, ReportedMilestone
from gateway.canonical.order import OrderState
from gateway.kernel.clock import SystemClock
from process_apis.order_to_ship.freight_options import FreightOptions, FreightRule
from process_apis.order_to_ship.models import TaskKind, TaskState
from process_apis.order_to_ship.process import Options, OrderToShip

pytestmark = pytest.mark.integration


def of(world, *, critical=False, **rule):
    """The same world under a freight rule for its channel."""
    options = Options(
        pace=PACE, call_timeout=30.0,
        freight=FreightOptions(rules=(FreightRule(carriers=("carrier_na",), channel="web", **rule),)),
        criticality={"carrier_na": "critical"} if critical else {},
    )  # fmt: skip
    process = OrderToShip(
        world.store, SystemClock(), items=fakes.Items(), claims=fakes.Claims(), systems=fakes.Systems(world.seams),
        options=options,
    )  # fmt: skip
    return World(world.url, world.store, world.seams, process)


async def placed(world, number="PO-1", **changes):
    await world.stock(100, "itm_1")
    return (await world.process.place_order(ask(number, **changes))).order.order_id


async def bookings(world, order):
    return await world.store.fetch("select * from fake.booking where reference like $1 || '%'", order)


async def steps(world, order):
    rows = await world.store.fetch("select name from fake.called where reference like $1 || '%' order by id", order)
    return [row["name"] for row in rows]


def booking_of(order):
    return order.of_kind(TaskKind.FREIGHT_BOOKING)[0]


async def test_offers_come_before_the_erp_and_the_booking_after_the_work_is_released(world):
    world = of(world)
    order_id = await placed(world)
    order = await world.drain(order_id)
    assert await steps(world, order_id) == ["quote_freight", "submit_order", "release_work", "book_freight"]
    [freight] = order.freight
    assert (freight.carrier, freight.service, freight.tracking) == ("carrier_na", "ECO", ("T1",))
    [booking] = await bookings(world, order_id)
    assert (booking["reference"], booking["grams"]) == (f"{order_id}/WH-N", 2000)
    assert await world.events(order_id) == ["accepted", "submitted", "released", "freight_booked"]
    await world.ship(order_id, 1, 2)
    assert (await world.drain(order_id)).state is OrderState.COMPLETED


async def test_goods_that_are_needed_soon_go_by_a_service_that_is_in_time(world):
    world = of(world)
    order = await world.drain(await placed(world, requested_date=date.today()))  # noqa: DTZ011 - any day that is too soon
    assert order.freight[0].service == "EXP"


async def test_orders_of_other_channels_ask_no_carrier(world):
    world = of(world)
    order_id = await placed(world, channel="edi")
    order = await world.drain(order_id)
    assert (order.freight, await steps(world, order_id)) == ((), ["submit_order", "release_work"])


async def test_a_carrier_that_is_down_stops_no_order_and_is_booked_when_it_is_back(world):
    world = of(world)
    order_id = await placed(world)
    await world.fault("quote_freight", "error", "error", reference=f"{order_id}/WH-N")
    await world.fault("book_freight", "error", "error", reference=f"{order_id}/WH-N")
    order = await world.drain(order_id)
    assert (order.state, order.task(TaskKind.FREIGHT_QUOTE, "WH-N@carrier_na").state) == (
        OrderState.RELEASED, TaskState.SKIPPED,
    )  # fmt: skip
    assert order.freight[0].service == "ECO", "chosen when it was booked"
    assert (await world.process.monitor("acme", order_id)).degraded == ("carrier_na",)


async def test_an_order_waits_for_a_critical_carrier(world):
    world = of(world, critical=True)
    order_id = await placed(world)
    await world.fault("quote_freight", *["error"] * 4)
    order = await world.drain(order_id)
    called = await steps(world, order_id)
    assert called == [*["quote_freight"] * 5, "submit_order", "release_work", "book_freight"]
    assert order.freight[0].service == "ECO"
    assert (await world.process.monitor("acme", order_id)).degraded == ()


async def test_what_costs_more_than_the_cap_is_booked_by_a_person_only(world):
    world = of(world, cap=Decimal("0.01"))
    order_id = await placed(world)
    order = await world.drain(order_id)
    assert (order.state, booking_of(order).state) == (OrderState.RELEASED, TaskState.SKIPPED)
    [found] = await world.process.list_exceptions("acme")
    assert (found.code, found.blocking) == ("freight.no_offer", False)
    assert await bookings(world, order_id) == []
    dearer = of(world)
    await dearer.process.retry_exception(CALLER, found.exception_id)
    assert booking_of(await dearer.drain(order_id)).state is TaskState.DONE


async def test_a_critical_carrier_above_the_cap_stops_the_order_until_a_person_decides(world):
    world = of(world, critical=True, cap=Decimal("0.01"))
    order_id = await placed(world)
    assert (await world.drain(order_id)).state is OrderState.EXCEPTION
    assert await steps(world, order_id) == ["quote_freight"]
    [found] = await world.process.list_exceptions("acme")
    dearer = of(world, critical=True)
    await dearer.process.retry_exception(CALLER, found.exception_id)
    assert (await dearer.drain(order_id)).state is OrderState.RELEASED


@pytest.mark.long
@pytest.mark.parametrize("fault", ["unknown", "unknown_after", "broken", "defect", "crash_before", "crash_after"])
async def test_goods_are_booked_once_whatever_became_of_the_answer(world, fault):
    world = of(world)
    order_id = await placed(world)
    await world.fault("book_freight", fault)
    order = await world.drain(order_id)
    assert booking_of(order).state is TaskState.DONE
    assert len(await bookings(world, order_id)) == 1
    called = await steps(world, order_id)
    assert called[4] == "find_booking", "looked up before it is repeated"
    assert called.count("book_freight") == (1 if fault.endswith("after") else 2)


@pytest.mark.long
@pytest.mark.parametrize("fault", [None, "unknown", "unknown_after", "error", "crash_before", "crash_after"])
async def test_a_cancelled_order_leaves_no_booking_behind(world, fault):
    world = of(world)
    order_id = await placed(world)
    await world.drain(order_id)
    if fault:
        await world.fault("cancel_booking", fault)
    await world.process.cancel_order(CALLER, order_id, reason="mistake")
    order = await world.drain(order_id)
    assert (order.state, booking_of(order).state) == (OrderState.CANCELLED, TaskState.ABSENT)
    assert [row["cancelled"] for row in await bookings(world, order_id)] == [True]
    called = await steps(world, order_id)
    assert called.index("cancel_work") < called.index("cancel_booking")


async def test_goods_that_the_carrier_has_already_keep_no_claim_and_are_a_persons_case(world):
    world = of(world)
    order_id = await placed(world)
    await world.drain(order_id)
    await world.store.execute("update fake.booking set collected = true")
    await world.process.cancel_order(CALLER, order_id, reason="mistake")
    order = await world.drain(order_id)
    assert (order.state, await world.available("itm_1")) == (OrderState.CANCELLED, 100)
    [found] = await world.process.list_exceptions("acme")
    assert (found.code, found.blocking, booking_of(order).state) == ("freight.collected", False, TaskState.SKIPPED)


# --- milestones -------------------------------------------------------------------------------------------------------


def milestone(order_id, event, kind, *, hours=0, location="WH-N", source="carrier_na"):
    at = datetime(2026, 11, 23, 9, tzinfo=UTC) + timedelta(hours=hours)
    return ReportedMilestone(
        source=source, event_id=event, reference=f"{order_id}/{location}", tracking="T1", kind=kind, occurred_at=at,
    )  # fmt: skip


async def test_milestones_count_once_in_the_order_in_which_they_happened_and_after_the_orders_end(world):
    world = of(world)
    order_id = await placed(world)
    await world.drain(order_id)
    await world.ship(order_id, 1, 2)
    assert (await world.drain(order_id)).state is OrderState.COMPLETED
    told = [
        milestone(order_id, "e2", MilestoneKind.DELIVERED, hours=5),
        milestone(order_id, "e1", MilestoneKind.COLLECTED),
    ]
    for batch in (told[:1], told, told):
        await world.process.milestones.record_milestones("acme", batch)
    order = await world.process.get_order("acme", order_id)
    assert [each.kind for each in order.freight[0].milestones] == [MilestoneKind.COLLECTED, MilestoneKind.DELIVERED]
    assert (await world.events(order_id)).count("milestone_reached") == 2
    [shipment] = order_view(order).shipments
    assert (shipment.tracking.service, shipment.tracking.numbers) == ("ECO", list(order.freight[0].tracking))
    assert (shipment.tracking.milestone, shipment.tracking.reached_at) == ("delivered", "2026-11-23T14:00:00Z")


async def test_what_could_not_be_delivered_is_shown_until_it_was(world):
    world = of(world)
    order_id = await placed(world)
    await world.drain(order_id)
    failed = milestone(order_id, "e1", MilestoneKind.FAILED)
    await world.process.milestones.record_milestones("acme", [failed])
    [found] = await world.process.list_exceptions("acme")
    assert (found.code, found.blocking) == ("freight.failed", False)
    await world.process.milestones.record_milestones("acme", [milestone(order_id, "e2", MilestoneKind.DELIVERED)])
    assert await world.process.list_exceptions("acme") == []


async def test_milestones_of_strangers_and_of_other_tenants_change_nothing(world):
    world = of(world)
    order_id = await placed(world)
    order = await world.drain(order_id)
    kind = MilestoneKind.DELIVERED
    strange = [
        milestone("ord_none", "e1", kind),
        milestone(order_id, "e2", kind, location="WH-W"),
        milestone(order_id, "e3", kind, source="carrier_eu"),
    ]
    await world.process.milestones.record_milestones("acme", strange)
    await world.process.milestones.record_milestones("elsewhere", [milestone(order_id, "e4", kind)])
    assert await world.process.get_order("acme", order_id) == order
