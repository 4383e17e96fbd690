"""Two systems that live in memory, and the real door before the routes that are generated for them."""

import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from gateway.canonical.capabilities import Call, Page, Report
from gateway.canonical.freight import MilestoneKind, ReportedMilestone
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import Location
from gateway.canonical.order import (
    ExternalReference,
    ShipmentLine,
    SystemOrder,
    SystemShipment,
    WarehouseWork,
    WorkState,
)
from gateway.canonical.party import CustomerAccount
from gateway.canonical.stock import (
    Bucket,
    DemandLine,
    MovementType,
    OrderKey,
    ReportedFigure,
    ReportedMovement,
    ReportedSnapshot,
)
from gateway.edge.front_door import FrontDoor
from gateway.edge.litestar_app import make_litestar
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import NotAuthenticated, NotFound
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from gateway.systems.directory import Directory
from gateway.systems.loader import LoadedSystem
from gateway.systems.manifest import load_manifest
from policies.canonical_request.policy import CanonicalRequest
from policies.message_hygiene.policy import MessageHygiene
from policies.trace.policy import Trace
from policies.validate_request.policy import ValidateRequest
from policies.version.policy import Version

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
EXACT = Decimal("12345678901.123456789")


def call():
    return Call(tenant="acme", correlation_id="cor_1", deadline=time.monotonic() + 60)


def movement(sequence=1, source="wms_north"):
    return ReportedMovement(
        source=source,
        event_id=f"EV-{sequence}",
        line=1,
        order_key=OrderKey(1, sequence),
        type=MovementType.RECEIPT_POSTED,
        occurred_at=NOW,
        source_item="W-1",
        source_location="NOR1",
        amount=EXACT,
        uom="EA",
    )


class MemoryErp:
    """Offers what Tryton's manifest declares."""

    external_reference = ExternalReference.SEARCHABLE
    settle_time = timedelta(seconds=1)

    def __init__(self):
        self.orders = {}
        self.postings = {}
        self.submitted = []

    async def check_health(self, call):
        pass

    async def read_items(self, call, *, cursor=None, limit=200):
        packs = (UnitConversion("CS", Decimal(12)),)
        item = ReportedItem(
            source_code="P/1", sku="SKU/1 #é", name="Bolt", base_uom="EA", packs=packs, list_price=Money(EXACT, "USD")
        )
        return Page((item,), "more" if cursor is None else None)

    async def read_stock(self, call, *, locations):
        figure = ReportedFigure(
            source_item="P/1", source_location=locations[0], bucket=Bucket.SELLABLE, amount=EXACT, uom="EA"
        )
        return ReportedSnapshot(
            source="erp",
            event_id="snap",
            cut_off=OrderKey(1, 7),
            taken_at=NOW,
            full=True,
            locations=tuple(locations),
            figures=(figure,),
        )

    async def read_customer(self, call, *, code):
        if code != "CUST/1":
            raise NotFound(f"no customer {code}", code="erp.customer_not_found")
        limit = Money(Decimal(500), "USD")
        return CustomerAccount(code=code, name="Zoë", payment_term="Net 30", credit_limit=limit, balance=None)

    async def read_demand(self, call):
        return [
            DemandLine(
                source_reference="S1",
                source_item="P/1",
                source_location="WH-N",
                amount=EXACT,
                uom="EA",
                due=date(2026, 12, 1),
            )
        ]

    async def find_order(self, call, *, reference):
        return self.orders.get(reference)

    async def submit_order(self, call, *, order):
        self.submitted.append(order)
        lines = tuple(ShipmentLine(line=line.line, item=line.item, amount=line.amount) for line in order.lines)
        shipment = SystemShipment(number="S1", state="waiting", location=order.lines[0].location or "", lines=lines)
        made = SystemOrder(reference=order.order, number="1", state="done", ready=True, shipments=(shipment,))
        return self.orders.setdefault(order.order, made)

    async def cancel_order(self, call, *, reference):
        return SystemOrder(reference=reference, number="1", state="cancelled", ready=True, cancelled=True)

    async def cancel_twins(self, call, *, reference):
        return self.orders[reference]

    async def find_posting(self, call, *, reference, posting):
        return self.postings.get(posting)

    async def post_shipment(self, call, *, reference, posting, location, lines):
        made = SystemShipment(number="SH1", state="done", location=location, lines=tuple(lines))
        return self.postings.setdefault(posting, made)


