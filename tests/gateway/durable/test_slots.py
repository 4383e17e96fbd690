import asyncio
from pathlib import Path

import pytest

from gateway.durable.slots import SLOT_CLASS, claim_slot, executor_of, number_of
from gateway.durable.workers import sql
from gateway.kernel.errors import Unavailable
from gateway.store.migrations import find_migrations, migrate

ROOT = Path(__file__).parents[3]
MIGRATIONS = find_migrations([ROOT / "gateway/store/migrations", ROOT / "gateway/durable/migrations"])
pytestmark = pytest.mark.integration


async def test_two_workers_never_have_the_same_slot(database):
    await migrate(database, MIGRATIONS)
    lost = []
    slots = await asyncio.gather(*(claim_slot(database, on_lost=lost.append) for _ in range(5)))
    assert sorted(slot.number for slot in slots) == [1, 2, 3, 4, 5]
    assert [row["slot"] for row in await slots[0].fetch(sql.live, SLOT_CLASS)] == [1, 2, 3, 4, 5]
    await asyncio.gather(*(slot.release() for slot in slots))
    assert lost == []


async def test_a_released_slot_is_free_again(database):
    first = await claim_slot(database, on_lost=print)
    await first.release()
    second = await claim_slot(database, on_lost=print)
    assert second.executor_id == "slot-1"
    await second.release()


async def test_no_slot_left_is_said_and_not_waited_for(database):
    only = await claim_slot(database, highest=1, on_lost=print)
    with pytest.raises(Unavailable, match="worker slots are taken"):
        await claim_slot(database, highest=1, on_lost=print)
    await only.release()


async def test_losing_the_connection_ends_the_process_once(database):
    lost = []
    slot = await claim_slot(database, on_lost=lost.append)
    other = await claim_slot(database, on_lost=print)
    await other._connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'crossdock-slot' and pid <> "
        "pg_backend_pid() and datname = current_database()"
    )
    for _ in range(1_000):
        if lost:
            break
        await asyncio.sleep(0.05)
    await slot.beat()
    assert lost == ["the connection that holds its slot was closed (slot-1)"]
    await other.release()


async def test_a_held_slot_cannot_be_taken_over(database):
    one = await claim_slot(database, on_lost=print)
    two = await claim_slot(database, on_lost=print)
    assert not await one.hold(two.number)
    await two.release()
    assert await one.hold(two.number)
    await one.let_go(two.number)
    await one.release()


def test_only_our_own_executor_names_are_numbers():
    assert number_of(executor_of(17)) == 17
    assert [number_of(name) for name in ("local", "slot-", "slot-x", "slot-1a")] == [None] * 4
