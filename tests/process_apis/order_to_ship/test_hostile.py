"""Races around cancel, credit and the order's lock, each of which once lost money or could have."""

import asyncio

import pytest
from order_world import CALLER, ask

from gateway.canonical.order import OrderState
from gateway.kernel.errors import Conflict
from process_apis.order_to_ship.models import ExceptionClass
from process_apis.order_to_ship.workflow import _take

pytestmark = pytest.mark.integration
_HELD = """
select count(*) from pg_locks where locktype = 'advisory' and (classid::bigint << 32 | objid::bigint)
    = hashtextextended('ord_1', 20481)
"""
_CUSTOMER_LOCK = "select pg_advisory_xact_lock(hashtextextended('acme' || chr(31) || 'CUST1', 20482))"


async def accepted(world, number="PO-1", *lines, **changes):
    await world.stock(100, "itm_1", "itm_2")
    return (await world.process.place_order(ask(number, *lines, **changes))).order.order_id


async def test_goods_that_leave_while_the_order_is_being_cancelled_stay_visible(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "3"))
    await world.drain(order_id)
    await world.process.cancel_order(CALLER, order_id, reason="customer_request")
    await world.ship(order_id, 1, 1)
    order = await world.drain(order_id)
    assert order.state is OrderState.CANCELLED
    assert [(line.shipped, line.cancelled) for line in order.lines] == [(1, 2)]
    assert [found.exception for found in order.exceptions] == [ExceptionClass.SHIPMENT_MISMATCH]
    assert [found.code for found in await world.process.list_exceptions("acme")] == ["order.shipment_mismatch"]


async def test_goods_shipped_beyond_the_order_stay_visible_when_it_is_complete(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "3"))
    await world.drain(order_id)
    await world.ship(order_id, 1, 5)
    order = await world.drain(order_id)
    assert order.state is OrderState.COMPLETED
    assert [found.exception for found in order.exceptions] == [ExceptionClass.SHIPMENT_MISMATCH]
    assert len(await world.process.list_exceptions("acme")) == 1


async def test_an_order_cancelled_while_its_terms_are_asked_is_neither_held_nor_approved_afterwards(world, monkeypatch):
    await world.store.execute("update fake.customer set hold = true")
    order_id = await accepted(world)
    erp = world.process._systems.erp
    asked = erp.read_customer

    async def cancelled_meanwhile(call, *, code):
        await world.process.cancel_order(CALLER, order_id, reason="changed_mind")
        return await asked(call, code=code)

    monkeypatch.setattr(erp, "read_customer", cancelled_meanwhile)
    order = await world.drain(order_id)
    assert (order.state, order.hold_reason, order.approved_at) == (OrderState.CANCELLED, None, None)
    assert await world.events(order_id) == ["accepted", "cancelled"]


async def test_releasing_a_hold_waits_for_a_decision_on_the_same_limit(world):
    await world.store.execute("update fake.customer set credit_limit = 1")
    order_id = await accepted(world)
    assert (await world.drain(order_id)).state is OrderState.HELD
    async with world.store.transaction() as deciding:
        await deciding.fetchval(_CUSTOMER_LOCK)
        releasing = asyncio.create_task(world.process.release_hold(CALLER, order_id, reason="paid"))
        await asyncio.wait([releasing], timeout=0.3)
        assert not releasing.done()
    assert (await releasing).approved_at is not None


async def test_a_partner_who_shares_an_account_is_not_given_the_order_of_the_other(world):
    await accepted(world, "PO-1", partner="P1")
    with pytest.raises(Conflict) as refused:
        await world.process.place_order(ask("PO-1", partner="P2"))
    assert refused.value.code == "order.number_reused"
    assert await world.process.recall_order(ask("PO-1", partner="P2")) is None


async def test_a_turn_interrupted_while_it_takes_the_lock_leaves_no_session_that_holds_it(world):
    async with world.store.connection() as connection:

        class Interrupted:
            """The lock is granted, and the task is cancelled before it hears of it."""

            async def fetchval(self, *args):
                await connection.fetchval(*args)
                raise asyncio.CancelledError

            def terminate(self):
                connection.terminate()

        with pytest.raises(asyncio.CancelledError):
            await _take(Interrupted(), "ord_1")
    async with asyncio.timeout(60):
        while await world.store.fetchval(_HELD):  # noqa: ASYNC110 - the server learns of the end a moment later
            await asyncio.sleep(0.02)


async def test_a_request_given_up_as_lost_that_comes_back_makes_no_second_order(world, monkeypatch):
    await world.stock(2, "itm_1")
    items, woken = world.process._acceptance._items, asyncio.Event()
    by_sku = items.by_sku

    async def asleep(tenant, skus):
        monkeypatch.setattr(items, "by_sku", by_sku)
        await woken.wait()
        return await by_sku(tenant, skus)

    monkeypatch.setattr(items, "by_sku", asleep)
    zombie = asyncio.create_task(world.process.place_order(ask("PO-1")))
    await asyncio.sleep(0)
    assert await world.process.recall_order(ask("PO-1")) is None, "so its key is executed again"
    again = await world.process.place_order(ask("PO-1"))
    woken.set()
    first = await zombie
    assert (first.created, again.created) == (False, True)
    assert first.order.order_id == again.order.order_id
    assert await world.available("itm_1") == 0
    assert await world.store.fetchval("select count(*) from dbos.workflow_status") == 1


async def test_a_warehouse_that_names_the_order_of_another_tenant_does_not_write_into_it(world):
    order_id = await accepted(world)
    await world.store.execute("update order_to_ship.sales_order set tenant = 'other'")
    await world.ship(order_id, 1, 1)
    order = await world.process.get_order("other", order_id)
    assert (order.exceptions, order.lines[0].shipped) == ((), 0)
    assert [found.code for found in await world.process.list_exceptions("acme")] == ["order.unknown"]
