"""What a shop sold goes the way of every order: claims, terms, ERP and warehouse, once, whatever dies on the way."""

from decimal import Decimal

import pytest

from gateway.canonical.order import OrderState
from gateway.kernel.clock import SystemClock
from process_apis.channel_publication.process import ChannelPublication
from process_apis.order_to_ship.process import OrderToShip

from .selling import BUYER, Systems, orders_beside

pytestmark = pytest.mark.integration


class Orders:
    """The shop's world with orders beside it."""

    def __init__(self, world, seams):
        self.world = world
        self.seams = seams
        self.orders = OrderToShip(
            world.store,
            SystemClock(),
            items=world.items,
            claims=world.availability,
            systems=Systems(seams),
            committed=["shop"],
        )
        world.again = self.again
        world.begin()

    def again(self):
        """A worker that begins anew."""
        channel = self.world._channel
        channel = type(channel)(
            **{name: getattr(channel, name) for name in ("name", "system", "shows", "orders", "options")},
            sold_to="CUST1",
            currency="EUR",
        )
        return ChannelPublication(
            self.world.store,
            self.world.clock,
            tenant="acme",
            channels=[channel],
            items=self.world.items,
            availability=self.world.availability,
            claims=self.world.availability,
            rules=self.world._rules,
            orders=self.orders,
        )

    async def buy(self, quantity, **more):
        lines = [{"sku": "A", "quantity": quantity}]
        return (await self.world.shop.control("buy", lines=lines, **({"buyer": BUYER} | more)))["order"]

    async def imported(self):
        """Import to the end, by a worker that knows nothing yet."""
        self.world.publication = self.again()
        await self.world.publication.read_back("shop")
        found = await self.orders.list_orders("acme")
        return [await self.orders.get_order("acme", each.order_id) for each in reversed(found)]


@pytest.fixture
async def sold(world, database):
    async with orders_beside(world, database, Orders) as made:
        yield made


async def test_a_sale_of_the_shop_becomes_one_order_that_reaches_the_erp(sold):
    number = await sold.buy(5, prices={"A": "8.00"})
    [order] = await sold.imported()
    assert (order.channel, order.sold_to, order.external_number) == ("shop", "CUST1", number)
    assert (order.currency, order.total, order.ship_to.city) == ("EUR", Decimal("40.00"), "Bern")
    assert (order.state, order.lines[0].open) == (OrderState.PROMISED, 5)
    # It died before its cursor moved: the page is read again, and nothing of it is taken twice.
    await sold.world.store.execute("update channel_publication.channel set cursor = null")
    assert [each.order_id for each in await sold.imported()] == [order.order_id]
    await sold.orders.workflows()[0].run(order.order_id, 1)
    order = await sold.orders.get_order("acme", order.order_id)
    assert order.state is OrderState.RELEASED
    assert await sold.world.store.fetchval("select count(*) from fake.sale") == 1
    await sold.world.settle()
    assert (await sold.world.shown())["A"] == 15 == (await sold.world.sellable())["A"]


async def test_what_stock_cannot_give_waits_and_a_cancel_in_the_shop_gives_it_back(sold):
    await sold.world.sell_to("A", 18)
    number = await sold.buy(5)
    [order] = await sold.imported()
    assert [(line.open, line.backordered, line.oversold) for line in order.lines] == [(2, 3, 3)]
    assert order.total == Decimal("47.50")  # our list price, where the shop tells none
    promised = await sold.world.store.fetchval(
        "select promised from channel_publication.sale where reference = $1", number
    )
    assert promised == 2
    assert await sold.world.store.fetchval("select count(*) from store.event where type = 'channel.oversold'") == 1
    await sold.world.shop.control("cancel", order=number)
    [order] = await sold.imported()
    assert (order.state, order.cancel_reason) == (OrderState.CANCELLED, "cancelled in shop")
    assert (await sold.world.sellable())["A"] == 2


@pytest.mark.long
async def test_an_order_that_lacks_something_waits_for_a_person_and_one_that_is_picked_stays(sold):
    await sold.buy(1, buyer={"currency": "USD"})
    [order] = await sold.imported()
    assert (order.state, order.lines[0].open) == (OrderState.EXCEPTION, 1)
    [lack] = order.exceptions
    assert (lack.code, lack.blocking) == ("channel.order_incomplete", True)
    assert "no price" in lack.detail
    assert "no address" in lack.detail
    number = await sold.buy(2)
    _, picked = await sold.imported()
    await sold.world.store.execute(
        "update order_to_ship.sales_order set picking_began_at = now() where order_id = $1", picked.order_id
    )
    await sold.world.shop.control("cancel", order=number)
    _, picked = await sold.imported()
    assert picked.cancel_requested_at is None
    assert [(each.code, each.blocking) for each in picked.exceptions] == [("channel.cancelled_late", False)]
