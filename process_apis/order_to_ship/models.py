"""What orders are made of: the command that places one, the facts the record holds, and the views others read.

Amounts of lines are in base units of the item. Facts are frozen: `rules.py`, `steps.py` and `outcomes.py` return new
ones, and `records.py` writes the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.canonical.capabilities import KeepsAnswer
from gateway.canonical.freight import MilestoneKind
from gateway.canonical.order import FillPolicy, OrderState
from gateway.canonical.party import Address
from gateway.kernel.context import Caller
from gateway.kernel.exchange import Reply
from gateway.kernel.money import Money
from gateway.pacing.places import Waiting

SHIPMENT_PREFIX: Final = "shp"
EXCEPTION_PREFIX: Final = "exc"
WORKFLOW: Final = "order_to_ship.advance"
QUEUE: Final = "orders"


# --- commands ---------------------------------------------------------------------------------------------------------


class AskedLine(Struct, frozen=True, kw_only=True):
    """What a buyer asks for: an item by our id or by SKU, in any unit it is traded in (none: its base unit).

    `stated_price` is what one of that unit costs, as the buyer has it.
    """

    amount: Decimal
    uom: str | None = None
    sku: str | None = None
    item: str | None = None
    stated_price: Money | None = None


class PlaceOrder(Struct, frozen=True, kw_only=True):
    """Place an order. Channel, `sold_to`, `external_number` and `release` identify it within the caller's tenant.

    Without `fill` its channel's policy holds.
    """

    caller: Caller
    channel: str
    partner: str | None
    sold_to: str
    external_number: str
    currency: str
    ship_to: Address
    lines: tuple[AskedLine, ...]
    release: str = ""
    requested_date: date | None = None
    fill: FillPolicy | None = None


# --- facts ------------------------------------------------------------------------------------------------------------


class OrderLine(Struct, frozen=True, kw_only=True):
    """One line and its counters: ordered = open + backordered + shipped + cancelled, always.

    `oversold`: what stock could not give when the line was accepted all the same. `expected`: when known supply covers
    what is backordered (None where none does); where nothing is, when it arrives, if that is after the requested
    date. `stated_price` is the buyer's, per `asked_uom`. Of `shipped`, `returned` came back and `credited` of that was
    credited: told where an order is only read.
    """

    line: int
    item: str
    sku: str
    asked_amount: Decimal
    asked_uom: str
    uom: str
    factor: Decimal
    unit_price: Decimal
    ordered: Decimal
    open: Decimal
    backordered: Decimal = Decimal(0)
    shipped: Decimal = Decimal(0)
    cancelled: Decimal = Decimal(0)
    over_shipped: Decimal = Decimal(0)
    oversold: Decimal = Decimal(0)
    expected: date | None = None
    stated_price: Decimal | None = None
    returned: Decimal = Decimal(0)
    credited: Decimal = Decimal(0)


class Allocation(Struct, frozen=True, kw_only=True):
    """How much of a line one location promised."""

    line: int
    location: str
    claim: str
    amount: Decimal


class ReleasedLine(Struct, frozen=True, kw_only=True):
    """How much of a line was handed over from a location in one release, and under which claims.

    `withdrawn`: every system that had the release confirmed that it has it no more; another one may take its place.
    """

    release: int
    line: int
    location: str
    amount: Decimal
    claims: tuple[str, ...]
    withdrawn: bool = False


class Verb(StrEnum):
    """What people do to an order that is under way; its buyer amends it."""

    HOLD = "hold"
    REALLOCATE = "reallocate"
    SPLIT = "split"
    CANCEL = "cancel"
    AMEND = "amend"


class ReworkLine(Struct, frozen=True, kw_only=True):
    """A line that is meant, or so much of it in base units; `location` is where it is to be served from."""

    line: int
    amount: Decimal | None = None
    location: str | None = None


class AmendedLine(Struct, frozen=True, kw_only=True):
    """How much of a line is wanted in all, in the unit it was ordered in or (None) its base unit; 0 is none of it."""

    line: int
    amount: Decimal
    uom: str | None = None


class Amendment(Struct, frozen=True, kw_only=True):
    """What a buyer wants of its order instead; what is left out stays as it is."""

    lines: tuple[AmendedLine, ...] = ()
    ship_to: Address | None = None
    requested_date: date | None = None


class Rework(Struct, frozen=True, kw_only=True):
    """What a person asked of an order: done once the `releases` that it concerns are withdrawn from all systems.

    Of an amendment, `lines` are what is wanted less, `more` what is wanted more, and the rest is the delivery.
    """

    action: str
    verb: Verb
    actor: str
    reason: str
    lines: tuple[ReworkLine, ...] = ()
    releases: tuple[int, ...] = ()
    more: tuple[ReworkLine, ...] = ()
    ship_to: Address | None = None
    requested_date: date | None = None


class TaskKind(StrEnum):
    """What is asked of another system."""

    TERMS = "terms"
    ERP_ORDER = "erp_order"
    ERP_WITHDRAWAL = "erp_withdrawal"
    WAREHOUSE_WORK = "warehouse_work"
    SHIPMENT_POSTING = "shipment_posting"
    INVOICE = "invoice"
    FREIGHT_QUOTE = "freight_quote"
    FREIGHT_BOOKING = "freight_booking"


class TaskState(StrEnum):
    """How far it is. ATTEMPTED and UNDOING mean that a call is, or was, under way and its outcome is not known.

    WITHDRAWN is ABSENT for good: what it asked for is asked for in another release.
    SKIPPED: the order went on without it.
    """

    PENDING = "pending"
    ATTEMPTED = "attempted"
    DONE = "done"
    UNDOING = "undoing"
    ABSENT = "absent"
    WITHDRAWN = "withdrawn"
    SKIPPED = "skipped"


class Task(Struct, frozen=True, kw_only=True):
    """One thing asked of one system. `settling`: its outcome is unknown and it is looked up after `not_before`.

    `target` is a location, a shipment (of its posting and its invoice) or the system itself, of a later release with
    its number. `verify_at`: when to look for a twin, where one attempt followed another whose outcome was unknown.
    """

    kind: TaskKind
    target: str
    system: str
    state: TaskState = TaskState.PENDING
    attempts: int = 0
    settling: bool = False
    not_before: datetime | None = None
    verify_at: datetime | None = None
    number: str | None = None
    error_code: str | None = None


class ShippedLine(Struct, frozen=True, kw_only=True):
    """What one movement took out of a warehouse for one line."""

    movement: str
    line: int
    item: str
    amount: Decimal


class Shipment(Struct, frozen=True, kw_only=True):
    """One document of a warehouse that goods of an order left under; posted to the ERP in the order of `sequence`."""

    shipment_id: str
    sequence: int
    source: str
    event_id: str
    location: str
    lines: tuple[ShippedLine, ...]
    release: int = 1


class InvoicedLine(Struct, frozen=True, kw_only=True):
    """What the ERP billed of one line of a shipment: base units, price, net and tax in the invoice's currency.

    `tax` is None where the ERP says it of the whole invoice only.
    """

    line: int
    amount: Decimal
    unit_price: Decimal
    net: Decimal
    tax: Decimal | None = None


class Invoice(Struct, frozen=True, kw_only=True):
    """The invoice that bills a shipment, as the ERP posted it. One invoice may bill several shipments.

    `lines` are those of this shipment; `net`, `tax` and `total` are of the whole invoice.
    """

    shipment: str
    system: str
    number: str
    issued_on: date | None
    currency: str
    net: Decimal
    tax: Decimal
    total: Decimal
    lines: tuple[InvoicedLine, ...]


class FreightOffer(Struct, frozen=True, kw_only=True):
    """What one service of one carrier would cost, and when it would deliver."""

    carrier: str
    service: str
    name: str
    price: Money
    arrives_on: date


class Milestone(Struct, frozen=True, kw_only=True):
    """Something that a carrier reported of one parcel."""

    event_id: str
    kind: MilestoneKind
    tracking: str
    occurred_at: datetime
    place: str | None = None


class Freight(Struct, frozen=True, kw_only=True):
    """How the goods of one release leave one location; `target` is that of their warehouse work.

    `offers` are kept until one is chosen. With a `number` the carrier has taken them on.
    """

    target: str
    offers: tuple[FreightOffer, ...] = ()
    carrier: str | None = None
    service: str | None = None
    price: Money | None = None
    arrives_on: date | None = None
    number: str | None = None
    tracking: tuple[str, ...] = ()
    tracking_url: str | None = None
    label_url: str | None = None
    milestones: tuple[Milestone, ...] = ()


class ExceptionClass(StrEnum):
    """Why an order needs a person, or at least their eyes."""

    SYSTEM_DOWN = "system_down"
    OUTCOME_UNKNOWN = "outcome_unknown"
    BROKEN_UPSTREAM = "broken_upstream"
    MISCONFIGURED = "misconfigured"
    REFUSED = "refused"
    CLASHED = "clashed"
    NOT_FOUND = "not_found"
    CANCEL_REFUSED = "cancel_refused"
    CLAIM_LOST = "claim_lost"
    SHIPMENT_MISMATCH = "shipment_mismatch"
    STOCK_SHORT = "stock_short"


class Finding(Struct, frozen=True, kw_only=True):
    """An exception in the making, or one that is open."""

    exception: ExceptionClass
    fault_domain: str
    code: str
    detail: str
    blocking: bool
    kind: str = ""
    target: str = ""


class CutOver(Struct, frozen=True, kw_only=True):
    """A business unit's move from one ERP to another, as it holds for an order; without `locations` for all of them."""

    from_erp: str
    to_erp: str
    locations: tuple[str, ...] = ()


