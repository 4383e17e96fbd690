"""What was shipped is billed by the ERP, each shipment once, before an order ends."""

from decimal import Decimal

import pytest
from order_world import CALLER, ask

from gateway.canonical.order import OrderState
from gateway.kernel.errors import Misconfigured
from process_apis.order_to_ship.invoice_rules import InvoicingOptions
from process_apis.order_to_ship.models import TaskKind, TaskState
from process_apis.order_to_ship.process import Options, OrderToShip

pytestmark = pytest.mark.integration
BILLING = ("erp_na",)
CALL_TIMEOUT = 0.5


@pytest.fixture
def erp(world):
    yield world.process._systems.erp
    world.process._systems.erp.bills_too_much = Decimal(0)


async def shipped(world, number, *amounts):
    """An order of six that leaves in shipments of `amounts`, drained; its id."""
    await world.stock(100, "itm_1")
    order_id = (await world.process.place_order(ask(number, ("SKU-1", "6")))).order.order_id
    await world.drain(order_id)
    for event, amount in enumerate(amounts):
        await world.ship(order_id, 1, amount, event=f"e{event}")
        await world.drain(order_id)
    return order_id


async def bills(world, order_id):
    return await world.store.fetch("select * from fake.bill where reference = $1 order by number", order_id)


async def test_a_shipment_is_billed_once_it_is_posted_and_the_order_ends_when_all_of_it_is(world):
    order_id = await shipped(world, "PO-1", 4)
    order = await world.process.get_order("acme", order_id)
    assert (order.state, len(order.invoices)) == (OrderState.PARTIALLY_SHIPPED, 1)
    await world.ship(order_id, 1, 2, event="last")
    order = await world.drain(order_id)
    assert order.state is OrderState.COMPLETED
    assert [(each.net, each.tax, each.total, each.currency) for each in order.invoices] == [
        (Decimal("10.00"), Decimal("1.000"), Decimal("11.000"), "USD"),
        (Decimal("5.00"), Decimal("0.500"), Decimal("5.500"), "USD"),
    ]
    assert [(line.line, line.amount) for each in order.invoices for line in each.lines] == [(1, 4), (1, 2)]
    assert [each.shipment for each in order.invoices] == [each.shipment_id for each in order.shipments]
    assert await world.events(order_id) == [
        "accepted", "submitted", "released", "shipment_confirmed", "invoice.issued", "invoiced", "shipment_confirmed",
        "invoice.issued", "invoiced", "completed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "faults",
    [
        ("error", "error"),
        ("unknown",),
        ("unknown_after",),
        ("hang_after",),
        ("broken", "unknown_after"),
        ("defect",),
        ("crash_before",),
        ("crash_after",),
    ],
    ids="-".join,
)
async def test_whatever_becomes_of_the_call_a_shipment_is_billed_once(world, faults):
    await world.fault("bill_shipment", *faults)
    order_id = await shipped(world, "PO-1", 6)
    order = await world.process.get_order("acme", order_id)
    assert order.state is OrderState.COMPLETED
    [bill] = await bills(world, order_id)
    assert [each.number for each in order.invoices] == [f"INV{bill['number']}"]
    called = await world.called(order_id)
    assert "find_bill" in called or faults == ("error", "error"), "what may have been done is looked up first"
    assert (await world.events(order_id)).count("invoice.issued") == 1


async def test_a_shipment_that_the_erp_will_not_bill_waits_for_a_person_and_keeps_no_other(world):
    await world.fault("bill_shipment", "rejected")
    order_id = await shipped(world, "PO-1", 1, 5)
    order = await world.process.get_order("acme", order_id)
    assert order.state is OrderState.EXCEPTION
    assert [task.state for task in order.of_kind(TaskKind.SHIPMENT_POSTING)] == [TaskState.DONE] * 2
    assert [each.shipment for each in order.invoices] == [order.shipments[1].shipment_id]
    [found] = await world.process.list_exceptions("acme", order_id=order_id)
    assert (found.code, found.kind, found.target) == ("fake.no", "invoice", order.shipments[0].shipment_id)
    await world.process.retry_exception(CALLER, found.exception_id)
    assert (await world.drain(order_id)).state is OrderState.COMPLETED
    assert len(await bills(world, order_id)) == 2


@pytest.mark.parametrize(("too_much", "told"), [("0.02", None), ("0.03", "line 1: 15.03 net is billed, 15 was agreed")])
async def test_an_invoice_beyond_tolerance_is_shown_and_ends_no_order_before_somebody_looked(
    world, erp, too_much, told
):
    erp.bills_too_much = Decimal(too_much)
    order_id = await shipped(world, "PO-1", 6)
    order = await world.process.get_order("acme", order_id)
    if told is None:
        assert order.state is OrderState.COMPLETED
        return
    assert order.state is OrderState.EXCEPTION
    [found] = await world.process.list_exceptions("acme", order_id=order_id)
    assert found.code == "invoice.differs"
    assert told in found.detail
    await world.process.retry_exception(CALLER, found.exception_id)
    assert (await world.drain(order_id)).state is OrderState.COMPLETED
    assert len(await bills(world, order_id)) == 1


async def test_until_it_is_billed_an_order_is_shipped_then_invoiced(world):
    await world.fault("bill_shipment", "rejected")
    order_id = await shipped(world, "PO-1", 6)
    [found] = await world.process.list_exceptions("acme", order_id=order_id)
    await world.process.retry_exception(CALLER, found.exception_id)
    assert (await world.process.get_order("acme", order_id)).state is OrderState.SHIPPED
    await world.drain(order_id)
    states = await world.store.fetch(
        "select type, data ->> 'state' as state from store.event where aggregate = $1 order by id", order_id
    )
    assert [row["state"] for row in states if row["type"] == "order.completed"] == ["completed"]


def test_a_system_that_bills_nothing_cannot_be_named(world):
    with pytest.raises(Misconfigured):
        OrderToShip(
            world.store, None, items=None, claims=None, systems=world.process._systems,
            options=Options(invoicing=InvoicingOptions(systems=("erp_eu",))),
        )  # fmt: skip
