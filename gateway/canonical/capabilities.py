"""Capabilities: what a system or a process can do for others, as Protocols.

Adapters implement the capabilities of systems, processes ask for them by Protocol, and `gateway/app.py`
introduces the two. Every call carries a `Call`: its deadline holds for everything below it. Errors are those of
`gateway.kernel.errors`; in particular a write that may or may not have happened raises `OutcomeUnknown`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from gateway.canonical.channel import (
    ChannelOrder,
    ChannelOrderPage,
    ChannelProgress,
    ChannelUpdate,
    PublishedFigure,
    ShownFigure,
    WantedFigure,
)
from gateway.canonical.events import Alike, Event
from gateway.canonical.freight import Booking, Consignment, FreightOption, ReportedMilestone
from gateway.canonical.invoice import CreditOrder, SystemInvoice
from gateway.canonical.item import GroupMembers, Item, ReportedItem
from gateway.canonical.order import (
    ExternalReference,
    ReturnedLine,
    SalesOrder,
    ShipmentLine,
    SoldOrder,
    SystemOrder,
    SystemShipment,
    WarehouseWork,
)
from gateway.canonical.party import CustomerAccount, CustomerStanding, ReportedCustomer
from gateway.canonical.purchase import BillPage, GoodsReceipt, PurchasePage, SupplierInvoice, SystemBill, SystemReceipt
from gateway.canonical.reconciliation import (
    BookedOrder,
    DriftedSnapshot,
    StockDifference,
    StockFigure,
    SystemAdjustment,
    UnpostedLine,
)
from gateway.canonical.stock import (
    ClaimedLine,
    ClaimLine,
    ClaimRequest,
    DemandLine,
    ItemAvailability,
    LotAtHand,
    OrderKey,
    Receipt,
    ReportedMovement,
    ReportedSnapshot,
    ReportedSupply,
    SnapshotPart,
    StandingClaim,
)
from gateway.canonical.warehouse import CountOrder, StatusOrder, TransferOrder
from gateway.kernel.errors import Conflict
from gateway.kernel.exchange import OutboundCall, Reply


class ChannelAccount(Struct, frozen=True, kw_only=True):
    """Under which account the orders of a channel are booked, and in which currency it sells (ISO 4217)."""

    tenant: str
    channel: str
    sold_to: str
    currency: str


class Call(Struct, frozen=True, kw_only=True):
    """One piece of work on its way out. `deadline` is a reading of `Clock.monotonic`, in seconds.

    What is sent for it is told in `made`, where somebody wants to know.
    """

    tenant: str
    correlation_id: str
    deadline: float
    made: list[OutboundCall] | None = None


class Page(Struct, frozen=True):
    """A page of reported items and the cursor of the next one, None at the end."""

    items: tuple[ReportedItem, ...]
    next_cursor: str | None


class CustomerPage(Struct, frozen=True):
    """A page of reported customers and the cursor of the next one, None at the end."""

    customers: tuple[ReportedCustomer, ...]
    next_cursor: str | None


# --- what systems offer -------------------------------------------------------------------------------------------


@runtime_checkable
class ChecksHealth(Protocol):
    """Every adapter: is the system reachable and are our credentials accepted? Raises when not."""

    async def check_health(self, call: Call) -> None: ...


@runtime_checkable
class ReadsItems(Protocol):
    """Lists items with units and packs, in a stable order."""

    async def read_items(self, call: Call, *, cursor: str | None = None, limit: int = 200) -> Page: ...


@runtime_checkable
class ReadsStock(Protocol):
    """Absolute stock by location (the source's own codes), with the cut-off they hold at."""

    async def read_stock(self, call: Call, *, locations: Sequence[str]) -> ReportedSnapshot: ...


@runtime_checkable
class ReadsCustomers(Protocol):
    """A customer with payment terms, credit limit and balance, by the system's own code. Raises `NotFound`."""

    async def read_customer(self, call: Call, *, code: str) -> CustomerAccount: ...


@runtime_checkable
class ListsCustomers(Protocol):
    """Lists customers with their addresses, terms and limit, in a stable order.

    With `changed_since` (UTC) those that the system knows to have changed at or after that instant; what it does not
    date (see its README) only comes with a whole list. A page may be empty and still lead to another.
    """

    async def list_customers(
        self, call: Call, *, cursor: str | None = None, changed_since: datetime | None = None, limit: int = 200
    ) -> CustomerPage: ...


@runtime_checkable
class ReadsDemand(Protocol):
    """Open demand lines that do not bear our reference."""

    async def read_demand(self, call: Call) -> Sequence[DemandLine]: ...


@runtime_checkable
class TakesOrders(Protocol):
    """An ERP that takes sales orders under our reference.

    `submit_order` raises `OutcomeUnknown` when the order may exist; the caller then waits `settle_time`, asks
    `find_order`, and only then submits again. `submit_order` may be called for an order that exists but is not
    `ready`: it finishes it. `cancel_order` raises `Conflict` when work has begun.
    """

    @property
    def external_reference(self) -> ExternalReference: ...

    @property
    def settle_time(self) -> timedelta: ...

    async def find_order(self, call: Call, *, reference: str) -> SystemOrder | None: ...

    async def submit_order(self, call: Call, *, order: SalesOrder) -> SystemOrder: ...

    async def cancel_order(self, call: Call, *, reference: str) -> SystemOrder: ...


@runtime_checkable
class CancelsTwins(Protocol):
    """An ERP whose reference is only searchable, so that two orders may bear it.

    `find_order` then raises `Conflict` (code ``erp.twin_orders``); `cancel_twins` keeps the one that is furthest on,
    of equals the elder, cancels the others, and returns the one it kept.
    """

    async def cancel_twins(self, call: Call, *, reference: str) -> SystemOrder: ...


@runtime_checkable
class PostsShipments(Protocol):
    """An ERP that is told what a warehouse shipped. `posting` is our id of this posting, looked up before a retry."""

    async def find_posting(self, call: Call, *, reference: str, posting: str) -> SystemShipment | None: ...

    async def post_shipment(
        self, call: Call, *, reference: str, posting: str, location: str, lines: Sequence[ShipmentLine]
    ) -> SystemShipment: ...


@runtime_checkable
class ReadsInvoices(Protocol):
    """An ERP whose invoices and credit notes of an order can be read, drafts and cancelled ones too, in their order.

    `reference` is the one that the order, or a release of it, was submitted under; an unknown one has none.
    """

    async def read_invoices(self, call: Call, *, reference: str) -> Sequence[SystemInvoice]: ...


@runtime_checkable
class BillsShipments(Protocol):
    """An ERP that bills what was posted to it when it is asked, each posting once.

    `bill_shipment` may be called for one that was begun and not finished: it finishes it. `find_bill` answers only what
    is finished: an invoice that is posted and has a number. Its lines that bill the posting bear its id. Raises
    `Conflict` (``erp.not_billed``) where the ERP makes no invoice of this shipment.
    """

    async def find_bill(self, call: Call, *, reference: str, posting: str) -> SystemInvoice | None: ...

    async def bill_shipment(self, call: Call, *, reference: str, posting: str) -> SystemInvoice: ...


@runtime_checkable
class IssuesCredits(Protocol):
    """An ERP that issues credit notes under our reference, looked up before a retry.

    `issue_credit` may be called for one that was begun and not finished: it finishes it. `find_credit` answers only
    finished ones. Raises `Conflict` where the credit differs from the one that bears the reference.
    """

    async def find_credit(self, call: Call, *, credit: str) -> SystemInvoice | None: ...

    async def issue_credit(self, call: Call, *, order: CreditOrder) -> SystemInvoice: ...


@runtime_checkable
class ReadsPurchases(Protocol):
    """An ERP whose purchase orders can be read from a cursor, what changed last last; an empty page repeats it.

    Told are those that were approved, and what becomes of them: drafts and what nobody approved yet are left out.
    """

    async def read_purchases(self, call: Call, *, cursor: str | None = None, limit: int = 100) -> PurchasePage: ...


@runtime_checkable
class BooksReceipts(Protocol):
    """An ERP that is told what came in under a purchase order. `receipt` is our id, looked up before a retry.

    `find_receipt` answers only finished ones; `book_receipt` may be called for one that was begun: it finishes it.
    Raises `Conflict` where what bears the id differs.
    """

    async def find_receipt(self, call: Call, *, receipt: str) -> SystemReceipt | None: ...

    async def book_receipt(self, call: Call, *, receipt: GoodsReceipt) -> SystemReceipt: ...


@runtime_checkable
class BooksSupplierInvoices(Protocol):
    """An ERP that books suppliers' invoices that match. Supplier and `number` are unique: looked up before a retry.

    `purchase` is the ERP's number of it. `find_supplier_invoice` answers only posted ones; `book_supplier_invoice` may
    be called for one that was begun: it finishes it. Raises `Conflict` where what bears the number differs.
    """

    async def find_supplier_invoice(self, call: Call, *, purchase: str, number: str) -> SystemBill | None: ...

    async def book_supplier_invoice(self, call: Call, *, purchase: str, invoice: SupplierInvoice) -> SystemBill: ...


@runtime_checkable
class ReadsSupplierInvoices(Protocol):
    """An ERP whose suppliers' invoices can be read from a cursor, what changed last last; an empty page repeats it.

    Told are those that bear the supplier's number and bill a purchase order, whoever entered them.
    """

    async def read_supplier_invoices(self, call: Call, *, cursor: str | None = None, limit: int = 100) -> BillPage: ...


@runtime_checkable
class PostsAdjustments(Protocol):
    """An ERP whose figures can be corrected. `posting` is our id of the correction, looked up before a retry.

    `amount` is added to whatever the ERP has at `location` by then: signed, in `uom`, of the ERP's own item `code`.
    `post_adjustment` may be called for one that was begun and not finished: it finishes it.
    """

    async def find_adjustment(self, call: Call, *, posting: str) -> SystemAdjustment | None: ...

    async def post_adjustment(
        self, call: Call, *, posting: str, location: str, code: str, amount: Decimal, uom: str
    ) -> SystemAdjustment: ...


@runtime_checkable
class ReleasesWork(Protocol):
    """A warehouse that takes orders to pick and ship. `cancel_work` raises `Conflict` once picking began."""

    async def find_work(self, call: Call, *, reference: str) -> WarehouseWork | None: ...

    async def release_work(self, call: Call, *, order: SalesOrder, location: str) -> WarehouseWork: ...

    async def cancel_work(self, call: Call, *, reference: str) -> WarehouseWork: ...


@runtime_checkable
class ReleasesTransfers(Protocol):
    """A warehouse that sends goods to other locations of ours; both are named in its own codes.

    What it dispatches under our reference, it reports as movements. Its references are one space with those of
    `ReleasesWork`. `cancel_transfer` raises `Conflict` once picking began, `NotFound` when the reference is unknown.
    """

    async def find_transfer(self, call: Call, *, reference: str) -> WarehouseWork | None: ...

    async def release_transfer(self, call: Call, *, order: TransferOrder) -> WarehouseWork: ...

    async def cancel_transfer(self, call: Call, *, reference: str) -> WarehouseWork: ...


@runtime_checkable
class ChangesStatus(Protocol):
    """A warehouse that holds, releases and writes off as damaged when asked; once per reference.

    It answers its own number of the change, and reports the movement. `Conflict` says that it has not so much there.
    """

    async def find_status_change(self, call: Call, *, reference: str) -> str | None: ...

    async def change_status(self, call: Call, *, order: StatusOrder) -> str: ...


@runtime_checkable
class TakesCounts(Protocol):
    """A warehouse whose figures can be set to what was counted; once per reference.

    It answers its own number of the count, and reports the movements. `Conflict` says that goods moved since.
    """

    async def find_count(self, call: Call, *, reference: str) -> str | None: ...

    async def post_count(self, call: Call, *, order: CountOrder) -> str: ...


@runtime_checkable
class OffersFreight(Protocol):
    """A carrier, or a TMS that speaks for several: what a consignment costs by each service that serves its address.

    None at all where it does not serve it. Asking books nothing.
    """

    async def quote_freight(self, call: Call, *, consignment: Consignment) -> Sequence[FreightOption]: ...


@runtime_checkable
class BooksFreight(Protocol):
    """A carrier that takes consignments on, once under each of our references, looked up before a retry.

    `cancel_booking` raises `Conflict` once the goods were collected, `NotFound` when the reference is unknown.
    """

    async def find_booking(self, call: Call, *, reference: str) -> Booking | None: ...

    async def book_freight(self, call: Call, *, consignment: Consignment, service: str) -> Booking: ...

    async def cancel_booking(self, call: Call, *, reference: str) -> Booking: ...


class Webhook(Struct, frozen=True, kw_only=True):
    """A webhook as it arrived: header names lower case, body untouched."""

    headers: Mapping[str, str]
    body: bytes


class Report(Struct, frozen=True, kw_only=True):
    """What one webhook or poll told: movements, snapshots or parts, supply lines, milestones, any of them or none."""

    movements: tuple[ReportedMovement, ...] = ()
    snapshots: tuple[ReportedSnapshot, ...] = ()
    parts: tuple[SnapshotPart, ...] = ()
    supply: tuple[ReportedSupply, ...] = ()
    milestones: tuple[ReportedMilestone, ...] = ()


@runtime_checkable
class SendsWebhooks(Protocol):
    """A system that calls us. `parse_webhook` verifies first: `NotAuthenticated` when the signature is wrong."""

    def parse_webhook(self, webhook: Webhook) -> Report: ...


@runtime_checkable
class ReportsMovements(Protocol):
    """A system whose movements can be read again from a cursor: how silence and loss are repaired."""

    async def read_movements(self, call: Call, *, cursor: str | None) -> tuple[Report, str | None]: ...


@runtime_checkable
class ReportsMilestones(Protocol):
    """A carrier whose milestones can be read again from a cursor, oldest first; an empty page is the end."""

    async def read_milestones(self, call: Call, *, cursor: str | None) -> tuple[Report, str | None]: ...


@runtime_checkable
class PublishesAvailability(Protocol):
    """A channel that shows stock figures of its own, and lowers them itself when it sells.

    `publish_figures` takes at most `figures_per_call` and answers for each, in their order; with `compares` a figure
    is set only while the channel still shows what it showed at that version. `OutcomeUnknown` means that some, all or
    none were set. `read_figures` leaves out what the channel does not sell.
    """

    @property
    def figures_per_call(self) -> int: ...

    @property
    def compares(self) -> bool: ...

    async def read_figures(self, call: Call, *, skus: Sequence[str]) -> Sequence[ShownFigure]: ...

    async def publish_figures(self, call: Call, *, figures: Sequence[WantedFigure]) -> Sequence[PublishedFigure]: ...


@runtime_checkable
class ReadsChannelOrders(Protocol):
    """A channel whose orders can be read from a cursor, oldest first; an empty page is the end and repeats it."""

    async def read_channel_orders(self, call: Call, *, cursor: str | None) -> ChannelOrderPage: ...


@runtime_checkable
class TakesOrderUpdates(Protocol):
    """A channel that is told how its orders go on, each update once by its id: the same again changes nothing.

    Raises `Rejected`, `NotFound` or `Conflict` for what it will not take; then it has taken nothing of it.
    """

    async def update_order(self, call: Call, *, update: ChannelUpdate) -> None: ...


class FindsSystems(Protocol):
    """Which configured instance answers for a location, and the instance behind a name.

    Names are what processes keep: an order stays with the system that took it when a location moves to another one.
    `None` says that nobody is to be told. An unknown name, or one without the capability, raises `Misconfigured`.
    """

    def erp_of(self, tenant: str, location: str) -> str: ...

    def poster_of(self, tenant: str, location: str) -> str | None: ...

    def warehouse_of(self, tenant: str, location: str) -> str | None: ...

    def takes_orders(self, instance: str) -> TakesOrders: ...

    def reads_customers(self, instance: str) -> ReadsCustomers: ...

    def posts_shipments(self, instance: str) -> PostsShipments: ...

    def bills_shipments(self, instance: str) -> BillsShipments: ...

    def releases_work(self, instance: str) -> ReleasesWork: ...

    def offers_freight(self, instance: str) -> OffersFreight: ...

    def books_freight(self, instance: str) -> BooksFreight: ...

    def business_day(self, tenant: str, location: str, at: datetime) -> date: ...


class FindsWarehouses(Protocol):
    """Which configured instance works at a location, and the instance behind a name, in our location codes.

    `None`: the holder of that location only tells, or is us; nobody is to be asked. What is not offered raises
    `Misconfigured`.
    """

    def transferring(self, tenant: str, location: str) -> str | None: ...

    def restating(self, tenant: str, location: str) -> str | None: ...

    def releases_transfers(self, instance: str) -> ReleasesTransfers: ...

    def changes_status(self, instance: str) -> ChangesStatus: ...

    def counting(self, tenant: str, location: str) -> str | None: ...

    def takes_counts(self, instance: str) -> TakesCounts: ...


class FindsCreditors(Protocol):
    """The instance behind a name as one that issues credit notes, in our location codes.

    None where it issues none: a person does.
    """

    def issues_credits(self, instance: str) -> IssuesCredits | None: ...


class FindsPurchaseBooks(Protocol):
    """The instance behind a name as one that keeps the books of what was bought, in our location codes.

    None where it does not take that from others: a person books it there.
    """

    def books_receipts(self, instance: str) -> BooksReceipts | None: ...

    def books_supplier_invoices(self, instance: str) -> BooksSupplierInvoices | None: ...


class StockAccount(Struct, frozen=True, kw_only=True):
    """A system that tells absolute stock, and its codes of those locations of ours that are meant."""

    name: str
    reads: ReadsStock
    codes: Mapping[str, str]


class FindsAccounts(Protocol):
    """Whose word is held against whose: the owners of stock, their journals, and the ERPs that are told about it."""

    def journals(self, tenant: str) -> Mapping[str, ReportsMovements]: ...

    def owners(self, tenant: str) -> Sequence[StockAccount]: ...

    def ledgers(self, tenant: str) -> Sequence[StockAccount]: ...

    def posts_adjustments(self, instance: str) -> PostsAdjustments | None: ...

    def takes_orders(self, instance: str) -> TakesOrders: ...

    def posts_shipments(self, instance: str) -> PostsShipments: ...

    def reads_invoices(self, instance: str) -> ReadsInvoices | None: ...


# --- what processes offer each other ------------------------------------------------------------------------------


class Connection(Protocol):
    """A database connection inside the caller's transaction (asyncpg's)."""

    async def execute(self, query: str, *args: Any) -> str: ...

    async def fetch(self, query: str, *args: Any) -> list[Any]: ...

    async def fetchrow(self, query: str, *args: Any) -> Any: ...

    async def fetchval(self, query: str, *args: Any) -> Any: ...


class GathersWrites(Protocol):
    """Takes what several parties write at the end of one transaction, to run it as one (`gateway.store.together`).

    `add` takes a statement once, `row` one row of a statement whose parameters are arrays; `tell` takes events,
    `tell_alike` those that share rows of the log.
    """

    def add(self, sql: str, *args: Any, returning: str = "") -> None: ...

    def row(self, sql: str, *values: Any, returning: str = "") -> None: ...

    def tell(self, events: Sequence[Event]) -> None: ...

    def tell_alike(self, events: Alike) -> None: ...


class KeepsAnswer(Protocol):
    """The idempotency record of the request being served, for a process that stores the answer in its transaction.

    `keep` adds the answer to `writes`. When `is_kept` denies it of what running them returned, another execution has
    taken over: `lost` says so, and the transaction must be undone. `completed` is set after the commit.
    """

    completed: bool

    @property
    def lost(self) -> Conflict: ...

    def keep(self, writes: GathersWrites, reply: Reply) -> None: ...

    def is_kept(self, results: Mapping[str, Sequence[Any]]) -> bool: ...


class RecordsMilestones(Protocol):
    """Takes what carriers report of goods on their way, each event once; returns when they are committed."""

    async def record_milestones(self, tenant: str, milestones: Sequence[ReportedMilestone]) -> None: ...


@runtime_checkable
class RecordsStock(Protocol):
    """Takes reports of movements, snapshots and supply; returns when they are committed.

    `record_again` does the same, at a fraction of the cost where most was recorded before; at more where little was.
    `heard` says that sources answered and had nothing new to tell: their figures are as of now.
    """

    async def record(self, tenant: str, report: Report) -> Receipt: ...

    async def record_again(self, tenant: str, report: Report) -> Receipt: ...

    async def heard(self, tenant: str, *sources: str) -> None: ...


@runtime_checkable
class KeepsSupply(Protocol):
    """Takes supply lines in the caller's transaction, as `RecordsStock` does in its own; older news changes nothing.

    What cannot be mapped is parked, and let in when its mapping is mended.
    """

    async def keep_supply(self, connection: Connection, *, tenant: str, lines: Sequence[ReportedSupply]) -> Receipt: ...


@runtime_checkable
class TellsPositions(Protocol):
    """The physical figures by their full key: rows with item, location, owner, bucket, lot, amount (base units)."""

    async def positions(self, tenant: str, *, items: Sequence[str], location: str | None) -> Sequence[Any]: ...

    async def positions_by(
        self, tenant: str, *, items: Sequence[str], location: str, cut_off: OrderKey, at: datetime
    ) -> Sequence[Any]:
        """As they were after event `cut_off` of who holds `location`, at the instant `at`, by all that was told since.

        Raises what is raised of a time that history does not reach back to.
        """
        ...


class TellsLots(Protocol):
    """What lies by lot where a channel's promises are served from: its sellable figures, those of the rule's owner."""

    async def lots_at(
        self, connection: Connection, *, tenant: str, channel: str, location: str, items: Sequence[str]
    ) -> Sequence[LotAtHand]: ...


@runtime_checkable
class ExaminesStock(Protocol):
    """What the books say of snapshots that drifted, and of what is on hand; asked by reconciliation, after the fact."""

    async def drifted(
        self, tenant: str, *, since: datetime, source: str | None, limit: int
    ) -> Sequence[DriftedSnapshot]: ...

    async def differences(self, tenant: str, snapshot: str) -> Sequence[StockDifference]: ...

    async def on_hand(self, tenant: str, locations: Sequence[str]) -> Sequence[StockFigure]: ...


@runtime_checkable
class TellsUnposted(Protocol):
    """What was shipped and, as far as is known for certain, is not booked in any ERP yet."""

    async def unposted(self, tenant: str, locations: Sequence[str]) -> Sequence[UnpostedLine]: ...


@runtime_checkable
class TellsBooked(Protocol):
    """What ERPs confirmed of orders, by order id after `after`: those still open, or closed since `since`.

    What was changed after `until` may be on its way and is left out. With `orders` only those of these references.
    """

    async def booked(
        self,
        tenant: str,
        *,
        after: str,
        since: datetime,
        until: datetime,
        limit: int,
        orders: Sequence[str] | None = None,
    ) -> Sequence[BookedOrder]: ...


@runtime_checkable
class TellsSold(Protocol):
    """What was sold and shipped under an order, inside the caller's transaction; of a `partner` its own orders only.

    Raises `NotFound` (``order.not_found``).
    """

    async def sold(self, connection: Connection, *, tenant: str, order: str, partner: str | None) -> SoldOrder: ...


class TellsProgress(Protocol):
    """How far an order is, for the channel that sold it, inside the caller's transaction; None where there is none."""

    async def channel_progress(self, connection: Connection, *, tenant: str, order: str) -> ChannelProgress | None: ...


class TellsReturned(Protocol):
    """What came back of an order, inside the caller's transaction, by line; lines of which nothing did are left out."""

    async def returned(self, connection: Connection, *, order: str) -> Sequence[ReturnedLine]: ...


@runtime_checkable
class ClaimsStock(Protocol):
    """Promises stock inside the caller's transaction, so that order, claims and log commit together.

    `action` makes each verb idempotent: the same action id returns what the first call returned.
    `claim` raises `Conflict` (code ``stock.insufficient``, naming lines) and promises nothing when a line does not fit.
    `claim_all` decides different orders one after the other, as if each had come alone, and returns that `Conflict`
    in the place of an order that does not fit. What it writes goes to `writes`, which its caller runs before the
    transaction ends; the stock is locked from then on.
    """

    async def claim_all(
        self, connection: Connection, *, tenant: str, requests: Sequence[ClaimRequest], writes: GathersWrites
    ) -> Sequence[Sequence[ClaimedLine] | Conflict]: ...

    def arrive_late(self, tenant: str, request: ClaimRequest, made: Sequence[ClaimedLine]) -> Mapping[int, date]:
        """By line of what was just `made` for `request`: when it is there, where that is after its `need_by`."""
        ...

    async def claim(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        channel: str,
        lines: Sequence[ClaimLine],
        correlation_id: str,
    ) -> Sequence[ClaimedLine]: ...

    async def allocate(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        correlation_id: str,
        handed: bool = False,
        lines: Sequence[int] | None = None,
    ) -> Sequence[ClaimedLine]: ...

    async def release(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        lines: Sequence[int] | None,
        correlation_id: str,
    ) -> Sequence[ClaimedLine]: ...

    async def backorder(
        self,
        connection: Connection,
        *,
        tenant: str,
        request: ClaimRequest,
        made: Sequence[ClaimedLine],
        writes: GathersWrites,
        known_supply: bool = False,
    ) -> Sequence[StandingClaim]:
        """Have what `made`, by `claim_all` in this transaction, lacks of `request` wait for supply.

        With `known_supply` only for what is known to come: `Conflict` (``stock.insufficient``) otherwise.
        """
        ...

    async def release_waiting(
        self, connection: Connection, *, tenant: str, action: str, order: str, correlation_id: str
    ) -> Sequence[ClaimedLine]:
        """Give up what of the order still waits for supply, and leave it the rest."""
        ...

    async def take_back(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        claims: Sequence[str],
        correlation_id: str,
    ) -> Sequence[ClaimedLine]:
        """No other system works on these `claims` any more: what is short of them waits again."""
        ...

    async def lessen(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        amounts: Mapping[int, Decimal],
        keep: Collection[str],
        correlation_id: str,
    ) -> Sequence[ClaimedLine]:
        """Give back so much of each line, what waits for supply first, but nothing of the claims to `keep`."""
        ...

    async def standing(self, connection: Connection, *, tenant: str, order: str) -> Sequence[StandingClaim]:
        """All that an order holds open now, what lacks of it, and when that is expected."""
        ...


class TakesChannelOrders(Protocol):
    """Takes what a channel sold by itself as an order like any other, in the transaction of whoever imports it."""

    async def take_channel_order(
        self, connection: Connection, *, account: ChannelAccount, order: ChannelOrder, items: Mapping[int, Item]
    ) -> Mapping[int, Decimal]:
        """What stock could give of each line in `items`, in base units; all of it is taken. Again changes nothing."""
        ...

    async def give_up_channel_order(
        self, connection: Connection, *, account: ChannelAccount, order: ChannelOrder
    ) -> bool:
        """Cancel what the channel cancelled; false where no such order was taken.

        One that is worked on already goes to a person.
        """
        ...


@runtime_checkable
class AnswersAvailability(Protocol):
    """What a channel may sell, from the projection, never by a call to another system.

    `from_record` asks the record alone: for whoever tells of a change that the projection may not have seen yet.
    """

    async def availability(
        self, tenant: str, *, channel: str, items: Sequence[str], locations: bool = False, from_record: bool = False
    ) -> Sequence[ItemAvailability]: ...


@runtime_checkable
class ResolvesItems(Protocol):
    """Items by our id, by SKU and by a source's code. Unknown ones are left out of the answer."""

    async def by_id(self, tenant: str, items: Sequence[str]) -> Mapping[str, Item]: ...

    async def by_sku(self, tenant: str, skus: Sequence[str]) -> Mapping[str, Item]: ...

    async def by_source(self, tenant: str, source: str, codes: Sequence[str]) -> Mapping[str, Item]: ...

    async def source_codes(self, tenant: str, source: str, items: Sequence[str]) -> Mapping[str, str]: ...

    async def refresh(self, tenant: str) -> None:
        """Answer by what the record has now: somebody told of a change."""
        ...

    async def list_items(self, tenant: str, *, after: str | None, limit: int) -> Sequence[Item]: ...


class ResolvesCustomers(Protocol):
    """What our own list says of customers by number, from a copy that is a second old at most."""

    async def standing(self, tenant: str, number: str) -> CustomerStanding | None: ...


class WithoutCustomers:
    """Implements `ResolvesCustomers` for whoever keeps none."""

    async def standing(self, tenant: str, number: str) -> CustomerStanding | None:  # noqa: ARG002 - none at all
        """No customer."""
        return None


class ResolvesGroups(Protocol):
    """Which items are in which group, from a copy that is a second old at most; asked in the caller's transaction."""

    async def members(self, tenant: str, connection: Connection) -> GroupMembers: ...


class WithoutGroups:
    """Implements `ResolvesGroups` for whoever has none."""

    async def members(self, tenant: str, connection: Connection) -> GroupMembers:  # noqa: ARG002 - none at all
        """No groups."""
        return GroupMembers({})