class MoveState(StrEnum):
    """How far an order is on its way from one ERP to another."""

    ASKED = "asked"
    WITHDRAWING = "withdrawing"
    SUBMITTING = "submitting"
    MOVED = "moved"
    STAYED = "stayed"


class ErpMove(Struct, frozen=True, kw_only=True):
    """One order's way from one ERP to another; `detail` says why it stayed."""

    from_erp: str
    to_erp: str
    state: MoveState
    detail: str | None = None


class Order(Struct, frozen=True, kw_only=True):
    """Everything the record knows about one order. `released` is what was handed over in parts, where it was.

    `hold_kind` says who holds it for `hold_reason`: None its customer's terms, ``person`` somebody, ``rule`` a rule
    or its customer's standing; the latter two until somebody lets go. `vetted_at` is when somebody overruled the rules.
    `waiting` is its place at a paced system, where somebody asked for it. `shape` is that of its turns.
    """

    order_id: str
    tenant: str
    channel: str
    partner: str | None
    sold_to: str
    external_number: str
    release: str
    currency: str
    ship_to: Address
    requested_date: date | None
    total: Decimal
    placed_at: datetime
    correlation_id: str
    lines: tuple[OrderLine, ...]
    allocations: tuple[Allocation, ...] = ()
    tasks: tuple[Task, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    exceptions: tuple[Finding, ...] = ()
    fill: FillPolicy = "complete"
    released: tuple[ReleasedLine, ...] = ()
    freight: tuple[Freight, ...] = ()
    cut_overs: tuple[CutOver, ...] = ()
    moves: tuple[ErpMove, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    version: int = 1
    approved_at: datetime | None = None
    allocated_at: datetime | None = None
    hold_reason: str | None = None
    hold_kind: str | None = None
    rework: Rework | None = None
    vetted_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_reason: str | None = None
    cancel_refused_at: datetime | None = None
    picking_began_at: datetime | None = None
    rejected_at: datetime | None = None
    reject_reason: str | None = None
    cancelled_at: datetime | None = None
    completed_at: datetime | None = None
    turn: int = 1
    waiting_turn: int = 0
    shape: str = "1"
    state: OrderState = OrderState.RECEIVED
    waiting: Waiting | None = None

    def task(self, kind: TaskKind, target: str) -> Task | None:
        """The task of that kind for that target, None when it is not planned."""
        return next((task for task in self.tasks if task.kind is kind and task.target == target), None)

    def of_kind(self, kind: TaskKind) -> tuple[Task, ...]:
        """All tasks of one kind, as planned."""
        return tuple(task for task in self.tasks if task.kind is kind)


# --- views ------------------------------------------------------------------------------------------------------------


class Placed(Struct, frozen=True, kw_only=True):
    """The order, and whether this call created it."""

    order: Order
    created: bool


class PlacedAnswer(Struct, frozen=True):
    """What a new order is answered with, and the record that keeps the answer in the order's own transaction."""

    keeper: KeepsAnswer
    render: Callable[[Order], Reply]


class OrderSummary(Struct, frozen=True, kw_only=True):
    """One order in a list."""

    order_id: str
    external_number: str
    release: str
    channel: str
    partner: str | None
    sold_to: str
    state: OrderState
    total: Money
    placed_at: datetime
    version: int


class OrderException(Struct, frozen=True, kw_only=True):
    """One entry of the exceptions."""

    exception_id: str
    order_id: str
    exception: ExceptionClass
    fault_domain: str
    code: str
    detail: str
    blocking: bool
    state: str
    seen: int
    raised_at: datetime
    last_seen_at: datetime
    kind: str = ""
    target: str = ""
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    resolution: str | None = None


class Progress(Struct, frozen=True, kw_only=True):
    """Where an order is: its state, whether that is final, each task, and when work on it is next due.

    `degraded` are systems that it went on without, or that it is to be told to yet after they failed.
    """

    order_id: str
    state: OrderState
    final: bool
    cancelling: bool
    tasks: tuple[Task, ...]
    due_at: datetime | None
    exceptions: tuple[OrderException, ...]
    rework: Rework | None = None
    waiting: Waiting | None = None
    degraded: tuple[str, ...] = ()
