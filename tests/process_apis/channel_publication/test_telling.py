"""A shop is told how the orders that it sold go on: each change once, though the worker dies between."""

import asyncio
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace

from gateway.canonical.channel import ChannelProgress, ProgressLine
from gateway.canonical.events import Event, Position, Recorded
from gateway.kernel.errors import Conflict, OutcomeUnknown, Unavailable
from gateway.store.log_reader import LogReader
from process_apis.channel_publication.process import ChannelPublication
from process_apis.channel_publication.subscriptions import telling_subscriptions
from process_apis.channel_publication.telling_rules import next_update
from process_apis.channel_publication.troubles import TellingTroubles
from process_apis.order_to_ship.channel_progress import OrderProgress
from process_apis.order_to_ship.process import OrderToShip

from .selling import BUYER, CALLER, Systems, orders_beside


class DyingError(BaseException):
    """The worker is gone."""


class Mortal:
    """The shop's adapter; a worker dies `when` it tells of an order."""

    def __init__(self, adapter):
        self._adapter = adapter
        self.when = None

    def __getattr__(self, name):
        return getattr(self._adapter, name)

    async def update_order(self, call, *, update):
        when, self.when = self.when, None
        if when == "before":
            raise DyingError
        if when == "unknown":
            raise OutcomeUnknown("silence", code="shop.outcome_unknown")
        await self._adapter.update_order(call, update=update)
        if when == "after":
            raise DyingError
        if when == "unknown_after":
            raise OutcomeUnknown("silence", code="shop.outcome_unknown")


class Sold:
    """A shop that sells, orders, and workers between them that may die."""

    def __init__(self, world, seams):
        self.world, self.seams = world, seams
        self.orders = OrderToShip(
            world.store, world.clock, items=world.items, claims=world.availability, systems=Systems(seams),
            committed=["shop"],
        )  # fmt: skip
        self.adapter = Mortal(world.adapter)
        self.troubles = TellingTroubles({"shop": "shop_eu"}, OrderProgress())
        [self._hear] = telling_subscriptions(["shop"])
        self._reader, self._position = LogReader(), Position(0, 0, 0)
        world.again = self.again
        world.begin()

    def again(self):
        """A worker that knows only what the record knows."""
        channel = type(self.world._channel)(
            name="shop", system="shop_eu", shows=self.world.adapter, orders=self.world.adapter, updates=self.adapter,
            options=self.world._channel.options, sold_to="CUST1", currency="EUR",
        )  # fmt: skip
        return ChannelPublication(
            self.world.store, self.world.clock, tenant="acme", channels=[channel], items=self.world.items,
            availability=self.world.availability, claims=self.world.availability, rules=self.world._rules,
            orders=self.orders, progress=OrderProgress(),
        )  # fmt: skip

    async def buy(self, quantity):
        """A sale, imported; its number in the shop and its order."""
        lines = [{"sku": "A", "quantity": quantity}]
        number = (await self.world.shop.control("buy", lines=lines, buyer=BUYER))["order"]
        await self.again().read_back("shop")
        [found] = [each for each in await self.orders.list_orders("acme") if each.external_number == number]
        return number, found.order_id

    async def ship(self, order_id, amount, event):
        """What a warehouse confirms, as the log tells it."""
        [line] = (await self.orders.get_order("acme", order_id)).lines
        data = {
            "type": "shipment_confirmed", "item": line.item, "location": "loc_n", "amount": str(amount),
            "order": order_id, "order_line": 1, "source": "wms", "event_id": event, "movement": f"{order_id}/{event}",
            "replaces": None,
        }  # fmt: skip
        now = datetime.now(UTC)
        told = Event(
            tenant="acme", type="stock.movement_recorded", aggregate=data["movement"], aggregate_version=1,
            occurred_at=now, data=data, correlation_id="cor",
        )  # fmt: skip
        async with self.world.store.transaction() as connection:
            recorded = Recorded(position=Position(1, 1, 1), recorded_at=now, event=told)
            await self.orders.shipping.on_movement(connection, recorded)

    async def tell(self):
        """Hear the log to its end, then tell until nothing is due; a worker that dies is followed by another."""
        await self.hear()
        for _ in range(100):
            with suppress(DyingError):
                if not await self.again().step("shop") and not await self._due():
                    return
            await self.world.store.execute(
                "update channel_publication.told_order set not_before = '-infinity' where failures > 0"
            )
        raise TimeoutError("never told")

    async def tell_once(self):
        """Hear the log to its end, then what one worker does in one round."""
        await self.hear()
        await self.again().step("shop")

    async def hear(self):
        """Mark what the log tells of orders."""
        async with self.world.store.transaction() as connection:
            while True:
                stretch = await self._reader.read_after(
                    connection, self._position, stream="main", types=self._hear.types, limit=500
                )
                for recorded in stretch.events:
                    await self._hear.handler(connection, recorded)
                self._position = stretch.reached
                if not stretch.events:
                    break

    async def _due(self):
        return await self.world.store.fetchval(
            "select count(*) from channel_publication.told_order"
            " where (revision > seen or asked is not null) and refused_at is null"
        )

    async def told(self, number):
        """What the shop was told of an order: date, left, cancelled; each once, whoever repeated it."""
        updates = (await self.world.shop.look("updates"))["updates"]
        return [
            (
                each["promised_on"],
                [(line["line"], line["quantity"]) for line in each["fulfilled"]],
                [(line["line"], line["quantity"]) for line in each["cancelled"]],
            )
            for each in updates
            if each["order"] == number
        ]

    async def open_troubles(self):
        async with self.world.store.connection() as connection:
            return await self.troubles.troubles(connection, "acme", limit=10)


