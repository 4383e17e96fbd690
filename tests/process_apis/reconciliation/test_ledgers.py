"""An ERP's figures against ours: in flight, within tolerance, for a person; corrected once, whatever dies."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import count

import pytest

from gateway.canonical.capabilities import Report, StockAccount
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.reconciliation import SystemAdjustment, UnpostedLine
from gateway.canonical.stock import Bucket, OrderKey, ReportedFigure, ReportedSnapshot
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, NotAllowed, NotFound, OutcomeUnknown, Rejected, Unavailable
from gateway.kernel.money import Money
from process_apis.availability.process import Availability
from process_apis.items.process import Items
from process_apis.reconciliation.models import Cause, Scope, State
from process_apis.reconciliation.options import ReconciliationOptions, Tolerance
from process_apis.reconciliation.process import Reconciliation

pytestmark = pytest.mark.integration

_tenants = count(1)
CLOCK = SystemClock()


class Erp:
    """A small ERP: what it has, and what it was told to correct."""

    def __init__(self):
        self.has = {}
        self.booked = {}
        self.refuses = None
        self.loses = 0
        self.meanwhile = None
        self.asked = 0

    async def read_stock(self, call, *, locations):
        self.asked += 1
        if self.refuses is not None and self.meanwhile is None:
            raise self.refuses
        if self.meanwhile is not None:
            await self.meanwhile()
        return snapshot("erp", f"s{self.asked}", 1, [(code, "WH-N", amount) for code, amount in self.has.items()])

    async def find_adjustment(self, call, *, posting):
        return self.booked.get(posting)

    async def post_adjustment(self, call, *, posting, location, code, amount, uom):
        if self.refuses is not None:
            raise self.refuses
        assert posting not in self.booked
        assert (location, uom) == ("WH-N", "EA")
        self.has[code] = self.has.get(code, Decimal(0)) + amount
        self.booked[posting] = SystemAdjustment(number=f"ADJ{len(self.booked) + 1}", amount=amount)
        if self.loses:
            self.loses -= 1
            raise OutcomeUnknown("the answer was lost", code="erp.outcome_unknown")
        return self.booked[posting]


def snapshot(source, event, sequence, figures):
    return ReportedSnapshot(
        source=source, event_id=event, cut_off=OrderKey(1, sequence), taken_at=CLOCK.now(), full=True,
        locations=tuple({place for _, place, _ in figures}) or ("N",),
        figures=tuple(
            ReportedFigure(
                source_item=code, source_location=place, bucket=Bucket.SELLABLE, amount=Decimal(amount), uom="EA"
            )
            for code, place, amount in figures
        ),
    )  # fmt: skip


class World:
    """One warehouse, which the ERP is told about; items A and B of 10.00 each, known to both."""

    def __init__(self, store):
        self.store = store
        self.tenant = f"t{next(_tenants)}"
        self.erp = Erp()
        self.left = []
        self.items = Items(store, CLOCK)
        place = Location(location="loc_n", name="North", region="na", time_zone="UTC", holder="wms", poster_to="erp",
                         codes={"wms": "N", "erp": "WH-N"})  # fmt: skip
        self.stock = Availability(
            store=store, cache=None, items=self.items, locations=LocationMap({self.tenant: [place]}), clock=CLOCK
        )
        self.told = 0

    async def open(self):
        known = [
            ReportedItem(source_code=sku, sku=sku, name=sku, base_uom="EA", list_price=Money(Decimal(10), "USD"))
            for sku in ("A", "B")
        ]
        for source in ("wms", "erp"):
            await self.items.adopt(self.tenant, source, known, correlation_id="setup")
        self.id = {sku: item.item for sku, item in (await self.items.by_sku(self.tenant, ["A", "B"])).items()}
        await self.count(A=100, B=50)
        self.erp.has = {"A": Decimal(100), "B": Decimal(50)}

    async def count(self, **figures):
        self.told += 1
        whole = snapshot("wms", f"c{self.told}", self.told, [(sku, "N", amount) for sku, amount in figures.items()])
        await self.stock.record(self.tenant, Report(snapshots=(whole,)))

    def journals(self, tenant):
        return {}

    def owners(self, tenant):
        return []

    def ledgers(self, tenant):
        return [StockAccount(name="erp", reads=self.erp, codes={"loc_n": "WH-N"})]

    def posts_adjustments(self, instance):
        return self.erp

    async def unposted(self, tenant, locations):
        return list(self.left)

    async def booked(self, tenant, *, after, since, until, limit, orders=None):
        return []

    def reconciliation(self, **tolerance):
        tolerances = (Tolerance(**{name: Decimal(limit) for name, limit in tolerance.items()}),) if tolerance else ()
        return Reconciliation(
            self.store, CLOCK, tenant=self.tenant, stock=self.stock.examiner, records=self.stock, orders=self,
            items=self.items, accounts=self, options=ReconciliationOptions(tolerances=tolerances),
        )  # fmt: skip

    async def erp_findings(self, made):
        return [each for each in await made.findings(self.tenant) if each.against == "erp"]

    async def audited(self):
        rows = await self.store.fetch(
            "select actor, action, outcome from store.audit where tenant = $1 order by id", self.tenant
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def world(store):
    made = World(store)
    await made.open()
    return made


def decide(made, finding, verdict, actor):
    return made.desk.decide(made._tenant, finding, verdict, actor=actor, reason="looked", correlation_id="c")


async def test_equal_accounts_differ_in_nothing(world):
    run, found = await world.reconciliation().run(Scope(), asked_by="test")
    assert (run.state, run.compared, run.differing, found) == ("done", 2, 0, [])


async def test_within_tolerance_the_erp_is_corrected_once_and_the_books_stay(world):
    made = world.reconciliation(absolute=5, percent=10, value=100)
    world.erp.has["A"] = Decimal(97)
    await made.run(Scope(), asked_by="test")
    await made.run(Scope(), asked_by="test")
    (finding,) = await world.erp_findings(made)
    assert (finding.state, finding.amount, finding.number, finding.value) == (State.ADJUSTED, -3, "ADJ1", -30)
    assert world.erp.has["A"] == 100
    (figure,) = [
        each for each in await world.stock.examiner.on_hand(world.tenant, ["loc_n"]) if each.item == world.id["A"]
    ]
    assert figure.on_hand == 100
    assert [each for each in await world.audited() if each[1].startswith("reconciliation")] == [
        ("policy", "reconciliation.accepted", "adjusting"),
        ("policy", "reconciliation.adjusted", "done"),
    ]


@pytest.mark.parametrize("limit", [{"absolute": 2}, {"absolute": 5, "percent": 2}, {"absolute": 5, "value": 29}])
async def test_beyond_any_limit_a_person_decides(world, limit):
    made = world.reconciliation(**limit)
    world.erp.has["A"] = Decimal(97)
    await made.run(Scope(), asked_by="test")
    (finding,) = await world.erp_findings(made)
    assert (finding.state, finding.cause, world.erp.booked) == (State.OPEN, Cause.SOURCE_ONLY, {})
    accepted = await decide(made, finding.finding, "accept", "ann")
    assert accepted.state is State.ADJUSTING
    assert (await decide(made, finding.finding, "accept", "ann")).state is State.ADJUSTING
    await made.tick()
    (finding,) = await world.erp_findings(made)
    assert (finding.state, finding.decided_by, world.erp.has["A"]) == (State.ADJUSTED, "ann", 100)


async def test_above_its_size_a_second_person_must_accept(world):
    made = world.reconciliation(alone_value=100)
    world.erp.has["A"] = Decimal(80)
    await made.run(Scope(), asked_by="test")
    (finding,) = await world.erp_findings(made)
    first = await decide(made, finding.finding, "accept", "ann")
    assert (first.state, first.proposed_by) == (State.OPEN, "ann")
    with pytest.raises(NotAllowed, match="second"):
        await decide(made, finding.finding, "accept", "ann")
    assert (await decide(made, finding.finding, "accept", "bob")).state is State.ADJUSTING


async def test_what_was_proposed_for_one_amount_is_not_proposed_for_another(world):
    made = world.reconciliation(alone_value=100)
    world.erp.has["A"] = Decimal(80)
    await made.run(Scope(), asked_by="test")
    (finding,) = await world.erp_findings(made)
    await decide(made, finding.finding, "accept", "ann")
    world.erp.has["A"] = Decimal(60)
    await made.run(Scope(), asked_by="test")
    (now,) = await world.erp_findings(made)
    assert (now.finding, now.amount, now.proposed_by) == (finding.finding, -40, None)


async def test_what_was_rejected_is_not_raised_again_unless_it_changes(world):
    made = world.reconciliation()
    world.erp.has["A"] = Decimal(97)
    await made.run(Scope(), asked_by="test")
    (finding,) = await world.erp_findings(made)
    await decide(made, finding.finding, "reject", "ann")
    await made.run(Scope(), asked_by="test")
    assert len(await world.erp_findings(made)) == 1
    with pytest.raises(Conflict):
        await decide(made, finding.finding, "accept", "bob")
    world.erp.has["A"] = Decimal(96)
    await made.run(Scope(), asked_by="test")
    assert [each.state for each in await world.erp_findings(made)] == [State.OPEN, State.REJECTED]


async def test_a_difference_that_goes_away_closes_by_itself(world):
    made = world.reconciliation()
    world.erp.has["A"] = Decimal(97)
    await made.run(Scope(), asked_by="test")
    world.erp.has["A"] = Decimal(100)
    await made.run(Scope(), asked_by="test")
    assert [each.state for each in await world.erp_findings(made)] == [State.EXPLAINED]


async def test_what_is_shipped_and_not_booked_yet_is_no_difference(world):
    await world.count(A=93, B=50)
    world.left = [UnpostedLine(item=world.id["A"], location="loc_n", amount=Decimal(7), certain=True)]
    run, _ = await world.reconciliation().run(Scope(source="erp"), asked_by="test")
    assert (run.differing, run.in_flight) == (0, 0)


async def test_what_the_erp_may_be_booking_is_looked_at_the_next_time(world):
    await world.count(A=93, B=50)
    world.left = [UnpostedLine(item=world.id["A"], location="loc_n", amount=Decimal(7), certain=False)]
    world.erp.has["A"] = Decimal(93)
    run, _ = await world.reconciliation().run(Scope(source="erp"), asked_by="test")
    assert (run.compared, run.differing, run.in_flight) == (1, 0, 1)


async def test_what_moves_while_the_erp_is_read_is_looked_at_the_next_time(world):
    async def meanwhile():
        await world.count(A=99, B=50)

    world.erp.meanwhile = meanwhile
    run, _ = await world.reconciliation(absolute=50).run(Scope(source="erp"), asked_by="test")
    assert (run.in_flight, run.differing, world.erp.booked) == (1, 0, {})


async def test_a_lost_answer_is_looked_up_and_nothing_is_booked_twice(world):
    made = world.reconciliation(absolute=5)
    world.erp.has["A"], world.erp.loses = Decimal(97), 1
    await made.run(Scope(), asked_by="test")
    (finding,) = await world.erp_findings(made)
    assert (finding.state, world.erp.has["A"]) == (State.ADJUSTING, 100)
    await made.tick()
    (finding,) = await world.erp_findings(made)
    assert finding.state is State.ADJUSTING  # not before the ERP had its time
    await world.store.execute("update reconciliation.finding set not_before = now() - interval '1 second'")
    await made.tick()
    (finding,) = await world.erp_findings(made)
    assert (finding.state, finding.number, world.erp.has["A"]) == (State.ADJUSTED, "ADJ1", 100)


async def test_two_workers_at_once_correct_once(world):
    first, second = world.reconciliation(absolute=5), world.reconciliation(absolute=5)
    world.erp.has["A"] = Decimal(97)
    await asyncio.gather(*(each.run(Scope(), asked_by="test") for each in (first, second, first)))
    await world.store.execute("update reconciliation.finding set not_before = null")
    await asyncio.gather(first.tick(), second.tick())
    assert len(world.erp.booked) == 1
    assert world.erp.has["A"] == 100


async def test_a_correction_that_is_refused_waits_for_a_person_with_the_reason(world):
    made = world.reconciliation(absolute=5)
    world.erp.has["A"] = Decimal(97)
    world.erp.meanwhile, world.erp.refuses = asyncio.sleep.__get__(0), Rejected("closed period", code="erp.refused")
    await made.run(Scope(), asked_by="test")
    await made.run(Scope(), asked_by="test")
    (finding,) = await world.erp_findings(made)
    assert finding.state is State.OPEN
    assert finding.error is not None
    assert "closed period" in finding.error


async def test_a_silent_erp_fails_the_run_and_nothing_else(world):
    world.erp.refuses = Unavailable("no answer", code="erp.unavailable")
    run, _ = await world.reconciliation().run(Scope(), asked_by="test")
    assert run.state == "failed"
    assert run.error is not None
    assert "no answer" in run.error
    assert (await world.reconciliation().get_run(world.tenant, run.run)).state == "failed"


async def test_a_dry_run_leaves_nothing_behind(world):
    made = world.reconciliation(absolute=5)
    world.erp.has["A"] = Decimal(97)
    run, found = await made.run(Scope(), asked_by="test", dry=True)
    assert (run.differing, [each.amount for each in found]) == (1, [-3])
    assert (await made.runs(world.tenant, what=None, before=None, limit=5), world.erp.booked) == ([], {})
    assert await world.erp_findings(made) == []


async def test_an_unknown_code_of_the_erp_waits_for_its_mapping_and_cannot_be_decided(world):
    made = world.reconciliation(absolute=500)
    world.erp.has["NEW/1"] = Decimal(4)
    await made.run(Scope(), asked_by="test")
    (finding,) = await world.erp_findings(made)
    assert (finding.cause, finding.code, finding.state) == (Cause.MAPPING, "NEW/1", State.OPEN)
    with pytest.raises(Conflict, match="mapping"):
        await decide(made, finding.finding, "accept", "ann")


async def test_a_source_that_nobody_has_is_not_compared(world):
    with pytest.raises(NotFound, match="erp"):
        await world.reconciliation().run(Scope(source="nobody"), asked_by="test")