class MemoryWms:
    """Offers what the Regional WMS's manifest declares; `pages` are what a poll finds."""

    def __init__(self):
        self.released = []
        self.pages = []
        self.cursors = []
        self.snapshots = 0
        self.error = None

    async def check_health(self, call):
        pass

    async def read_items(self, call, *, cursor=None, limit=200):
        return Page((), None)

    async def read_stock(self, call, *, locations):
        if self.error:
            raise self.error
        self.snapshots += 1
        return ReportedSnapshot(
            source="wms_north",
            event_id=f"snap{self.snapshots}",
            cut_off=OrderKey(1, 0),
            taken_at=NOW,
            full=True,
            locations=tuple(locations),
            figures=(),
        )

    async def find_work(self, call, *, reference):
        return None

    async def release_work(self, call, *, order, location):
        self.released.append((order, location))
        return WarehouseWork(reference=order.order, number="W1", state=WorkState.RELEASED)

    async def cancel_work(self, call, *, reference):
        return WarehouseWork(reference=reference, number="W1", state=WorkState.CANCELLED)

    find_transfer, cancel_transfer = find_work, cancel_work

    async def release_transfer(self, call, *, order):
        return WarehouseWork(reference=order.transfer, number="T1", state=WorkState.RELEASED)

    async def find_status_change(self, call, *, reference):
        return None

    async def change_status(self, call, *, order):
        return "S1"

    find_count = find_status_change

    async def post_count(self, call, *, order):
        return "C1"

    def parse_webhook(self, webhook):
        if webhook.headers.get("x-signature") != "right":
            raise NotAuthenticated("the webhook is refused", code="webhook.bad_signature")
        return Report(movements=tuple(movement(number) for number in json.loads(webhook.body)))

    async def read_movements(self, call, *, cursor):
        self.cursors.append(cursor)
        if self.error:
            raise self.error
        at = int(cursor or 0)
        if at >= len(self.pages):
            return Report(), cursor
        return self.pages[at], str(at + 1)


class MemoryCarrier:
    """A carrier with one milestone."""

    def __init__(self):
        self.error = None

    def parse_webhook(self, webhook):
        return Report(milestones=(milestone(),))

    async def read_milestones(self, call, *, cursor):
        if self.error:
            raise self.error
        return (Report(), cursor) if cursor else (Report(milestones=(milestone(),)), "1")


def milestone():
    return ReportedMilestone(
        source="carrier", event_id="e1", reference="ord_1/north", tracking="T1", kind=MilestoneKind.DELIVERED,
        occurred_at=NOW,
    )  # fmt: skip


class Recorder:
    """Keeps what was recorded, or raises."""

    def __init__(self):
        self.reports = []
        self.milestones = []
        self.error = None
        self.silences = []

    async def heard(self, tenant, *sources):
        if self.error:
            raise self.error
        self.silences += sources

    async def record(self, tenant, report):
        if self.error:
            raise self.error
        self.reports.append(report)

    record_again = record

    async def record_milestones(self, tenant, milestones):
        if self.error:
            raise self.error
        self.milestones += milestones

    @property
    def sequences(self):
        return [m.order_key.sequence for report in self.reports for m in report.movements]


@pytest.fixture
def erp():
    return MemoryErp()


@pytest.fixture
def wms_memory():
    return MemoryWms()


@pytest.fixture
def recorder():
    return Recorder()


LOCATIONS = (
    Location(
        location="north",
        name="North DC",
        region="na",
        time_zone="America/Chicago",
        holder="wms_north",
        poster_to="erp",
        codes={"erp": "WH-N", "wms_north": "NOR1"},
    ),
    Location(
        location="west", name="West DC", region="na", time_zone="America/Denver", holder="erp", codes={"erp": "WH-W"}
    ),
)


@pytest.fixture
def directory(erp, wms_memory):
    systems = [
        LoadedSystem(name="erp", product="tryton", manifest=load_manifest("tryton"), adapter=erp),
        LoadedSystem(
            name="wms_north", product="regional_wms", manifest=load_manifest("regional_wms"), adapter=wms_memory
        ),
        LoadedSystem(
            name="carrier", product="parcel_carrier", manifest=load_manifest("parcel_carrier"), adapter=MemoryCarrier()
        ),
    ]
    return Directory(systems, LOCATIONS, tenant="acme", orders="erp")


class Operator:
    """Everybody who comes to the system zone is an operator."""

    name = "authenticate"
    concludes = False

    def admit(self, exchange):
        if exchange.route is not None and exchange.route.zone is not None:
            scopes = frozenset({"system:read", "system:write"})
            exchange.principal = Principal("acme", "operator", "key", frozenset({Zone.SYSTEM}), scopes)
            exchange.caller = Caller(
                exchange.principal, exchange.request_id, exchange.correlation_id, exchange.deadline
            )


@pytest.fixture
def behind_the_door():
    """Serves handlers behind a real front door, and gives the table and a client without a socket."""

    def make(handlers):
        app, table = make_litestar(handlers)
        clock = SystemClock()
        policies = [CanonicalRequest(), MessageHygiene(), Trace(), Version(table, clock), Operator(), ValidateRequest()]
        door = FrontDoor(app, table, policies, clock)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=door), base_url="http://gateway.example")
        return table, client

    return make


@asynccontextmanager
async def alone(reference):
    """No lock: the test is the only one."""
    yield
