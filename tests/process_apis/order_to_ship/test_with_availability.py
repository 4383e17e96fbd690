"""Orders with the real availability and items, the real log and DBOS: only the other systems are stand-ins."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import order_fakes as fakes
import pytest
from order_world import CALLER, PACE, ask

from gateway.backbone.backbone import Backbone
from gateway.canonical.capabilities import Report
from gateway.canonical.item import ReportedItem
from gateway.canonical.kit import Component
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.order import OrderState
from gateway.canonical.stock import Bucket, MovementType, OrderKey, ReportedMovement, ReportedSupply, SupplyKind
from gateway.durable.runtime import Durable
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict
from gateway.kernel.money import Money
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from process_apis.availability.process import Availability
from process_apis.items.kits import Kits
from process_apis.items.process import Items
from process_apis.order_to_ship.process import Options, OrderToShip
from process_apis.order_to_ship.subscriptions import subscriptions

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]
COMPONENTS = (
    "gateway/store",
    "gateway/durable",
    "gateway/reference",
    "process_apis/order_to_ship",
    "process_apis/items",
    "process_apis/availability",
)
LOCATIONS = [
    Location(location=name, name=name, region="na", time_zone="UTC", holder=holder, codes={holder: name}, priority=rank)
    for rank, (name, holder) in enumerate([("WH-N", "wms_n"), ("WH-W", "wms_w")], 1)
]


class Shop:
    """A whole deployment in one process."""

    def __init__(self, url):
        clock = SystemClock()
        self.store = Store(url, size=24)
        self.seams = fakes.Seams(url)
        self.items = Items(self.store, clock)
        self.kits = Kits(self.store, clock, self.items)
        self.availability = Availability(
            store=self.store, cache=None, items=self.items, kits=self.kits, locations=LocationMap({"acme": LOCATIONS}),
            clock=clock,
        )  # fmt: skip
        self.orders = OrderToShip(
            self.store, clock, items=self.items, claims=self.availability, systems=fakes.Systems(self.seams),
            options=Options(pace=PACE, call_timeout=30, poll=0.05), committed=["mart"], dated=["web-dated"],
            cancel_after={"web-dated": timedelta(days=30)},
        )  # fmt: skip
        self._sequence = 0

    async def reported(self, kind, amount, *, location="WH-N", order=None, line=None, item="X-1", **more):
        self._sequence += 1
        movement = ReportedMovement(
            source={"WH-N": "wms_n", "WH-W": "wms_w"}[location], line=0,
            event_id=more.pop("event_id", f"e{self._sequence}"),
            order_key=OrderKey(1, self._sequence), type=MovementType(kind), occurred_at=datetime.now(UTC),
            source_item=item, source_location=location, amount=Decimal(amount), uom="EA", order_reference=order,
            order_line=line, **more,
        )  # fmt: skip
        await self.availability.record("acme", Report(movements=(movement,)))

    async def promised(self):
        row = await self.store.fetchrow(
            "select sum(sellable) as sellable, sum(reserved) as reserved, sum(allocated) as allocated"
            " from availability.stock_line"
        )
        return tuple(row)

    async def becomes(self, order_id, *states):
        for _ in range(1_200):
            order = await self.orders.get_order("acme", order_id)
            if order.state in states:
                return order
            await asyncio.sleep(0.05)
        return pytest.fail(f"{order_id} is {order.state}: {await self.orders.monitor('acme', order_id)}")


@asynccontextmanager
async def opened(database, nats_url):
    await migrate(database, find_migrations([ROOT / name / "migrations" for name in COMPONENTS]))
    shop = Shop(database)
    await shop.store.open()
    await shop.seams.open()
    stop = asyncio.Event()
    carrying = None
    durable = Durable(database, workflows=shop.orders.workflows(), queues=shop.orders.queues(), on_lost=print)
    try:
        article = ReportedItem(
            source_code="X-1", sku="SKU-1", name="One", base_uom="EA", list_price=Money(Decimal("2.50"), "USD")
        )
        for source in ("erp_na", "wms_n", "wms_w"):
            await shop.items.adopt("acme", source, [article], correlation_id="setup")
        await shop.reported("receipt_posted", 8)
        await shop.reported("put_away", 8)
        await shop.reported("receipt_posted", 3, location="WH-W")
        await shop.reported("put_away", 3, location="WH-W")
        await durable.start()
        backbone = Backbone(shop.store, nats_url, SystemClock())
        carrying = asyncio.create_task(backbone.run(subscriptions(shop.orders), stop))
        yield shop
    finally:
        stop.set()
        if carrying is not None:
            await asyncio.wait_for(carrying, 60)
        await durable.stop(drain=0)
        await shop.seams.close()
        await shop.store.close()


async def test_an_order_from_promise_to_completion_with_stock_that_adds_up(orders_database, nats_url):
    async with opened(orders_database, nats_url) as shop:
        assert await shop.promised() == (11, 0, 0)
        order_id = (await shop.orders.place_order(ask("PO-1", ("SKU-1", "5")))).order.order_id
        await shop.becomes(order_id, OrderState.RELEASED)
        assert await shop.promised() == (11, 0, 5)
        with pytest.raises(Conflict) as refused:
            await shop.orders.place_order(ask("PO-2", ("SKU-1", "7")))
        assert refused.value.code == "stock.insufficient"
        await shop.reported("shipment_confirmed", 2, order=order_id, line=1)
        await shop.becomes(order_id, OrderState.PARTIALLY_SHIPPED)
        await shop.reported("shipment_confirmed", 3, order=order_id, line=1)
        await shop.becomes(order_id, OrderState.COMPLETED)
        assert await shop.promised() == (6, 0, 0)
        posted = await shop.store.fetch("select lines from fake.posting order by number")
        assert [row["lines"].split('"')[-2] for row in posted] == ["2", "3"]

        split = (await shop.orders.place_order(ask("PO-3", ("SKU-1", "6")))).order
        assert sorted((part.location, part.amount) for part in split.allocations) == [("WH-N", 3), ("WH-W", 3)]
        await shop.becomes(split.order_id, OrderState.RELEASED)
        works = await shop.store.fetch("select location from fake.work where reference = $1", split.order_id)
        assert sorted(row["location"] for row in works) == ["WH-N", "WH-W"]
        await shop.orders.cancel_order(CALLER, split.order_id, reason="mistake")
        await shop.becomes(split.order_id, OrderState.CANCELLED)
        assert await shop.promised() == (6, 0, 0)


@pytest.mark.long
async def test_a_kit_has_left_when_all_its_components_have_and_is_told_to_the_erp_as_itself(orders_database, nats_url):
    async with opened(orders_database, nats_url) as shop:
        price = Money(Decimal(9), "USD")
        made = [
            ReportedItem(source_code=f"X-{sku}", sku=sku, name=sku, base_uom="EA", list_price=price)
            for sku in ("KIT", "2")
        ]
        for source in ("erp_na", "wms_n"):
            await shop.items.adopt("acme", source, made, correlation_id="setup")
        known = await shop.items.by_sku("acme", ["KIT", "SKU-1", "2"])
        parts = [Component(known["SKU-1"].item, Decimal(2)), Component(known["2"].item, Decimal(1))]
        await shop.kits.change(CALLER, known["KIT"].item, parts, effective_from=None, note="")
        await shop.reported("stock_adjusted", 9, item="X-2", to_bucket=Bucket.SELLABLE)
        order = (await shop.orders.place_order(ask("PO-1", ("KIT", "3")))).order
        assert [(part.line, part.location, part.amount) for part in order.allocations] == [(1, "WH-N", 3)]
        await shop.becomes(order.order_id, OrderState.RELEASED)
        of = {"order": order.order_id, "line": 1}
        await shop.reported("shipment_confirmed", 5, **of)
        await shop.reported("shipment_confirmed", 2, **of, item="X-2", event_id="b")
        found = await seen(shop, order.order_id, lambda order: order.lines[0].shipped)
        assert (found.lines[0].shipped, found.lines[0].open) == (2, 1)
        # One of B was told by mistake: one kit fewer has left, and a person tells the ERP what it knows already.
        await shop.reported("shipment_confirmed", 1, **of, item="X-2", event_id="b", revision=1)
        found = await seen(shop, order.order_id, lambda order: order.lines[0].shipped == 1)
        await shop.reported("shipment_confirmed", 2, **of, item="X-2")
        await shop.reported("shipment_confirmed", 1, order=order.order_id)
        found = await seen(shop, order.order_id, lambda order: order.lines[0].shipped == 3)
        assert (found.lines[0].open, found.lines[0].over_shipped) == (0, 0)
        claims = await shop.availability.claims_of("acme", order.order_id)
        assert {row["state"] for row in claims} == {"fulfilled"}
        counted = "select sum(amount) from order_to_ship.shipment_line where item = $1"
        assert await shop.store.fetchval(counted, known["KIT"].item) == 3


async def seen(shop, order_id, fits):
    """The order once `fits` is true of it; availability decides what is short meanwhile."""
    for _ in range(1_200):
        await shop.availability.shortages.relieve()
        order = await shop.orders.get_order("acme", order_id)
        if fits(order):
            return order
        await asyncio.sleep(0.05)
    return pytest.fail(f"{order}")


async def test_what_a_count_takes_from_under_an_order_waits_moves_or_is_a_persons(orders_database, nats_url):
    async with opened(orders_database, nats_url) as shop:
        await shop.store.execute("insert into fake.customer (code, hold) values ('SLOW', true)")
        working = (await shop.orders.place_order(ask("PO-1", ("SKU-1", "4")))).order.order_id
        await shop.becomes(working, OrderState.RELEASED)
        held = (await shop.orders.place_order(ask("PO-2", ("SKU-1", "4"), sold_to="SLOW"))).order.order_id
        await shop.becomes(held, OrderState.HELD)
        await shop.reported("cycle_counted", 2)
        # Eight are promised in the north and two are there: four that nobody works on go west as far as that has them.
        order = await seen(shop, held, lambda order: order.lines[0].backordered)
        assert [(line.open, line.backordered) for line in order.lines] == [(3, 1)]
        assert {(part.location, part.amount) for part in order.allocations} == {("WH-N", 1), ("WH-W", 3)}
        assert [(each.code, each.blocking) for each in order.exceptions] == [("order.stock_short", False)]
        order = await seen(shop, working, lambda order: order.exceptions)
        assert [(each.code, each.blocking) for each in order.exceptions] == [("order.handed_short", False)]
        assert [(line.open, line.backordered) for line in order.lines] == [(4, 0)]

        await shop.orders.release_hold(CALLER, held, reason="paid by phone")
        order = await seen(shop, held, lambda order: order.approved_at and not order.hold_reason)
        assert order.allocated_at is None, "it waits for stock"
        await shop.reported("cycle_counted", 20)
        order = await seen(shop, held, lambda order: order.state is OrderState.RELEASED)
        assert (order.lines[0].open, order.lines[0].backordered, order.exceptions) == (4, 0, ())
        works = await shop.store.fetch("select location from fake.work where reference = $1", held)
        assert sorted(row["location"] for row in works) == ["WH-N", "WH-W"]
        await seen(shop, working, lambda order: not order.exceptions)
        assert await shop.promised() == (23, 0, 8)


async def test_a_marketplace_is_never_refused_for_stock_and_what_lacks_goes_on_by_itself(orders_database, nats_url):
    async with opened(orders_database, nats_url) as shop:
        taken = (await shop.orders.place_order(ask("PO-1", ("SKU-1", "4")))).order.order_id
        await shop.becomes(taken, OrderState.RELEASED)
        placed = (await shop.orders.place_order(ask("M-1", ("SKU-1", "12"), channel="mart"))).order
        assert [(line.open, line.backordered, line.oversold) for line in placed.lines] == [(7, 5, 5)]
        assert [(each.code, each.blocking) for each in placed.exceptions] == [("order.stock_short", False)]
        nothing = (await shop.orders.place_order(ask("M-2", ("SKU-1", "1"), channel="mart"))).order
        assert (nothing.state, nothing.lines[0].open) == (OrderState.BACKORDERED, 0)
        again = await shop.orders.place_order(ask("M-1", ("SKU-1", "12"), channel="mart"))
        assert (again.created, again.order.order_id, again.order.lines) == (False, placed.order_id, placed.lines)
        with pytest.raises(Conflict, match="not enough stock"):
            await shop.orders.place_order(ask("PO-2", ("SKU-1", "1")))
        [figure] = await shop.orders.oversold("acme")
        assert (figure["channel"], figure["units"], figure["orders"], figure["waiting"]) == ("mart", 6, 2, 6)
        told = await shop.store.fetch("select data from store.event where type = 'channel.oversold' order by id")
        assert [json.loads(row["data"])["lines"][0]["promised"] for row in told] == ["7", "0"]

        await shop.orders.cancel_order(CALLER, nothing.order_id, reason="bought elsewhere")
        await shop.becomes(nothing.order_id, OrderState.CANCELLED)
        await shop.orders.cancel_order(CALLER, taken, reason="mistake")
        await shop.becomes(taken, OrderState.CANCELLED)
        while await shop.availability.backorders.attend_starved("acme"):
            pass
        order = await seen(shop, placed.order_id, lambda order: order.lines[0].backordered == 1)
        assert await shop.promised() == (11, 7, 4), "what others gave back is for whoever waits"
        with pytest.raises(Conflict, match="not enough stock"):
            await shop.orders.place_order(ask("PO-3", ("SKU-1", "1")))
        await shop.reported("receipt_posted", 2)
        await shop.reported("put_away", 2)
        order = await seen(shop, placed.order_id, lambda order: order.state is OrderState.RELEASED)
        assert (order.lines[0].open, order.lines[0].backordered, order.exceptions) == (12, 0, ())
        works = await shop.store.fetch("select location, lines from fake.work where reference = $1", placed.order_id)
        assert len(works) == 2
        assert await shop.promised() == (13, 0, 12)
        [figure] = await shop.orders.oversold("acme")
        assert (figure["units"], figure["waiting"]) == (6, 0)
        left = (await shop.orders.place_order(ask("PO-4", ("SKU-1", "1")))).order
        assert left.lines[0].open == 1


async def supplied(shop, amount, on, *, version):
    supply = ReportedSupply(
        source="wms_n", document="PO-77", line=1, order_key=OrderKey(1, version), kind=SupplyKind.PURCHASE,
        source_item="X-1", source_location="WH-N", ordered=Decimal(amount), uom="EA", requested=on,
    )  # fmt: skip
    receipt = await shop.availability.record("acme", Report(supply=(supply,)))
    assert not receipt.others, receipt


async def test_what_known_supply_covers_is_accepted_with_its_date_which_moves_and_is_given_up_in_the_end(
    orders_database, nats_url
):
    async with opened(orders_database, nats_url) as shop:
        with pytest.raises(Conflict, match="nor supply on its way"):
            await shop.orders.place_order(ask("D-0", ("SKU-1", "13"), channel="web-dated"))
        first, later = (datetime.now(UTC).date() + timedelta(days=days) for days in (10, 20))
        await supplied(shop, 4, first, version=1)
        placed = (await shop.orders.place_order(ask("D-1", ("SKU-1", "13"), channel="web-dated"))).order
        [line] = placed.lines
        assert (line.open, line.backordered, line.oversold, line.expected) == (11, 2, 0, first)
        assert await shop.orders.oversold("acme") == []
        with pytest.raises(Conflict, match="nor supply on its way"):  # two of the four are left
            await shop.orders.place_order(ask("D-2", ("SKU-1", "3"), channel="web-dated"))
        await supplied(shop, 4, later, version=2)
        await seen(shop, placed.order_id, lambda order: order.lines[0].expected == later)
        told = await shop.store.fetch("select data from store.event where type = 'order.redated'")
        assert [json.loads(row["data"])["lines"] for row in told] == [[{"line": 1, "expected": later.isoformat()}]]

        assert await shop.orders.cancel_overdue() == 0
        await shop.store.execute("update order_to_ship.sales_order set placed_at = placed_at - interval '31 days'")
        assert await shop.orders.cancel_overdue() == 1
        order = await seen(shop, placed.order_id, lambda order: order.state is OrderState.RELEASED)
        [line] = order.lines
        assert (line.open, line.backordered, line.cancelled, line.expected) == (11, 0, 2, None)
        assert await shop.promised() == (11, 0, 11)
        assert await shop.orders.cancel_overdue() == 0
        nothing = (await shop.orders.place_order(ask("D-3", ("SKU-1", "4"), channel="web-dated"))).order
        assert (nothing.state, nothing.lines[0].expected) == (OrderState.BACKORDERED, later)
        await shop.store.execute("update order_to_ship.sales_order set placed_at = placed_at - interval '31 days'")
        assert await shop.orders.cancel_overdue() == 1
        assert (await shop.orders.get_order("acme", nothing.order_id)).state is OrderState.CANCELLED


@pytest.mark.long
async def test_customer_service_moves_splits_and_cancels_and_the_promises_add_up(orders_database, nats_url):
    async with opened(orders_database, nats_url) as shop:
        order_id = (await shop.orders.place_order(ask("PO-1", ("SKU-1", "6")))).order.order_id
        order = await shop.becomes(order_id, OrderState.RELEASED)
        asked = {"action": "a-1", "reason": "two at once", "version": order.version, "line": 1}
        await shop.orders.serve(CALLER, order_id, "reallocate", amount=Decimal(3), location="WH-W", **asked)
        order = await seen(shop, order_id, lambda order: order.released and all_over(order))
        assert {(part.location, part.amount) for part in order.allocations} == {("WH-N", 3), ("WH-W", 3)}
        assert await shop.promised() == (11, 0, 6)
        asked = {"action": "a-2", "reason": "the buyer called", "version": order.version, "line": 1}
        await shop.orders.serve(CALLER, order_id, "cancel", amount=Decimal(1), **asked)
        order = await seen(shop, order_id, lambda order: order.lines[0].cancelled and all_over(order))
        assert await shop.promised() == (11, 0, 5)
        asked = {"action": "a-3", "reason": "ship some today", "version": order.version, "line": 1}
        await shop.orders.serve(CALLER, order_id, "split", amount=Decimal(2), **asked)
        order = await seen(shop, order_id, lambda order: max(part.release for part in order.released) > 4)
        order = await seen(shop, order_id, all_over)
        assert await shop.promised() == (11, 0, 5)
        live = [part for part in order.released if not part.withdrawn]
        by_release = {number: sum(part.amount for part in live if part.release == number) for number in (4, 5)}
        assert by_release == {4: 2, 5: 3}
        with pytest.raises(Conflict) as refused:
            await shop.orders.place_order(ask("PO-2", ("SKU-1", "7")))
        assert refused.value.code == "stock.insufficient"
        for part in live:
            reference = f"{order_id}.{part.release}"
            await shop.reported("shipment_confirmed", part.amount, order=reference, line=1, location=part.location)
        order = await shop.becomes(order_id, OrderState.COMPLETED)
        [line] = order.lines
        assert (line.shipped, line.cancelled, await shop.promised()) == (5, 1, (6, 0, 0))
        alive = await shop.store.fetch("select reference from fake.sale where not cancelled order by 1")
        assert [row["reference"] for row in alive] == [f"{order_id}.4", f"{order_id}.5"]


def all_over(order):
    return order.rework is None and order.allocated_at and all(x.state in ("done", "withdrawn") for x in order.tasks)


async def sold(shop, order_id):
    """By reference, what the ERP and the warehouses were asked for: line, location and amount."""
    found = {}
    for table in ("sale", "work"):
        rows = await shop.store.fetch(
            f"select reference, lines from fake.{table} where reference like $1 || '%'", order_id
        )
        for row in rows:
            parts = found.setdefault((table, row["reference"].removeprefix(order_id)), set())
            parts |= {(each[0], Decimal(each[2])) for each in json.loads(row["lines"])}
    return found


@pytest.mark.long
async def test_what_is_there_leaves_first_and_the_rest_when_it_has_come(orders_database, nats_url):
    async with opened(orders_database, nats_url) as shop:
        due = datetime.now(UTC).date() + timedelta(days=10)
        await supplied(shop, 4, due, version=1)
        with pytest.raises(Conflict) as refused:
            await shop.orders.place_order(ask("D-0", ("SKU-1", "13"), channel="web-dated", fill="fill_or_kill"))
        assert refused.value.code == "stock.insufficient"
        asked = ask("D-1", ("SKU-1", "13"), channel="web-dated", fill="partial")
        order_id = (await shop.orders.place_order(asked)).order.order_id
        order = await shop.becomes(order_id, OrderState.RELEASED)
        [line] = order.lines
        assert (order.fill, line.open, line.backordered, line.expected) == ("partial", 11, 2, due)
        assert await sold(shop, order_id) == {("sale", ""): {(1, 8), (1, 3)}, ("work", ""): {(1, 8), (1, 3)}}
        await shop.reported("shipment_confirmed", 8, order=order_id, line=1)
        await shop.reported("shipment_confirmed", 3, order=order_id, line=1, location="WH-W")
        order = await seen(shop, order_id, lambda order: order.lines[0].shipped == 11)
        assert (order.state, order.lines[0].open, order.lines[0].backordered) == (OrderState.PARTIALLY_SHIPPED, 0, 2)

        second = f"{order_id}.2"
        for name in ("submit_order", "release_work"):  # it is done, and nobody says so: looked up, not done again
            await shop.seams.pool.execute(
                "insert into fake.fault (name, fault, reference) values ($1, 'unknown_after', $2)", name, second
            )
        await shop.reported("receipt_posted", 4, document="PO-77")
        await shop.reported("put_away", 4)
        order = await seen(shop, order_id, lambda order: order.allocated_at and all_done(order))
        assert [(part.release, part.location, part.amount) for part in order.released] == [
            (1, "WH-N", 8), (1, "WH-W", 3), (2, "WH-N", 2),
        ]  # fmt: skip
        found = await sold(shop, order_id)
        assert (found["sale", ".2"], found["work", ".2"]) == ({(1, 2)}, {(1, 2)})
        assert await shop.store.fetchval("select count(*) from fake.sale where reference = $1", second) == 1
        assert await shop.store.fetchval("select count(*) from fake.work where reference = $1", second) == 1
        await shop.reported("shipment_confirmed", 2, order=second, line=1)
        order = await shop.becomes(order_id, OrderState.COMPLETED)
        assert [(shipment.release, sum(part.amount for part in shipment.lines)) for shipment in order.shipments] == [
            (1, 8), (1, 3), (2, 2),
        ]  # fmt: skip
        posted = await shop.store.fetch("select reference from fake.posting order by number")
        assert [row["reference"] for row in posted] == [order_id, order_id, second]
        assert await shop.promised() == (2, 0, 0)
        claims = await shop.availability.claims_of("acme", order_id)
        assert {row["state"] for row in claims} == {"fulfilled"}


@pytest.mark.long
async def test_lines_leave_whole_and_what_waits_too_long_or_is_cancelled_ends_without_the_rest(
    orders_database, nats_url
):
    async with opened(orders_database, nats_url) as shop:
        two = [ReportedItem(source_code="X-2", sku="SKU-2", name="Two", base_uom="EA",
                            list_price=Money(Decimal(1), "USD"))]  # fmt: skip
        for source in ("erp_na", "wms_n"):
            await shop.items.adopt("acme", source, two, correlation_id="setup")
        await shop.reported("stock_adjusted", 9, item="X-2", to_bucket=Bucket.SELLABLE)
        await supplied(shop, 4, datetime.now(UTC).date() + timedelta(days=10), version=1)
        asked = ask("D-1", ("SKU-1", "12"), ("SKU-2", "5"), channel="web-dated", fill="line_complete")
        order_id = (await shop.orders.place_order(asked)).order.order_id
        order = await shop.becomes(order_id, OrderState.RELEASED)
        assert [(line.open, line.backordered) for line in order.lines] == [(11, 1), (5, 0)]
        assert await sold(shop, order_id) == {("sale", ""): {(2, 5)}, ("work", ""): {(2, 5)}}
        await shop.reported("shipment_confirmed", 5, order=order_id, line=2, item="X-2")
        await seen(shop, order_id, lambda order: order.lines[1].shipped == 5)
        await shop.store.execute("update order_to_ship.sales_order set placed_at = placed_at - interval '31 days'")
        assert await shop.orders.cancel_overdue() == 1
        order = await seen(shop, order_id, lambda order: order.allocated_at and all_done(order))
        assert [(line.open, line.cancelled) for line in order.lines] == [(11, 1), (0, 0)]
        assert (await sold(shop, order_id))["sale", ".2"] == {(1, 8), (1, 3)}

        asked = ask("D-2", ("SKU-2", "4"), ("SKU-1", "2"), channel="web-dated", fill="partial")
        other = (await shop.orders.place_order(asked)).order.order_id
        await shop.becomes(other, OrderState.RELEASED)
        await shop.orders.cancel_order(CALLER, other, reason="mistake")
        await shop.becomes(other, OrderState.CANCELLED)
        claims = await shop.availability.claims_of("acme", other)
        assert {row["state"] for row in claims} == {"released"}
        gone = await shop.store.fetch("select cancelled from fake.sale where reference = $1", other)
        assert [row["cancelled"] for row in gone] == [True]


def all_done(order):
    return all(task.state == "done" for task in order.tasks)
