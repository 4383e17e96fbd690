import asyncio

import pytest
from order_world import ask

from process_apis.order_to_ship.models import Task, TaskKind
from process_apis.order_to_ship.records import Change, lock, lock_all
from process_apis.order_to_ship.steps import with_task

pytestmark = pytest.mark.integration

_WAITS = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


async def _one_of_several(connection, order_id):
    return (await lock_all(connection, [order_id, "ord_unknown"]))[order_id]


@pytest.mark.parametrize("locked", [lock, _one_of_several])
async def test_who_waits_for_an_order_reads_it_as_it_is_when_the_wait_ends(world, locked):
    await world.stock(100, "itm_1")
    order_id = (await world.process.place_order(ask("PO-1"))).order.order_id
    asked = Task(kind=TaskKind.ERP_ORDER, target="erp_na", system="erp_na")

    async def read():
        async with world.store.transaction() as connection:
            order, _ = await locked(connection, order_id)
            return order

    async with world.store.transaction() as connection:
        order, now = await lock(connection, order_id)
        waiting = asyncio.create_task(read())
        async with asyncio.timeout(30):
            while not await world.store.fetchval(_WAITS):  # noqa: ASYNC110 - PostgreSQL offers no event for it
                await asyncio.sleep(0.01)
        change = Change(connection, order, now)
        change.set(tasks=with_task(order, asked).tasks)
        saved = await change.save()
    order = await waiting
    assert (order.version, order.tasks) == (saved.version, saved.tasks)
    assert order.tasks == (asked,)


async def test_ten_movements_that_come_together_take_as_many_statements_as_two(world):
    numbers = range(1, 11)
    await world.stock(100, *(f"itm_{number}" for number in numbers))
    lines = [(f"SKU-{number}", "2") for number in numbers]
    took = []
    for number, fewer in (("PO-0", 1), ("PO-1", 2), ("PO-2", 10)):
        order_id = (await world.process.place_order(ask(number, *lines))).order.order_id
        statements = []
        async with world.store.transaction() as connection:
            with connection.query_logger(lambda record, seen=statements: seen.append(record.query)):
                movements = [world.shipped(order_id, line, 2) for line in numbers[:fewer]]
                await world.process.shipping.on_movements(connection, movements)
        took.append(len(statements))
    _, two, ten = took  # the first of a connection asks PostgreSQL what its types are as well
    assert two == ten == 3


async def test_movements_of_another_order_cost_one_statement_more(world):
    await world.stock(100, "itm_1")
    orders = [(await world.process.place_order(ask(f"PO-{number}"))).order.order_id for number in range(4)]
    took = []
    for some in (orders[:1], orders[1:2], orders[2:]):
        statements = []
        async with world.store.transaction() as connection:
            with connection.query_logger(lambda record, seen=statements: seen.append(record.query)):
                await world.process.shipping.on_movements(connection, [world.shipped(each, 1, 1) for each in some])
        took.append(len(statements))
    assert took[1:] == [3, 4]
