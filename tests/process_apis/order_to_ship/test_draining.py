"""An order keeps the workers of its shape until it is over, though it has no turn."""

import pytest
from order_world import CALLER, ask

pytestmark = pytest.mark.integration


async def test_an_order_that_waits_for_the_warehouse_is_open_and_one_that_is_cancelled_is_not(world):
    await world.stock(100, "itm_1")
    order = (await world.process.place_order(ask("PO-1"))).order.order_id
    assert (await world.drain(order)).state == "released"
    assert await world.process.are_open("1")
    assert not await world.process.are_open("2")
    await world.process.cancel_order(CALLER, order, reason="a mistake")
    assert (await world.drain(order)).state == "cancelled"
    assert not await world.process.are_open("1")