@pytest.fixture
async def sold(world, database):
    async with orders_beside(world, database, Sold) as made:
        yield made


@pytest.mark.integration
async def test_a_shop_is_told_that_its_order_is_taken_what_left_and_what_will_not_come(sold):
    number, order_id = await sold.buy(5)
    await sold.tell()
    assert await sold.told(number) == [(None, [], [])]
    await sold.orders.workflows()[0].run(order_id, 1)
    await sold.ship(order_id, 2, "e1")
    await sold.tell()
    await sold.ship(order_id, 1, "e2")
    await sold.ship(order_id, 1, "e3")
    await sold.tell()
    await sold.tell()
    assert await sold.told(number) == [(None, [], []), (None, [(1, 2)], []), (None, [(1, 2)], [])]
    _, other = await sold.buy(3)
    await sold.tell()
    await sold.orders.cancel_order(CALLER, other, reason="gone")
    await sold.tell()
    name = (await sold.orders.get_order("acme", other)).external_number
    assert await sold.told(name) == [(None, [], []), (None, [], [(1, 3)])]
    assert await sold.open_troubles() == []


@pytest.mark.integration
@pytest.mark.parametrize("fault", ["before", "after", "unknown", "unknown_after"])
async def test_each_change_is_told_once_whatever_becomes_of_the_worker(sold, fault):
    number, order_id = await sold.buy(5)
    sold.adapter.when = fault
    await sold.tell()
    await sold.orders.workflows()[0].run(order_id, 1)
    await sold.ship(order_id, 3, "e1")
    sold.adapter.when = fault
    await sold.tell()
    assert await sold.told(number) == [(None, [], []), (None, [(1, 3)], [])]


@pytest.mark.integration
async def test_two_workers_that_tell_at_once_tell_once(sold):
    number, _ = await sold.buy(5)
    async with sold.world.store.transaction() as connection:
        await connection.execute(
            "insert into channel_publication.told_order (tenant, channel, order_id)"
            " select tenant, channel, order_id from order_to_ship.sales_order"
        )
    await asyncio.gather(*(sold.again().step("shop") for _ in range(4)))
    await sold.tell()
    assert await sold.told(number) == [(None, [], [])]


@pytest.mark.integration
async def test_what_the_shop_will_not_take_is_a_persons_and_stops_nothing_else(sold):
    number, order_id = await sold.buy(5)
    await sold.tell()
    await sold.orders.workflows()[0].run(order_id, 1)
    await sold.world.shop.control("cancel", order=number)
    await sold.ship(order_id, 5, "e1")
    await sold.tell()
    other, _ = await sold.buy(1)
    await sold.tell()
    assert await sold.told(other) == [(None, [], [])]
    [trouble] = await sold.open_troubles()
    assert (trouble.code, trouble.fault_domain, trouble.about) == ("shop.order_cancelled", "shop_eu", order_id)
    async with sold.world.store.transaction() as connection:
        await sold.troubles.retry(connection, CALLER, trouble.key)
    await sold.tell()
    [trouble] = await sold.open_troubles()
    async with sold.world.store.transaction() as connection:
        await sold.troubles.ignore(connection, CALLER, trouble.key, "told by phone")
        with pytest.raises(Conflict):
            await sold.troubles.ignore(connection, CALLER, trouble.key, "again")
    await sold.tell()
    assert await sold.open_troubles() == []
    assert await sold.told(number) == [(None, [], [])]


