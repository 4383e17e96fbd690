"""The capabilities of Tryton, one method each; the work is in `orders.py`, `postings.py`, `credits.py` and others."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from gateway.canonical.capabilities import CustomerPage, Page
from gateway.canonical.order import ExternalReference
from gateway.canonical.stock import Bucket, OrderKey, ReportedFigure, ReportedSnapshot
from gateway.kernel.errors import Rejected
from gateway.kernel.secrets import resolve_secret
from system_apis.tryton import mapping, parties, wire
from system_apis.tryton.adjustments import Adjustments
from system_apis.tryton.bill_states import BillStates
from system_apis.tryton.bills import Bills
from system_apis.tryton.changes import ReadsChanges
from system_apis.tryton.client import Client
from system_apis.tryton.credits import Credits
from system_apis.tryton.directory import Directory
from system_apis.tryton.invoices import Invoices
from system_apis.tryton.orders import Orders
from system_apis.tryton.postings import Postings
from system_apis.tryton.purchases import Purchases
from system_apis.tryton.receipts import Receipts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

    from gateway.canonical.capabilities import Call
    from gateway.canonical.invoice import CreditOrder, SystemInvoice
    from gateway.canonical.order import SalesOrder, ShipmentLine, SystemOrder, SystemShipment
    from gateway.canonical.party import CustomerAccount
    from gateway.canonical.purchase import (
        BillPage,
        GoodsReceipt,
        PurchasePage,
        SupplierInvoice,
        SystemBill,
        SystemReceipt,
    )
    from gateway.canonical.reconciliation import SystemAdjustment
    from gateway.canonical.stock import DemandLine
    from gateway.kernel.clock import Clock
    from gateway.outbound.session import Session
    from system_apis.tryton.settings import Settings

_STOCKED: Final = [("type", "in", ["goods", "assets"])]


class Adapter:
    """One Tryton instance. Locations are warehouse codes, items product codes, customers party codes."""

    def __init__(self, name: str, settings: Settings, session: Session, clock: Clock) -> None:
        self.name = name
        self._settings = settings
        self._clock = clock
        password = resolve_secret(settings.password, setting=f"password of {name}")
        self._client = Client(session, database=settings.database, user=settings.user, password=password)
        self._directory = Directory(self._client, settings, clock)
        self._orders = Orders(self._client, self._directory, settings, clock)
        self._postings = Postings(self._client, self._directory, self._orders)
        self._units = settings.unit_codes()
        changes = ReadsChanges(self._client, self._directory, clock, settings.settle_time_s)
        self._purchases = Purchases(name, changes, settings)
        self._bill_states = BillStates(changes)
        self._receipts = Receipts(self._client, self._directory, self._orders, self._units)
        self._bills = Bills(self._client, self._directory, self._orders)
        self._adjustments = Adjustments(self._client, self._directory, self._orders, self._units)
        self._invoices = Invoices(self._directory, self._orders)
        self._credits = Credits(
            self._client, self._directory, self._orders, self._adjustments, self._invoices, self._units
        )

    async def check_health(self, call: Call) -> None:
        """Whether Tryton answers and takes our login."""
        await self._directory.context(call)
        await self._client.read(call, "model.res.user.get_preferences", True, context={})

    async def read_items(self, call: Call, *, cursor: str | None = None, limit: int = 200) -> Page:
        """By Tryton's id, so that an item added meanwhile comes last; services are items without stock."""
        domain = [("id", ">", _position(cursor))]
        rows = await self._directory.rows(call, wire.Product, domain, limit=limit)
        currency = await self._directory.company_currency(call)
        items = [mapping.reported_item(row, self._units, currency) for row in rows]
        return Page(tuple(item for item in items if item is not None), str(rows[-1].id) if len(rows) == limit else None)

    async def read_stock(self, call: Call, *, locations: Sequence[str]) -> ReportedSnapshot:
        """Tryton's own quantity by location of each warehouse's zones: storage, output (picked) and input (receiving).

        Each zone is read page by page, `page_size` items in one transaction each; the cut-off is our clock before the
        first.
        """
        taken_at = self._clock.now()
        found: list[ReportedFigure] = []
        for code in locations:
            warehouse = await self._directory.warehouse(call, code)
            zones = {
                warehouse.storage_location: Bucket.SELLABLE,
                **_unless_same(warehouse.output_location, Bucket.PICKED, warehouse),
                **_unless_same(warehouse.input_location, Bucket.RECEIVING, warehouse),
            }
            for zone, bucket in zones.items():
                found += mapping.figures(await self._zone(call, zone), code, bucket, self._units)
        key = OrderKey(self._settings.order_key_epoch, int(taken_at.timestamp() * 1_000_000))
        return ReportedSnapshot(
            source=self.name,
            event_id=f"stock-{key.epoch}-{key.sequence}",
            cut_off=key,
            taken_at=taken_at,
            full=True,
            locations=tuple(locations),
            figures=tuple(found),
        )

    async def read_customer(self, call: Call, *, code: str) -> CustomerAccount:
        """Terms, limit, what is owed now, and whether orders are on hold."""
        row = await self._directory.party(call, code)
        currency = await self._directory.company_currency(call)
        return mapping.customer_account(row, currency, self._settings.hold_category)

    async def list_customers(
        self, call: Call, *, cursor: str | None = None, changed_since: datetime | None = None, limit: int = 200
    ) -> CustomerPage:
        """By Tryton's id, `limit` parties a page, archived ones as not active; each further address by itself.

        Tryton dates a party, its addresses, terms and identifiers; a category or a limit changed beside the party's own
        form only comes with a whole list.
        """
        domain = [*parties.customers(self._settings.customer_category, changed_since), ("id", ">", _position(cursor))]
        everyone: dict[str, object] = {"active_test": False}
        rows = await self._directory.rows(call, wire.Listed, domain, limit=limit, context=everyone)
        currency = await self._directory.company_currency(call)
        found = [each for row in rows for each in parties.reported(row, currency, self._settings.hold_category)]
        return CustomerPage(tuple(found), str(rows[-1].id) if len(rows) == limit else None)

    async def read_purchases(self, call: Call, *, cursor: str | None = None, limit: int = 100) -> PurchasePage:
        """Confirmed ones and what became of them, by when they changed."""
        return await self._purchases.read(call, cursor, limit)

    async def find_receipt(self, call: Call, *, receipt: str) -> SystemReceipt | None:
        """The finished one; None also while it is under way, for then `book_receipt` finishes it."""
        return await self._receipts.find(call, receipt)

    async def book_receipt(self, call: Call, *, receipt: GoodsReceipt) -> SystemReceipt:
        """Received and put away; what the purchase still has open stays open."""
        return await self._receipts.book(call, receipt)

    async def find_supplier_invoice(self, call: Call, *, purchase: str, number: str) -> SystemBill | None:
        """The posted one; None also while it is a draft, for then `book_supplier_invoice` finishes it."""
        return await self._bills.find(call, purchase, number)

    async def book_supplier_invoice(self, call: Call, *, purchase: str, invoice: SupplierInvoice) -> SystemBill:
        """Posted as it is billed, of what came in."""
        return await self._bills.book(call, purchase, invoice)

    async def read_supplier_invoices(self, call: Call, *, cursor: str | None = None, limit: int = 100) -> BillPage:
        """Those of purchases that bear the supplier's number, by when they changed."""
        return await self._bill_states.read(call, cursor, limit)

    async def read_demand(self, call: Call) -> Sequence[DemandLine]:
        """Open moves to customers that do not bear our reference and whose goods are still in storage."""
        domain = mapping.foreign_demand(self._settings.reference_prefix)
        warehouses = await self._directory.warehouses(call)
        places = {
            zone: code for code, row in warehouses.items() for zone in (row.storage_location, row.output_location)
        }
        rows: list[wire.Demand] = []
        size = self._settings.page_size
        while True:
            after = [("id", ">", rows[-1].id if rows else 0)]
            page = await self._directory.rows(call, wire.Demand, [*domain, *after], limit=size)
            rows += page
            if len(page) < size:
                break
        return [
            mapping.demand_line(row, places[row.from_location], self._units)
            for row in rows
            if row.from_location in places
        ]

    @property
    def external_reference(self) -> ExternalReference:
        """Tryton searches a sale's reference and does not keep it unique."""
        return ExternalReference.SEARCHABLE

    @property
    def settle_time(self) -> timedelta:
        """How long an unanswered request may still be at work."""
        return timedelta(seconds=self._settings.settle_time_s)

    async def find_order(self, call: Call, *, reference: str) -> SystemOrder | None:
        """By our reference. Raises `Conflict` (``erp.twin_orders``) when Tryton holds it twice: see `cancel_twins`."""
        return await self._orders.find(call, reference)

    async def submit_order(self, call: Call, *, order: SalesOrder) -> SystemOrder:
        """Made, quoted, confirmed, processed; goes on where an earlier call stopped."""
        return await self._orders.submit(call, order)

    async def cancel_order(self, call: Call, *, reference: str) -> SystemOrder:
        """Raises `Conflict` (``erp.work_begun``) once a shipment is picked or being posted."""
        return await self._orders.cancel(call, reference)

    async def cancel_twins(self, call: Call, *, reference: str) -> SystemOrder:
        """Cancel one of two sales under one reference, the less advanced, and answer with the one that stays."""
        return await self._orders.cancel_twins(call, reference)

    async def find_posting(self, call: Call, *, reference: str, posting: str) -> SystemShipment | None:
        """The finished shipment; None also while it is under way, for then `post_shipment` finishes it."""
        return await self._postings.find(call, reference, posting)

    async def post_shipment(
        self, call: Call, *, reference: str, posting: str, location: str, lines: Sequence[ShipmentLine]
    ) -> SystemShipment:
        """Booked as shipped; the rest of the order stays open in a shipment of its own."""
        return await self._postings.post(call, reference, posting, location, lines)

    async def find_adjustment(self, call: Call, *, posting: str) -> SystemAdjustment | None:
        """The finished correction; None also while it is under way, for then `post_adjustment` finishes it."""
        return await self._adjustments.find(call, posting)

    async def post_adjustment(
        self, call: Call, *, posting: str, location: str, code: str, amount: Decimal, uom: str
    ) -> SystemAdjustment:
        """Added to what the warehouse's storage has, whatever that is by then."""
        return await self._adjustments.post(call, posting, location, code, amount, uom)

    async def read_invoices(self, call: Call, *, reference: str) -> Sequence[SystemInvoice]:
        """Those that bill the order, and those that give something of it back."""
        return await self._invoices.read(call, reference)

    async def find_bill(self, call: Call, *, reference: str, posting: str) -> SystemInvoice | None:
        """The posted invoice; None also while it is a draft, for then `bill_shipment` posts it."""
        return await self._invoices.find(call, reference, posting)

    async def bill_shipment(self, call: Call, *, reference: str, posting: str) -> SystemInvoice:
        """The draft that Tryton made of the shipment is posted. Raises `Conflict` (``erp.not_billed``)."""
        return await self._invoices.bill(call, reference, posting)

    async def find_credit(self, call: Call, *, credit: str) -> SystemInvoice | None:
        """The posted credit note; None also while it is under way, for then `issue_credit` finishes it."""
        return await self._credits.find(call, credit)

    async def issue_credit(self, call: Call, *, order: CreditOrder) -> SystemInvoice:
        """Made, processed, the goods booked in, posted; goes on where an earlier call stopped."""
        return await self._credits.issue(call, order)

    async def _zone(self, call: Call, location: int) -> list[wire.Stock]:
        found: list[wire.Stock] = []
        size = self._settings.page_size
        context: dict[str, object] = {"locations": [location], "with_childs": True}
        while True:
            domain = [*_STOCKED, ("id", ">", found[-1].id if found else 0)]
            page = await self._directory.rows(call, wire.Stock, domain, limit=size, context=context)
            found += page
            if len(page) < size:
                return found


def _unless_same(zone: int, bucket: Bucket, warehouse: wire.Warehouse) -> dict[int, Bucket]:
    return {} if zone == warehouse.storage_location else {zone: bucket}


def _position(cursor: str | None) -> int:
    if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
        raise Rejected("this cursor is not one of ours: start without one", code="erp.bad_cursor")
    return int(cursor or 0)
