"""Orders and shipments against the ERP that confirmed them: once each, as it was confirmed."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

import pytest

from gateway.canonical.order import ShipmentLine, SystemOrder, SystemShipment
from gateway.canonical.reconciliation import BookedOrder, BookedShipment
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, NotFound, Unavailable
from process_apis.reconciliation.models import Cause, Scope, State, What
from process_apis.reconciliation.options import ReconciliationOptions
from process_apis.reconciliation.process import Reconciliation
from process_apis.reconciliation.rules import wrong_order, wrong_shipment

_tenants = count(1)


def sale(**more):
    return SystemOrder(**{"reference": "ord_1", "number": "S1", "state": "processing", "ready": True, **more})


def booked(order="ord_1", **more):
    return BookedOrder(**{"order": order, "system": "erp", "number": "S1", "gone": False, **more})


def shipped(*amounts, number="SH1"):
    lines = tuple(ShipmentLine(line=line, item="", amount=Decimal(amount)) for line, amount in amounts)
    return SystemShipment(number=number, state="done", location="loc_n", lines=lines)


@pytest.mark.parametrize(
    ("asked", "found", "cause"),
    [
        (booked(), sale(), None),
        (booked(), None, Cause.LOSS),
        (booked(), sale(cancelled=True), Cause.SOURCE_ONLY),
        (booked(), sale(ready=False, state="draft"), Cause.SOURCE_ONLY),
        (booked(), sale(number="S2"), Cause.SOURCE_ONLY),
        (booked(gone=True), None, None),
        (booked(gone=True), sale(cancelled=True), None),
        (booked(gone=True), sale(), Cause.SOURCE_ONLY),
    ],
    ids=["there", "lost", "cancelled there", "taken back", "another", "gone", "gone and cancelled", "still open"],
)
def test_an_order_is_right_where_it_is_once_and_as_confirmed(asked, found, cause):
    wrong = wrong_order(asked, found)
    assert (None if wrong is None else wrong[0]) is cause


def test_a_shipment_is_right_where_every_line_has_what_was_posted():
    told = BookedShipment(posting="shp_1", location="loc_n", lines={1: Decimal(4), 2: Decimal(1)})
    assert wrong_shipment(told, shipped((1, 3), (2, 1), (1, 1)), "erp") is None
    cause, _, amount = wrong_shipment(told, None, "erp")
    assert (cause, amount) == (Cause.LOSS, -5)
    cause, detail, amount = wrong_shipment(told, shipped((1, 4), (3, 2)), "erp")
    assert (cause, amount) == (Cause.SOURCE_ONLY, 1)
    assert "line 2: 0 for 1" in detail
    assert "line 3: 2 for 0" in detail


class World:
    """What was booked, and an ERP that says what it has."""

    def __init__(self, store):
        self.store = store
        self.tenant = f"d{next(_tenants)}"
        self.orders = {f"ord_{number}": booked(f"ord_{number}") for number in range(1, 6)}
        self.sales = {name: sale(reference=name) for name in self.orders}
        self.postings = {}
        self.asked = []
        self.down = False

    def reconciliation(self, **more):
        return Reconciliation(
            self.store, SystemClock(), tenant=self.tenant, stock=None, records=None, orders=self, items=None,
            accounts=self, options=ReconciliationOptions(**more),
        )  # fmt: skip

    async def booked(self, tenant, *, after, since, until, limit, orders=None):
        assert since < until
        wanted = [each for name, each in sorted(self.orders.items()) if orders is None or name in orders]
        return [each for each in wanted if each.order > after][:limit]

    def journals(self, tenant):
        return {}

    def owners(self, tenant):
        return []

    def ledgers(self, tenant):
        return []

    def takes_orders(self, instance):
        return self

    def posts_shipments(self, instance):
        return self

    async def find_order(self, call, *, reference):
        self.asked.append(reference)
        if self.down:
            raise Unavailable("no answer", code="erp.unavailable")
        found = self.sales.get(reference)
        if isinstance(found, Exception):
            raise found
        return found

    async def find_posting(self, call, *, reference, posting):
        if reference not in self.sales:
            raise NotFound("no such order", code="erp.order_not_found")
        return self.postings.get(posting)

    async def standing(self, made):
        found = await made.findings(self.tenant, limit=100)
        return {(each.reference, each.code): (each.cause, each.state) for each in found}


@pytest.fixture
def world(store):
    return World(store)


@pytest.mark.integration
async def test_every_wrong_order_waits_for_a_person_once_and_closes_when_it_is_right(world):
    made = world.reconciliation()
    world.sales |= {
        "ord_1": None,
        "ord_2": sale(cancelled=True),
        "ord_3": Conflict("held twice", code="erp.twin_orders"),
    }
    for _ in range(2):
        run, _ = await made.run(Scope(what=What.ORDERS), asked_by="test")
        assert (run.state, run.compared, run.differing) == ("done", 5, 3)
    assert await world.standing(made) == {
        ("ord_1", ""): (Cause.LOSS, State.OPEN),
        ("ord_2", ""): (Cause.SOURCE_ONLY, State.OPEN),
        ("ord_3", ""): (Cause.SOURCE_ONLY, State.OPEN),
    }
    world.sales["ord_1"] = world.sales["ord_3"] = sale()
    await made.run(Scope(what=What.ORDERS), asked_by="test")
    standing = await world.standing(made)
    assert standing["ord_1", ""] == (Cause.LOSS, State.EXPLAINED)
    assert standing["ord_2", ""] == (Cause.SOURCE_ONLY, State.OPEN)


@pytest.mark.integration
async def test_what_a_person_has_decided_is_not_raised_again(world):
    made = world.reconciliation()
    world.sales["ord_2"] = sale(cancelled=True)
    await made.run(Scope(what=What.ORDERS), asked_by="test")
    (finding,) = await made.findings(world.tenant)
    decided = await made.desk.decide(
        world.tenant, finding.finding, "accept", actor="ann", reason="r", correlation_id="c"
    )
    assert decided.state is State.ACCEPTED
    await made.run(Scope(what=What.ORDERS), asked_by="test")
    assert len(await made.findings(world.tenant)) == 1


@pytest.mark.integration
async def test_runs_go_on_from_one_another_round_and_round(world):
    made = world.reconciliation(orders_per_run=2)
    for _ in range(4):
        await made.run(Scope(what=What.ORDERS), asked_by="test")
    assert world.asked == ["ord_1", "ord_2", "ord_3", "ord_4", "ord_5", "ord_1", "ord_2"]


@pytest.mark.integration
async def test_a_silent_erp_fails_the_run_which_is_made_again_from_there(world):
    made = world.reconciliation()
    world.down = True
    run, _ = await made.run(Scope(what=What.ORDERS), asked_by="test")
    assert (run.state, await world.standing(made)) == ("failed", {})
    world.down = False
    run, _ = await made.run(Scope(what=What.ORDERS), asked_by="test")
    assert (run.state, run.compared) == ("done", 5)


@pytest.mark.integration
async def test_every_posted_shipment_is_there_as_it_was_posted(world):
    made = world.reconciliation()
    lines = {1: Decimal(4)}
    world.orders["ord_1"] = booked(
        shipments=tuple(
            BookedShipment(posting=f"shp_{number}", location="loc_n", lines=lines) for number in range(1, 4)
        )
    )
    world.postings = {"shp_1": shipped((1, 4)), "shp_2": shipped((1, 3), number="SH2")}
    run, _ = await made.run(Scope(what=What.SHIPMENTS), asked_by="test")
    assert (run.compared, run.differing) == (3, 2)
    assert await world.standing(made) == {
        ("ord_1", "shp_2"): (Cause.SOURCE_ONLY, State.OPEN),
        ("ord_1", "shp_3"): (Cause.LOSS, State.OPEN),
    }