@pytest.mark.integration
async def test_what_a_later_release_left_half_told_stops_no_other_order_and_is_told_once_when_that_is_back(sold):
    number, order_id = await sold.buy(5)
    sold.adapter.when = "before"
    with suppress(DyingError):
        await sold.tell_once()
    kept = "select asked from channel_publication.told_order where order_id = $1"
    update = await sold.world.store.fetchval(kept, order_id)
    write = "update channel_publication.told_order set asked = $2 where order_id = $1"
    await sold.world.store.execute(write, order_id, '{"update": 1, "weeks": [49]}')
    other, _ = await sold.buy(1)
    due = "update channel_publication.told_order set not_before = $2 where order_id = $1"
    await sold.tell_once()
    await sold.world.store.execute(due, order_id, datetime.max.replace(tzinfo=UTC))
    await sold.tell_once()
    for _ in range(5):
        await sold.world.store.execute(due, order_id, datetime.min.replace(tzinfo=UTC))
        await sold.tell_once()
    assert (await sold.told(other), await sold.told(number)) == ([(None, [], [])], [])
    [trouble] = await sold.open_troubles()
    assert (trouble.code, trouble.about) == ("channel.update_unreadable", order_id)
    await sold.world.store.execute(write, order_id, update)
    await sold.world.store.execute(due, order_id, datetime.min.replace(tzinfo=UTC))
    await sold.tell()
    assert (await sold.told(number), await sold.open_troubles()) == ([(None, [], [])], [])


@pytest.mark.integration
async def test_a_shop_that_is_down_for_updates_is_asked_again_and_shown_after_a_while(sold):
    number, _ = await sold.buy(5)
    sold.adapter.update_order = _down
    async with sold.world.store.transaction() as connection:
        await connection.execute(
            "insert into channel_publication.told_order (tenant, channel, order_id)"
            " select tenant, channel, order_id from order_to_ship.sales_order"
        )
    for _ in range(6):
        await sold.again().step("shop")
        await sold.world.store.execute("update channel_publication.told_order set not_before = '-infinity'")
    [trouble] = await sold.open_troubles()
    assert trouble.code == "shop.unavailable"
    del sold.adapter.update_order
    await sold.tell()
    assert (await sold.told(number), await sold.open_troubles()) == ([(None, [], [])], [])


async def _down(call, *, update):
    raise Unavailable("away", code="shop.unavailable")


NOW = ChannelProgress(
    reference="S-1", promised_on=date(2026, 12, 1), tracking=("T1",),
    lines=(ProgressLine(line=1, fulfilled=Decimal(3)), ProgressLine(line=2, cancelled=Decimal(1))),
)  # fmt: skip


def test_the_first_update_confirms_and_later_ones_say_what_is_new():
    first = next_update("ord_1", None, replace(NOW, lines=(), tracking=()), 0)
    assert (first.update, first.promised_on, first.lines, first.tracking) == ("ord_1/1", date(2026, 12, 1), (), ())
    assert next_update("ord_1", NOW, NOW, 1) is None
    later = replace(NOW, promised_on=None, tracking=("T1", "T2"), lines=(replace(NOW.lines[0], fulfilled=Decimal(5)),))
    update = next_update("ord_1", NOW, later, 1)
    assert (update.update, update.promised_on, update.tracking) == ("ord_1/2", None, ("T2",))
    assert update.lines == (ProgressLine(line=1, fulfilled=Decimal(2)),)


def test_what_was_told_and_is_not_true_any_more_is_a_persons():
    fewer = replace(NOW, lines=(replace(NOW.lines[0], fulfilled=Decimal(2)),))
    with pytest.raises(Conflict) as found:
        next_update("ord_1", NOW, fewer, 1)
    assert found.value.code == "publication.told_more"
