"""What is told with every seam failed in turn: each story takes an article that nobody has touched yet.

A story asks as a client would (`site.do`), has people in a warehouse do their work, and lets everything come to rest
(`site.rest`). It returns the subject that it was about, in which `books.py` finds what became of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from gateway.canonical.party import Address
from gateway.kernel.context import Caller, Principal, Zone
from process_apis.order_to_ship.models import AskedLine, PlaceOrder
from process_apis.stock_operations.models import AskCount, ChangeStatus, Counted, Figure, PlanTransfer, TransferWish

CALLER = Caller(
    Principal("demo", "app", "cred", frozenset({Zone.PROCESS}), frozenset()), "req_1", "cor_1", float("inf")
)


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
    return planned.transfer


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
    return planned.transfer


async def status_change(site, article):
    """Three are held."""
    asked = ChangeStatus(
        action=f"s-{article.number}", kind="hold", location="north", item=article.item, amount=Decimal(3), reason="wet"
    )
    change = await site.do(lambda core: core.stock_operations.changes.ask(CALLER, asked))
    await site.rest()
    return change.change


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
    return made.count


async def order(site, article):
    """Hundred and four are ordered, more than the north has: two warehouses ship, one of them in two parts."""
    placed = await site.do(lambda core: core.orders.place_order(_order(article, "104")))
    await site.rest()
    for system, amount in (("wms_north", "60"), ("wms_west", "4"), ("wms_north", "40")):
        lines = [{"line_number": 1, "quantity": amount}]
        await site.work(system, "ship", client_reference=placed.order.order_id, lines=lines)
        await site.rest()
    return placed.order.order_id


async def order_cancelled(site, article):
    """Cancelled by its buyer when both warehouses and the ERP have it."""
    placed = await site.do(lambda core: core.orders.place_order(_order(article, "104")))
    order_id = placed.order.order_id
    await site.rest()
    await site.do(lambda core: core.orders.cancel_order(CALLER, order_id, reason="mistake"))
    await site.rest()
    return order_id


async def order_freighted(site, article):
    """A carrier offers and is booked, then all of it is asked back: by the buyer, with everybody having it."""
    placed = await site.do(lambda core: core.orders.place_order(_order(article, "5", channel="freighted")))
    order_id = placed.order.order_id
    await site.rest()
    await site.do(lambda core: core.orders.cancel_order(CALLER, order_id, reason="mistake"))
    await site.rest()
    return order_id


async def order_refused(site, article):
    """The ERP does not know its customer."""
    placed = await site.do(lambda core: core.orders.place_order(_order(article, "5", sold_to="CUST-GONE")))
    await site.rest()
    return placed.order.order_id


def _order(article, amount, sold_to="CUST1", channel="web"):
    return PlaceOrder(
        caller=CALLER, channel=channel, partner="P1", sold_to=sold_to, external_number=f"PO-{article.number}",
        currency="USD", ship_to=Address(name="A", street="B 1", city="C", postal_code="97201", country="US"),
        lines=(AskedLine(sku=article.sku, amount=Decimal(amount), uom=None),),
    )  # fmt: skip


STORIES = (order, order_cancelled, order_freighted, order_refused, transfer, transfer_withdrawn, status_change, count)
