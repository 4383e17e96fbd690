"""Procure to pay: what others call. The gateway takes commands, the worker reads purchases and hears goods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.canonical.capabilities import (
    Call,
    Connection,
    FindsPurchaseBooks,
    KeepsSupply,
    ReadsPurchases,
    ReadsSupplierInvoices,
    ResolvesItems,
)
from gateway.canonical.events import Recorded
from gateway.canonical.location import LocationMap
from gateway.durable.turning import TurnOptions, WorksInTurns
from gateway.kernel.clock import Clock
from gateway.store.postgres import Store
from process_apis.procure_to_pay.bookkeeping import Bookkeeping
from process_apis.procure_to_pay.deciding import Deciding
from process_apis.procure_to_pay.desk import BuyersDesk
from process_apis.procure_to_pay.dialogue import Dialogue
from process_apis.procure_to_pay.dossiers import Dossiers
from process_apis.procure_to_pay.intake import Intake
from process_apis.procure_to_pay.models import Purchase, PurchaseState
from process_apis.procure_to_pay.onboarding import SampleOrders
from process_apis.procure_to_pay.options import ProcurementOptions
from process_apis.procure_to_pay.posting import Booking, Postings, PostingWork, tasks
from process_apis.procure_to_pay.receiving import Receiving
from process_apis.procure_to_pay.records import purchase_of_text, sql
from process_apis.procure_to_pay.replenishing import Replenishing
from process_apis.procure_to_pay.settling import Settling
from process_apis.procure_to_pay.suppliers import Suppliers
from process_apis.procure_to_pay.troubles import PurchaseTroubles

_PAGES: Final = 50


class ProcureToPay(WorksInTurns):
    """The process. One per OS process; safe to use from any number of tasks."""

    def __init__(
        self,
        store: Store,
        *,
        items: ResolvesItems,
        locations: LocationMap,
        supply: KeepsSupply,
        books: FindsPurchaseBooks,
        clock: Clock,
        options: ProcurementOptions | None = None,
        turning: TurnOptions | None = None,
    ) -> None:
        self.options = options or ProcurementOptions()
        works = dict.fromkeys(tasks.kinds, PostingWork(store, books=books))
        super().__init__(store, clock, tasks, works, turning or TurnOptions())
        self._items = items
        self.postings = Postings()
        settling = Settling(supply, self.options.tolerances, Booking(books, self.options.booked))
        self.intake = Intake(store, items, locations, settling)
        self.bookkeeping = Bookkeeping(store, settling)
        self.deciding = Deciding(store, settling)
        self.desk = BuyersDesk(store, self.intake, self.deciding, self.postings)
        self.dossiers = Dossiers(store, clock)
        self.receiving = Receiving(settling)
        self.replenishing = Replenishing(items, self.options.reorder_points)
        self.suppliers = Suppliers(store)
        self.samples = SampleOrders(store, items, self.suppliers, settling)
        self.dialogue = Dialogue(store, settling, self.samples.answered)

    async def read(self, call: Call, source: str, reader: ReadsPurchases) -> int:
        """Read on where the purchases of `source` were left; the cursor moves behind what is committed.

        Returns how many are new or changed.
        """
        cursor, count = await self._store.fetchval(sql.cursor_of, call.tenant, source, "purchases"), 0
        for _ in range(_PAGES):
            page = await reader.read_purchases(call, cursor=cursor)
            if not page.purchases:
                break
            count += len(await self.intake.take(call.tenant, page.purchases, call.correlation_id))
            await self._store.execute(sql.move_cursor, call.tenant, source, "purchases", page.resume)
            cursor = page.next_cursor
        return count

    async def read_bills(self, call: Call, source: str, reader: ReadsSupplierInvoices) -> int:
        """Read on in what `source` says of suppliers' invoices; returns how many purchases heard something new."""
        cursor, count = await self._store.fetchval(sql.cursor_of, call.tenant, source, "bills"), 0
        for _ in range(_PAGES):
            page = await reader.read_supplier_invoices(call, cursor=cursor)
            if not page.bills:
                break
            count += await self.bookkeeping.take(call.tenant, source, page.bills, call.correlation_id)
            await self._store.execute(sql.move_cursor, call.tenant, source, "bills", page.resume)
            cursor = page.next_cursor
        return count

    async def on_mapping(self, connection: Connection, recorded: Recorded) -> None:
        """Something was made known: try what waits for a mapping again, in this transaction."""
        tenant, after = recorded.event.tenant, ""
        rows = await connection.fetch(sql.unmapped, tenant, after, _PAGES)
        if rows:
            await self._items.refresh(tenant)
        while rows:
            for row in rows:
                after = row["purchase"]
                await self.intake.mend_within(connection, tenant, after, recorded.event.correlation_id)
            rows = await connection.fetch(sql.unmapped, tenant, after, _PAGES)

    async def listed(
        self,
        tenant: str,
        *,
        supplier: str | None = None,
        state: PurchaseState | None = None,
        open_only: bool = False,
        needing: bool = False,
        before: str | None = None,
        limit: int = 50,
        approved_only: bool = False,
    ) -> Sequence[Purchase]:
        """The newest first; `needing` are those that a person should look at."""
        rows = await self._store.fetch(
            sql.list, tenant, supplier, state, open_only, needing, before, approved_only, limit
        )
        return [purchase_of_text(row["body"]) for row in rows]

    def troubles(self) -> PurchaseTroubles:
        """What only people decide, for the queue of exceptions."""
        alert_after = self.turning.pace.alert_after
        return PurchaseTroubles(self.intake, self.deciding, self.postings, alert_after=alert_after)
