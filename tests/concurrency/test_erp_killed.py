"""A worker that corrects an ERP, killed at every commit and every call to a real Tryton: one correction per difference.

Tryton's own books are the judge, read as its administrator.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import msgspec
import pytest

from gateway.outbound.door import Outbound
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from system_apis.tryton.client import Client
from tests.system_apis.tryton.scenarios import call

from .conftest import processes_on
from .deaths import WHENS
from .erp_actors import CALM, FOLDERS, ErpActor

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3000), pytest.mark.xdist_group("tryton")]


class Turn:
    """One life: the warehouse counts other than the ERP, which is corrected by as much."""

    def __init__(self, erp, workers, code, uom):
        self.erp, self.workers, self.code, self.uom = erp, workers, code, uom
        self.number = 1

    async def run(self, *commands, die=None, count=1):
        settings = msgspec.to_builtins(self.erp.settings)
        plan = {"erp": settings, "commands": [{"do": name, **more} for name, more in commands], "die": die}
        results = await self.workers.side_by_side(*[plan] * count)
        for each in results:
            told = [answer for answer in each["answers"].values() if answer is not None]
            assert told == [], told
            assert each["killed"] or each["code"] == 0
        return results

    async def die(self, point):
        """Count, compare, correct; die there, be followed by two, and judge."""
        self.number += 1
        amount = str(await self.shown() + (1 if self.number % 2 else -2))
        counted = ("count", {"sequence": self.number, "figures": [(self.code, self.uom, amount)]})
        [ended] = await self.run(counted, ("reconcile", {}), die=point)
        await self.run(
            counted, ("wait", {}), ("correct", {}), ("reconcile", {}), ("wait", {}), ("correct", {}), count=2
        )
        assert await self.shown() == Decimal(amount), point
        await self.judge(point, left_over=point is not None and point[0] == "during")
        return ended

    async def shown(self):
        told = await self.erp.adapter.read_stock(call(60), locations=["WH-N"])
        return sum((each.amount for each in told.figures if each.source_item == self.code), Decimal())

    async def judge(self, point, *, left_over):
        rows = await self.erp.store.fetch(
            "select finding, state, amount from reconciliation.finding where against = 'erp' order by 1"
        )
        assert {row["state"] for row in rows} == {"adjusted"}, point
        assert len(rows) == self.number - 1, point
        booked = await self.erp.booked_in_tryton([row["finding"] for row in rows])
        done = Counter(name for name, state in booked if state == "done")
        assert done == Counter(row["finding"] for row in rows), point
        if not left_over:
            assert {state for name, state in booked if name == rows[-1]["finding"]} <= {"done", "cancelled"}, point
        wrong = await self.workers.wrong()
        assert wrong == {}, wrong


@pytest.fixture
async def erp(database, tryton):
    await migrate(database, find_migrations(FOLDERS))
    store = Store(database, size=4)
    await store.open()
    async with Outbound() as outbound:
        made = ErpActor(store, outbound, msgspec.to_builtins(tryton.settings()))
        made.settings = tryton.settings()
        session = outbound.session("checker", tryton.url, CALM)
        admin = Client(session, database=made.settings.database, user="admin", password=tryton.admin_password)

        async def booked_in_tryton(findings):
            domain = [("reference", "in", findings)]
            fields = ["reference", "state"]
            found = await admin.search_read(call(60), "stock.shipment.internal", domain, fields, context={"company": 1})
            return [(row["reference"], row["state"]) for row in found]

        made.booked_in_tryton = booked_in_tryton
        yield made
    await store.close()


@pytest.fixture
async def turn(erp):
    told = await erp.adapter.read_stock(call(60), locations=["WH-N"])
    figures = [(each.source_item, each.uom, str(each.amount)) for each in told.figures]
    await erp.adopt(figures)
    await erp.count(1, figures)
    code, uom, _ = next(each for each in figures if each[0] == "SKU-0110")
    async with processes_on(erp.store.url) as workers:
        yield Turn(erp, workers, code, uom)


async def test_a_correction_made_by_nobody_who_dies_is_made_once(turn):
    ended = await turn.die(None)
    assert len(ended["seams"]) > 10


@pytest.mark.parametrize("when", WHENS)
async def test_a_worker_killed_at_every_seam_of_a_correction_corrects_once(turn, when):
    whole = await turn.die(None)
    died = Counter()
    for nth in range(1, len(whole["seams"]) + 1):
        ended = await turn.die([when, nth])
        if ended["killed"]:  # what a process keeps in mind of Tryton may save it a call
            died[ended["seams"][-1]] += 1
    print(f"{when}: {died.total()} deaths at {dict(died)}")  # noqa: T201 - the count is what is asked for
    assert died.total() > 10
