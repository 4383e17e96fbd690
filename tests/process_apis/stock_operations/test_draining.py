"""A task keeps the workers of its shape until it is over, though it has no turn."""

import pytest

from tests.process_apis.stock_operations.test_troubles import refused

pytestmark = pytest.mark.integration


async def test_what_was_refused_may_be_asked_again_so_it_is_open_until_it_is_withdrawn(world):
    await world.store.execute("update stock_operations.task set shape = '7' where tenant <> $1", world.tenant)
    change = await refused(world)
    assert await world.operations.are_open("1")
    assert not await world.operations.are_open("2")
    await world.operations.changes.withdraw(world.caller(), change, reason="counted again")
    assert not await world.operations.are_open("1")
