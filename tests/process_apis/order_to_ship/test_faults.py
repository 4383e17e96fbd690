"""Every call to another system and every commit of a turn, as a clean run makes them, then failed in turn."""

import asyncio
import itertools

import order_fakes as fakes
import pytest
from order_world import CALLER, ask

from gateway.canonical.order import OrderState
from process_apis.order_to_ship.workflow import Turns

pytestmark = pytest.mark.integration
FAULTS = ["error", "unknown", "unknown_after", "hang_after", "broken", "defect", "crash_before", "crash_after"]
CALL_TIMEOUT = 0.3
BILLING = ("erp_na",)
SEVERAL = ("shipment_confirmed", "invoice.issued", "invoiced", "exception_raised")
_numbers = itertools.count(1)


class Case:
    """One order of its own customer and item, so that many cases run in one world at once."""

    def __init__(self, world):
        self.world = world
        self.number = next(_numbers)
        self.item = f"itm_9{self.number}"
        self.customer = f"C{self.number}"

    async def place(self):
        await self.world.stock(100, self.item)
        await self.world.store.execute("insert into fake.customer (code) values ($1)", self.customer)
        command = ask(f"PO-{self.number}", (f"SKU-9{self.number}", "5"), sold_to=self.customer)
        self.order = (await self.world.process.place_order(command)).order.order_id

    async def fault(self, name, *kinds):
        reference = self.customer if name == "read_customer" else self.order
        await self.world.fault(name, *kinds, reference=reference)

    async def calls(self):
        return ["read_customer", *await self.world.called(self.order)]

    async def fulfil(self, faults=()):
        await self.place()
        for name, kind in faults:
            await self.fault(name, kind)
        await self.world.drain(self.order)
        await self.world.ship(self.order, 1, 2, item=self.item, event="e1")
        await self.world.drain(self.order)
        await self.world.ship(self.order, 1, 3, item=self.item, event="e2")
        order = await self.world.drain(self.order)
        assert order.state is OrderState.COMPLETED
        assert [row["cancelled"] for row in await self.world.sales(self.order)] == [False]
        assert [row["state"] for row in await self.world.works(self.order)] == ["released"]
        assert [row["posting"] for row in await self.world.postings(self.order)] == [
            shipment.shipment_id for shipment in order.shipments
        ]
        assert {each.shipment for each in order.invoices} == {each.shipment_id for each in order.shipments}
        assert (await self.world.events(self.order)).count("invoice.issued") == len(order.invoices) == 2
        assert await self.world.available(self.item) == 95
        await self.nothing_is_left_open()

    async def cancel(self, faults=()):
        await self.place()
        await self.world.drain(self.order)
        for name, kind in faults:
            await self.fault(name, kind)
        await self.world.process.cancel_order(CALLER, self.order, reason="mistake")
        order = await self.world.drain(self.order)
        assert order.state is OrderState.CANCELLED
        assert [row["cancelled"] for row in await self.world.sales(self.order)] == [True]
        assert [row["state"] for row in await self.world.works(self.order)] == ["cancelled"]
        assert await self.world.available(self.item) == 100
        await self.nothing_is_left_open()

    async def refuse(self, faults=()):
        await self.place()
        await self.fault("submit_order", "rejected")
        for name, kind in faults:
            await self.fault(name, kind)
        order = await self.world.drain(self.order)
        assert order.state is OrderState.REJECTED
        assert await self.world.available(self.item) == 100
        await self.nothing_is_left_open()

    async def nothing_is_left_open(self):
        events = await self.world.events(self.order)
        once = [event for event in events if event not in SEVERAL]
        assert len(set(once)) == len(once), events
        assert await self.world.process.list_exceptions("acme", order_id=self.order) == []
        row = await self.world.store.fetchrow(
            "select due_at, exposure from order_to_ship.sales_order where order_id = $1", self.order
        )
        assert (row["due_at"], row["exposure"]) == (None, 0)
        planned = await self.world.store.fetchval("select count(*) from fake.fault where reference = $1", self.order)
        assert planned == 0, "the fault was never met"


async def in_turn(world, scenario, plans):
    """Run one scenario under each plan of faults; every failure is told, with its plan."""
    gate = asyncio.Semaphore(6)

    async def one(plan):
        async with gate:
            try:
                await getattr(Case(world), scenario)(plan)
            except Exception as e:  # noqa: BLE001 - told with its plan below
                return f"{plan}: {type(e).__name__} {e}"

    failures = [failure for failure in await asyncio.gather(*map(one, plans)) if failure]
    print(f"{scenario}: {len(plans)} faults")  # noqa: T201
    assert failures == []


@pytest.mark.parametrize("scenario", ["fulfil", "cancel", "refuse"])
async def test_each_outside_call_fails_in_each_way_and_the_end_is_right(shared_world, scenario):
    clean = Case(shared_world)
    await getattr(clean, scenario)()
    calls = await clean.calls()
    if scenario == "cancel":
        calls = [name for name in calls if name.startswith("cancel")]
    if scenario == "refuse":
        calls = [name for name in calls if name.startswith("find")]
    await in_turn(shared_world, scenario, [[(name, fault)] for name in dict.fromkeys(calls) for fault in FAULTS])


@pytest.mark.parametrize(
    ("scenario", "first", "looked_up"),
    [
        ("fulfil", "submit_order", "find_order"),
        ("fulfil", "release_work", "find_work"),
        ("fulfil", "post_shipment", "find_posting"),
        ("cancel", "cancel_work", "find_work"),
        ("cancel", "cancel_order", "find_order"),
    ],
)
async def test_the_look_up_after_an_unknown_outcome_fails_in_each_way_too(shared_world, scenario, first, looked_up):
    plans = [[(first, unknown), (looked_up, fault)] for unknown in ("unknown", "unknown_after") for fault in FAULTS]
    await in_turn(shared_world, scenario, plans)


async def test_every_commit_of_a_turn_may_be_the_last_of_its_worker(shared_world, monkeypatch):
    countdown = {}

    def dying_after(method):
        async def run(turns, connection, subject, extra):
            begun = await method(turns, connection, subject, extra)
            order = subject if isinstance(subject, str) else subject.order.order_id
            countdown[order] = countdown.get(order, 0) - 1
            if countdown[order] == 0:
                raise fakes.KilledError
            return begun

        return run

    monkeypatch.setattr(Turns, "_open", dying_after(Turns._open))
    monkeypatch.setattr(Turns, "_conclude", dying_after(Turns._conclude))
    clean = Case(shared_world)
    await clean.fulfil()
    commits = -countdown[clean.order]
    assert commits >= 6

    async def one(last):
        case = Case(shared_world)
        place = case.place

        async def place_and_arm():
            await place()
            countdown[case.order] = last

        case.place = place_and_arm
        await case.fulfil()

    await asyncio.gather(*(one(last) for last in range(1, commits + 1)))
    print(f"commits: {commits}")  # noqa: T201
