from decimal import Decimal

import pytest

from gateway.canonical.trouble import Effect, Verb
from gateway.kernel.errors import Conflict
from process_apis.stock_operations.models import ChangeState, ChangeStatus

pytestmark = pytest.mark.integration


async def refused(world, action="a"):
    command = ChangeStatus(
        action=action, kind="damage", location="north", item=world.item, amount=Decimal(999), reason="fell"
    )
    made = await world.operations.changes.ask(world.caller(), command)
    await world.work(made.change)
    return made.change


async def troubles(world):
    async with world.store.connection() as connection:
        found = await world.operations.troubles().troubles(connection, world.tenant, limit=100)
    return {each.key: each for each in found}


async def test_what_a_warehouse_refused_is_told_retried_and_let_be_with_a_reason(world):
    change = await refused(world)
    key = f"{change}/status.refused"
    told = (await troubles(world))[key]
    assert (told.effect, told.verbs, told.about) == (Effect.HIDES_STOCK, (Verb.RETRY, Verb.IGNORE), change)
    assert told.fault_domain != "ours", "the warehouse said no"
    async with world.store.transaction() as connection:
        await world.operations.troubles().retry(connection, world.caller(), key)
    assert key not in await troubles(world), "it is asked again"
    await world.work(change)
    assert key in await troubles(world), "and was refused again"
    async with world.store.transaction() as connection:
        await world.operations.troubles().ignore(connection, world.caller(), key, "counted again")
    assert await troubles(world) == {}
    gone = await world.operations.changes.get(world.tenant, change)
    assert gone.state is ChangeState.WITHDRAWN


async def test_what_is_over_or_another_tenants_is_not_decided(world):
    change = await refused(world)
    owner = world.operations.troubles()
    for caller, key in (
        (world.caller(), f"{change}/status.unanswered"),
        (world.caller(), "trf_none/transfer.refused"),
    ):
        async with world.store.transaction() as connection:
            with pytest.raises(Conflict, match="settled meanwhile"):
                await owner.retry(connection, caller, key)
