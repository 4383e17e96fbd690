"""What a process can be told that holds the books of an ERP, a real Tryton, against ours, and corrects them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

try:  # a script has its folder before it, a test its package
    import seams as mortal
except ImportError:
    from . import seams as mortal

from gateway.canonical.capabilities import Report, StockAccount
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import Bucket, OrderKey, ReportedFigure, ReportedSnapshot
from gateway.kernel.clock import SystemClock
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from gateway.outbound.pools import pooled_transport
from process_apis.availability.process import Availability
from process_apis.items.process import Items
from process_apis.reconciliation.models import Scope, What
from process_apis.reconciliation.options import ReconciliationOptions, Tolerance
from process_apis.reconciliation.process import Reconciliation
from system_apis.tryton.adapter import Adapter
from system_apis.tryton.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDERS = [
    ROOT / "gateway/store/migrations",
    ROOT / "gateway/reference/migrations",
    *(ROOT / f"process_apis/{name}/migrations" for name in ("items", "availability", "reconciliation")),
]
PLACE = Location(
    location="loc_n",
    name="North",
    region="na",
    time_zone="UTC",
    holder="wms",
    poster_to="erp",
    codes={"wms": "N", "erp": "WH-N"},
)
CALM = SystemLimits(breaker_failures=10_000, retries=0)


async def actor_of(store, seams, settings):
    """Every call to the ERP of `settings` is a seam."""
    outbound = Outbound(transport=lambda limits: mortal.MortalTransport(pooled_transport(limits), seams))
    return ErpActor(store, outbound, settings)


class ErpActor:
    """One warehouse, which the ERP is told about; small differences correct it without being asked."""

    def __init__(self, store, outbound, settings):
        clock = SystemClock()
        shape = msgspec.convert(settings, Settings)
        self.store, self.items = store, Items(store, clock)
        self.adapter = Adapter("erp", shape, outbound.session("erp", shape.base_url, CALM), clock)
        self.stock = Availability(
            store=store, cache=None, items=self.items, locations=LocationMap({"acme": [PLACE]}), clock=clock
        )
        self.reconciliation = Reconciliation(
            store,
            clock,
            tenant="acme",
            stock=self.stock.examiner,
            records=self.stock,
            orders=self,
            items=self.items,
            accounts=self,
            options=ReconciliationOptions(tolerances=(Tolerance(absolute=Decimal(1_000)),)),
        )

    async def do(self, command):
        more = {key: value for key, value in command.items() if key != "do"}
        return await getattr(self, command["do"])(**more)

    async def adopt(self, figures):
        """Items as both know them, from what the ERP has of each: (code, unit, amount)."""
        known = [ReportedItem(source_code=code, sku=code, name=code, base_uom=uom) for code, uom, _ in figures]
        for source in ("wms", "erp"):
            await self.items.adopt("acme", source, known, correlation_id="setup")

    async def count(self, sequence, figures):
        """The warehouse's word, once by its number."""
        snapshot = ReportedSnapshot(
            source="wms",
            event_id=f"count-{sequence}",
            cut_off=OrderKey(1, sequence),
            taken_at=datetime(2026, 11, 1, tzinfo=UTC),
            full=False,
            locations=("N",),
            figures=tuple(
                ReportedFigure(
                    source_item=code, source_location="N", bucket=Bucket.SELLABLE, amount=Decimal(amount), uom=uom
                )
                for code, uom, amount in figures
            ),
        )
        await self.stock.record("acme", Report(snapshots=(snapshot,)))

    async def reconcile(self):
        await self.reconciliation.run(Scope(what=What.STOCK), asked_by="test")

    async def correct(self):
        await self.reconciliation.desk.adjust_due(self.reconciliation._call())

    async def wait(self):
        """Until the ERP may be asked again, which takes a minute that nobody waits here."""
        await self.store.execute("update reconciliation.finding set not_before = now() where state = 'adjusting'")

    # --- who is who -----------------------------------------------------------------------------------------------

    def journals(self, tenant):
        return {}

    def owners(self, tenant):
        return []

    def ledgers(self, tenant):
        return [StockAccount(name="erp", reads=self.adapter, codes={"loc_n": "WH-N"})]

    def posts_adjustments(self, instance):
        return self.adapter

    async def unposted(self, tenant, locations):
        return []

    async def booked(self, tenant, *, after, since, until, limit, orders=None):
        return []
