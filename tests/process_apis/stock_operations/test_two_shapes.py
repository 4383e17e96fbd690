"""What a release does about transfers of another shape: wakes them without reading them, and waits for their end."""

import pytest

from process_apis.stock_operations.models import TransferState

pytestmark = pytest.mark.integration


async def test_a_lost_turn_is_begun_again_in_its_own_shape_by_a_release_that_does_not_know_such_tasks(
    world, monkeypatch
):
    lost, known = await world.plan("a", 1, release=True), await world.plan("b", 1, release=True)
    turns = (
        "select count(*) from dbos.workflow_status where workflow_uuid like $1 || ':%' and application_version = '9'"
    )
    async with world.store.transaction() as connection:
        await connection.execute("update stock_operations.task set due_at = null where tenant <> $1", world.tenant)
        await connection.execute(
            "update stock_operations.task set shape = '9' where subject = any($1)", [lost.transfer, known.transfer]
        )
        await connection.execute("delete from dbos.workflow_status where workflow_uuid like $1 || ':%'", lost.transfer)
    with monkeypatch.context() as patched:
        patched.setattr(world.operations, "_works", {})
        assert await world.operations.sweep() == 1
        assert await world.operations.sweep() == 0
    assert await world.store.fetchval(turns, lost.transfer) == 1
    assert await world.store.fetchval(turns, known.transfer) == 0
    for each in (lost, known):
        await world.work(each.transfer)
        assert len(await world.orders(each.transfer)) == 1


async def test_a_released_transfer_keeps_its_shape_open_until_it_is_over(world):
    planned = await world.plan("a", 1, release=True)
    await world.work(planned.transfer)
    await world.store.execute("update stock_operations.task set shape = '8' where subject = $1", planned.transfer)
    assert await world.operations.are_open("8")
    await world.operations.transfers.cancel(world.caller(), planned.transfer, reason="not needed")
    await world.work(planned.transfer)
    await world.store.execute("update stock_operations.task set shape = '8' where subject = $1", planned.transfer)
    assert (await world.transfer(planned.transfer)).state is TransferState.CANCELLED
    assert not await world.operations.are_open("8")
