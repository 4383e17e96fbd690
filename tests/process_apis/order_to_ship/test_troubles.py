"""Exceptions of orders, told to the queue of exceptions and decided from there."""

import pytest
from order_world import CALLER, ask

from gateway.kernel.errors import Conflict
from process_apis.order_to_ship.troubles import OrderTroubles

pytestmark = pytest.mark.integration


async def told(world):
    async with world.store.connection() as connection:
        return await OrderTroubles(world.process.retry_within).troubles(connection, "acme", limit=10)


async def decide(world, verb, *given):
    async with world.store.transaction() as connection:
        await getattr(OrderTroubles(world.process.retry_within), verb)(connection, CALLER, *given)


async def stopped(world):
    await world.stock(100, "itm_1", "itm_2")
    order_id = (await world.process.place_order(ask("PO-1"))).order.order_id
    await world.fault("release_work", "rejected")
    await world.drain(order_id)
    return order_id


async def test_what_stops_an_order_is_told_with_its_money_and_a_retry_takes_it_up_again(world):
    order_id = await stopped(world)
    [trouble] = await told(world)
    order = await world.process.get_order("acme", order_id)
    assert (trouble.about, trouble.effect, trouble.verbs) == (order_id, "stops_order", ("retry",))
    assert (trouble.value, trouble.currency) == (order.total, order.currency)
    with pytest.raises(Conflict) as refused:
        await decide(world, "ignore", trouble.key, "it may stand still")
    assert refused.value.code == "exceptions.blocking"
    await decide(world, "retry", trouble.key)
    assert (await world.drain(order_id)).state == "released"
    assert await told(world) == []
    with pytest.raises(Conflict) as refused:
        await decide(world, "retry", trouble.key)
    assert refused.value.code == "exceptions.over"


async def test_a_shipment_of_another_order_than_ordered_is_acknowledged_with_a_reason(world):
    await world.store.execute(
        "insert into order_to_ship.exception"
        " (exception_id, tenant, order_id, class, fault_domain, code, detail, blocking, kind, target)"
        " values ('exc_1', 'acme', 'ord_gone', 'shipment_mismatch', 'wms_n', 'order.unknown', 'd', false,"
        " 'movement', 'mov_1')"
    )
    [trouble] = await told(world)
    assert (trouble.verbs, trouble.effect, trouble.value) == (("ignore",), "misbooks", None)
    await decide(world, "ignore", trouble.key, "billed by hand")
    assert await told(world) == []
    row = await world.store.fetchrow("select resolved_by, resolution from order_to_ship.exception")
    assert (row["resolution"], row["resolved_by"]) == ("ignored: billed by hand", CALLER.principal.subject)
