"""What is told with every seam failed in turn: each story takes an article that nobody has touched yet.

A story asks as a client would (`site.do`), has people in a warehouse do their work, and lets everything come to rest
(`site.rest`). It returns the subjects that it was about, in which `books.py` finds what became of them. What comes
before it and is another story's own is told `site.seams.aside()`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from gateway.canonical.party import Address
from gateway.canonical.purchase import BilledLine, SupplierInvoice
from gateway.kernel.context import Caller, Principal, Zone
from gateway.pacing.options import SystemPace, Work
from gateway.pacing.places import Visit
from process_apis.order_to_ship.models import QUEUE, WORKFLOW, AskedLine, PlaceOrder, ReworkLine, Verb
from process_apis.order_to_ship.moving import Mover
from process_apis.order_to_ship.rework_rules import Intervention
from process_apis.returns.models import AskedBack, AskReturn, Dispose
from process_apis.stock_operations.models import AskCount, ChangeStatus, Counted, Figure, PlanTransfer, TransferWish

CALLER = Caller(
    Principal("demo", "app", "cred", frozenset({Zone.PROCESS}), frozenset()), "req_1", "cor_1", float("inf")
)
WAREHOUSES = ("wms_north", "wms_west")
SUPPLIER = "SUP2"


class Story(NamedTuple):
    """`tell` is told; `kinds` are the tasks that it asks of systems: ``schema.kind``. A person does those `by_hand`."""

    tell: Callable[..., Awaitable[tuple[str, ...]]]
    kinds: frozenset[str]
    by_hand: frozenset[str] = frozenset()

    @property
    def name(self):
        return self.tell.__name__


async def transfer(site, article):
    """Five go from north to west: three, then two; both warehouses are real."""
    plan = PlanTransfer(
        action=f"t-{article.number}", origin="north", destination="west", release=True,
        lines=(TransferWish(item=article.item, amount=Decimal(5)),),
    )  # fmt: skip
    planned = await site.do(lambda core: core.stock_operations.transfers.plan(CALLER, plan))
    await site.rest()
    for amount in (3, 2):
        lines = [{"line_number": 1, "quantity": str(amount)}]
        await site.work("wms_north", "ship", client_reference=planned.transfer, lines=lines)
        await site.rest()
    await site.work(
        "wms_west", "transfer-receive", warehouse="WES1", item_code=article.code, quantity="5",
        document=planned.transfer,
    )  # fmt: skip
    await site.rest()
    return (planned.transfer,)


async def transfer_withdrawn(site, article):
    """Asked of the warehouse, then asked back."""
    plan = PlanTransfer(
        action=f"w-{article.number}", origin="north", destination="west", release=True,
        lines=(TransferWish(item=article.item, amount=Decimal(5)),),
    )  # fmt: skip
    planned = await site.do(lambda core: core.stock_operations.transfers.plan(CALLER, plan))
    await site.rest()
    await site.do(lambda core: core.stock_operations.transfers.cancel(CALLER, planned.transfer, reason="mistake"))
    await site.rest()
    return (planned.transfer,)


async def status_change(site, article):
    """Three are held."""
    asked = ChangeStatus(
        action=f"s-{article.number}", kind="hold", location="north", item=article.item, amount=Decimal(3), reason="wet"
    )
    change = await site.do(lambda core: core.stock_operations.changes.ask(CALLER, asked))
    await site.rest()
    return (change.change,)


async def count(site, article):
    """Ninety-eight are found where a hundred are in the books: a person agrees, and the warehouse is told."""
    asked = AskCount(action=f"c-{article.number}", location="north", items=(article.item,), reason="due")
    made = await site.do(lambda core: core.stock_operations.counts.ask(CALLER, asked))
    cut_off = await site.cut_off("wms_north")
    for name in ("Ann", "Bea"):
        told = Counted(
            figures=(Figure(article.item, Decimal(98)),), counted_at=datetime.now(UTC), counted_by=name, cut_off=cut_off
        )
        await site.do(lambda core, told=told: core.stock_operations.counts.report(CALLER, made.count, told))
    await site.do(lambda core: core.stock_operations.counts.approve(CALLER, made.count, reason="seen"))
    await site.rest()
    return (made.count,)


async def order(site, article):
    """Hundred and four are ordered, more than the north has: two warehouses ship, one of them in two parts."""
    placed = await site.do(lambda core: core.orders.place_order(_order(article, "104")))
    await site.rest()
    for system, amount in (("wms_north", "60"), ("wms_west", "4"), ("wms_north", "40")):
        lines = [{"line_number": 1, "quantity": amount}]
        await site.work(system, "ship", client_reference=placed.order.order_id, lines=lines)
        await site.rest()
    return (placed.order.order_id,)


async def order_cancelled(site, article):
    """Cancelled by its buyer when both warehouses and the ERP have it."""
    placed = await site.do(lambda core: core.orders.place_order(_order(article, "104")))
    order_id = placed.order.order_id
    await site.rest()
    await site.do(lambda core: core.orders.cancel_order(CALLER, order_id, reason="mistake"))
    await site.rest()
    return (order_id,)


async def order_freighted(site, article):
    """A carrier offers and is booked, then all of it is asked back: by the buyer, with everybody having it."""
    placed = await site.do(lambda core: core.orders.place_order(_order(article, "5", channel="freighted")))
    order_id = placed.order.order_id
    await site.rest()
    await site.do(lambda core: core.orders.cancel_order(CALLER, order_id, reason="mistake"))
    await site.rest()
    return (order_id,)


async def order_refused(site, article):
    """The ERP does not know its customer."""
    placed = await site.do(lambda core: core.orders.place_order(_order(article, "5", sold_to="CUST-GONE")))
    await site.rest()
    return (placed.order.order_id,)


async def order_carried(site, article):
    """A carrier is booked, takes the goods on and delivers them."""
    (order_id,) = await _handed(site, article, "5", channel="freighted")
    await _ship(site, order_id)
    for code in ("PU", "DLV"):
        shipments = (await site.sandboxes["carrier"].look("shipments"))["shipments"]
        [booked] = [each["reference"] for each in shipments if each["reference"].startswith(order_id)]
        await site.work("carrier", "track", reference=booked, code=code)
        await site.rest()
    return (order_id,)


async def order_paced(site, article):
    """The ERP bears one visitor: an order waits while another one is there, then both go on, one after the other."""
    site.pace(erp=SystemPace(visits=1))
    before = Visit(
        system="erp", subject=f"before-{article.number}", work=Work.ORDINARY, since=datetime.now(UTC),
        workflow=WORKFLOW, queue=QUEUE, args=(f"before-{article.number}", 1), shape="1",
    )  # fmt: skip
    await site.do(lambda core: _in_record(core, lambda connection: core.visits.enter(connection, before)))
    asked = [_order(article, amount, part=part) for part, amount in (("a", "5"), ("b", "3"))]
    placed = [(await site.do(lambda core, one=one: core.orders.place_order(one))).order.order_id for one in asked]
    await site.rest()
    await site.do(lambda core: _in_record(core, lambda connection: core.visits.leave(connection, before.subject)))
    await site.rest()
    for order_id in placed:
        await _ship(site, order_id)
    site.pace()
    return tuple(placed)


async def order_moved(site, article):
    """The business unit goes from one ERP to another: the order is withdrawn there, taken here, shipped and posted."""
    with site.seams.aside():
        (order_id,) = await _handed(site, article, "104")
    mover = Mover(tenant=CALLER.tenant, actor="app", correlation_id="cor_1", from_erp="erp", to_erp="erp_new")
    await site.do(lambda core: core.orders.moving.move(mover))
    await site.rest()
    await _ship(site, order_id)
    return (order_id,)


async def order_held(site, article):
    """Customer service holds an order that everybody has, and lets it go on."""
    with site.seams.aside():
        (order_id,) = await _handed(site, article, "104")
    await _intervene(site, order_id, Verb.HOLD)
    await site.do(lambda core: core.orders.release_hold(CALLER, order_id, reason="looked at"))
    await site.rest()
    return await _shipped(site, order_id)


async def order_reallocated(site, article):
    """What the north was to ship comes from the west."""
    with site.seams.aside():
        (order_id,) = await _handed(site, article, "5")
    await _intervene(site, order_id, Verb.REALLOCATE, amount=Decimal(5), location="west")
    return await _shipped(site, order_id)


async def order_split(site, article):
    """Two of five are handed over apart."""
    with site.seams.aside():
        (order_id,) = await _handed(site, article, "5")
    await _intervene(site, order_id, Verb.SPLIT, amount=Decimal(2))
    return await _shipped(site, order_id)


async def order_lessened(site, article):
    """Two of five are cancelled while the warehouse has them."""
    with site.seams.aside():
        (order_id,) = await _handed(site, article, "5")
    await _intervene(site, order_id, Verb.CANCEL, amount=Decimal(2))
    return await _shipped(site, order_id)


async def return_dispositioned(site, article):
    """Two of five come back: one is put into stock again when we ask for it, one is damaged; a person credits them."""
    order_id, return_id = await return_credited(site, article)
    known = await site.do(lambda core: core.returns.get(CALLER.tenant, return_id))
    [credit] = known.credits
    await site.do(lambda core: core.returns.credits.settle(CALLER, credit.credit, number=f"CN-{article.number}"))
    await site.rest()
    return order_id, return_id


async def return_credited(site, article):
    """Two of five come back, one into stock and one damaged: an ERP that issues credit notes issues one."""
    with site.seams.aside():
        (order_id,) = await _handed(site, article, "5")
        await _ship(site, order_id)
    asked = AskReturn(
        action=f"r-{article.number}", order=order_id,
        lines=(AskedBack(line=1, amount=Decimal(2), reason="damaged"),), location="north",
    )  # fmt: skip
    made = await site.do(lambda core: core.returns.authorisations.ask(CALLER, asked))
    came = {"warehouse": "NOR1", "item_code": article.code, "document": made.return_id}
    await site.work("wms_north", "return", quantity="2", **came)
    await site.rest()
    for target in ("sellable", "damaged"):
        put = Dispose(action=f"{target}-{article.number}", line=1, amount=Decimal(1), target=target)
        await site.do(lambda core, put=put: core.returns.dispositions.ask(CALLER, made.return_id, put))
        await site.rest()
    return order_id, made.return_id


async def purchase(site, article):
    """Five are bought in the ERP, come in three and two, and are billed: the ERP is told each of it."""
    buyer = site.sandboxes["tryton"].buyer
    number, [line] = await buyer.buy((article.sku, "u", "5", "4"), supplier=SUPPLIER)
    await site.rest()
    [row] = await site.sql("select purchase from procure_to_pay.purchase where number = $1", number)
    bought = row["purchase"]
    for amount in ("3", "2"):
        came = {"warehouse": "NOR1", "item_code": article.code, "document": number}
        await site.work("wms_north", "receive", quantity=amount, **came)
        await site.rest()
    billed = SupplierInvoice(
        number=f"INV-{article.number}", invoiced=datetime.now(UTC).date(), currency="USD",
        lines=(BilledLine(line=line, amount=Decimal(5), unit_price=Decimal(4)),),
    )  # fmt: skip
    await site.do(lambda core: core.procurement.dialogue.bill(CALLER, bought, billed))
    await site.rest()
    return (bought,)


async def _handed(site, article, amount, **more):
    """An order that every system has."""
    placed = await site.do(lambda core: core.orders.place_order(_order(article, amount, **more)))
    await site.rest()
    return (placed.order.order_id,)


async def _shipped(site, order_id):
    await _ship(site, order_id)
    return (order_id,)


async def _ship(site, order_id):
    """Every warehouse ships what it has of the order."""
    for system in (each for each in WAREHOUSES if each in site.sandboxes):
        works = (await site.sandboxes[system].look("orders"))["orders"]
        for work in sorted(works, key=lambda each: each["client_reference"]):
            if work["client_reference"].partition(".")[0] == order_id and work["status"] == "RELEASED":
                lines = [{"line_number": line["line_number"], "quantity": line["ordered"]} for line in work["lines"]]
                await site.work(system, "ship", client_reference=work["client_reference"], lines=lines)
                await site.rest()


async def _intervene(site, order_id, verb, **line):
    asked = Intervention(
        action=f"{verb}-1", verb=verb, reason="the buyer called", lines=(ReworkLine(line=1, **line),) if line else ()
    )
    await site.do(lambda core: core.orders.interventions.intervene(CALLER, order_id, asked))
    await site.rest()


async def _in_record(core, act):
    async with core.store.transaction() as connection:
        return await act(connection)


def _order(article, amount, sold_to="CUST1", channel="web", part=""):
    return PlaceOrder(
        caller=CALLER, channel=channel, partner="P1", sold_to=sold_to, external_number=f"PO-{article.number}{part}",
        currency="USD", ship_to=Address(name="A", street="B 1", city="C", postal_code="97201", country="US"),
        lines=(AskedLine(sku=article.sku, amount=Decimal(amount), uom=None),),
    )  # fmt: skip


def _story(tell, schema, *kinds):
    return Story(tell, frozenset(f"{schema}.{kind}" for kind in kinds))


_BOUGHT = ("terms", "erp_order", "warehouse_work")
_SOLD = (*_BOUGHT, "shipment_posting")

STORIES = (
    _story(order, "order_to_ship", *_SOLD, "invoice"),
    _story(order_cancelled, "order_to_ship", *_BOUGHT),
    _story(order_freighted, "order_to_ship", *_BOUGHT, "freight_quote", "freight_booking"),
    _story(order_carried, "order_to_ship", *_SOLD, "freight_quote", "freight_booking"),
    _story(order_refused, "order_to_ship", "terms"),
    _story(order_paced, "order_to_ship", *_SOLD),
    _story(order_moved, "order_to_ship", *_SOLD, "erp_withdrawal"),
    _story(order_held, "order_to_ship", *_SOLD),
    _story(order_reallocated, "order_to_ship", *_SOLD),
    _story(order_split, "order_to_ship", *_SOLD),
    _story(order_lessened, "order_to_ship", *_SOLD),
    _story(transfer, "stock_operations", "transfer"),
    _story(transfer_withdrawn, "stock_operations", "transfer"),
    _story(status_change, "stock_operations", "status"),
    _story(count, "stock_operations", "count"),
    Story(
        return_dispositioned,
        frozenset({*(f"order_to_ship.{kind}" for kind in _SOLD), "returns.disposition"}),
        by_hand=frozenset({"returns.credit"}),
    ),
)

# With Tryton as the ERP: of all that run here only it issues credit notes and books purchases.
AT_TRYTON = (
    Story(
        return_credited,
        frozenset({*(f"order_to_ship.{kind}" for kind in _SOLD), "returns.disposition", "returns.credit"}),
    ),
    _story(purchase, "procure_to_pay", "receipt", "invoice"),
)
