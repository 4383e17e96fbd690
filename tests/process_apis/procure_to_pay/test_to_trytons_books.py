"""A purchase order from its approval in the real Tryton to Tryton's own books, past every party in between.

Played in one process: the supplier's answers and the warehouse's receipts come in as their doors hand them on. What
Tryton has in the end is read past the adapter.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace

from gateway.canonical.capabilities import Call
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.task import Pace
from gateway.durable.schema import migrate_durable
from gateway.durable.turning import TurnOptions
from gateway.kernel.clock import SystemClock
from gateway.kernel.quantity import UnitConversion
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from gateway.systems.translation import LocationCodes, TranslatedReceipts
from process_apis.procure_to_pay.models import Decision, PurchaseState
from process_apis.procure_to_pay.options import ProcurementOptions, PurchaseTolerances
from process_apis.procure_to_pay.process import ProcureToPay
from system_apis.tryton.adapter import Adapter
from tests.process_apis.procure_to_pay.conftest import World
from tests.process_apis.procure_to_pay.drawing import ack, bill, notice
from tests.system_apis.tryton.buying import Buyer

pytestmark = [pytest.mark.integration, pytest.mark.long]
SKU = "SKU-0137"


class TrytonBooks:
    """Finds the one ERP, in our location codes."""

    def __init__(self, adapter):
        self._adapter = adapter

    def books_receipts(self, _instance):
        return TranslatedReceipts(self._adapter, LocationCodes({"north": "WH-N"}))

    def books_supplier_invoices(self, _instance):
        return self._adapter


async def test_an_approved_purchase_is_answered_received_billed_and_in_trytons_books(
    tryton, reference_store, tenant, caller
):
    await migrate_durable(reference_store.url)
    world = World(reference_store, tenant, caller, booked=("erp",))
    await world.open()
    await world.onboard("SUP2")
    for source, code in (("erp", SKU), ("wms", "V-case")):
        packs = (UnitConversion("CS", Decimal(12)),)
        known = [ReportedItem(source_code=code, sku=f"{tenant}-case", name="", base_uom="EA", packs=packs)]
        await world.items.adopt(tenant, source, known, correlation_id="setup")
    async with Outbound() as door:
        session = door.session("tryton", tryton.url, SystemLimits(breaker_failures=1000, retries=0))
        adapter, buyer = Adapter("erp", tryton.settings(), session, SystemClock()), Buyer(tryton, session)
        place = Location(
            location="north", name="N", region="na", time_zone="UTC", holder="wms", codes={"erp": "WH-N", "wms": "N"}
        )
        world.purchases = ProcureToPay(
            reference_store, items=world.items, locations=LocationMap({tenant: [place]}), supply=world.availability,
            books=TrytonBooks(adapter), clock=SystemClock(),
            options=ProcurementOptions(
                sources=("erp",), booked=("erp",), tolerances=PurchaseTolerances(over_receipt_percent=Decimal(25))
            ),
            turning=TurnOptions(pace=Pace(first_retry=0.1), call_timeout=60),
        )  # fmt: skip
        world.turns = world.purchases.turns()
        number, [line] = await buyer.buy((SKU, "cs12", "8", "50"))
        asked = Call(tenant=tenant, correlation_id="read", deadline=time.monotonic() + 60)
        await world.purchases.read(asked, "erp", adapter)
        [made] = [each for each in await world.purchases.listed(tenant) if each.number == number]
        assert made.state is PurchaseState.APPROVED

        # The supplier changes the price: that waits for the buyer, who takes it.
        dialogue, deciding, one = world.purchases.dialogue, world.purchases.deciding, made.purchase
        answered = await dialogue.acknowledge(caller, one, ack("A-1", (line, "IP", 8), unit_price=Decimal(51)))
        [need] = answered.needs
        decision = Decision(subject=need.need.key, accept=True, reason="agreed by telephone")
        assert (await deciding.decide(caller, one, decision)).needs == ()
        assert (await dialogue.advise(caller, one, notice("N-1", (line, 8)))).state is PurchaseState.ON_ITS_WAY

        # Three of eight cases, then six: one more than was ordered, within the tolerance.
        await world.receive(number, 36, item="case")
        await world.receive(number, 72, item="case")
        billed = replace(bill("INV-1", (line, 9, 50)), invoiced=datetime.now(UTC).date())
        known = await dialogue.bill(caller, one, billed)
        assert [each.verdict for each in known.standing.invoices] == ["matched"]
        await world.work(rounds=2000)
        assert [row["state"] for row in await world.tasks()] == ["done", "done", "done"]
        assert [state for _, state in await buyer.receptions(number)] == ["done", "done"]
        assert await buyer.invoices(number) == [("INV-1", "posted", Decimal("450.00"))]
        assert (await world.purchases.dialogue.get(tenant, one)).state is PurchaseState.MATCHED
        assert (await buyer.state(number))[1:] == ("received", "awaiting payment")
