import asyncio

import pytest

from gateway.kernel.background import background


async def test_work_runs_beside_the_block_and_is_gone_after_it():
    steps = []

    async def work():
        try:
            while True:
                steps.append("turn")
                await asyncio.sleep(0)
        finally:
            steps.append("ended")

    async with background(work(), name="work") as task:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert task.cancelled()
    assert steps[0] == "turn"
    assert steps[-1] == "ended"


async def test_a_failure_of_the_work_leaves_the_block_alone_and_is_raised_at_its_end():
    async def work():
        raise ValueError("broken")

    reached = []

    async def block():
        async with background(work(), name="work"):
            await asyncio.sleep(0)
            reached.append("the end of the block")

    with pytest.raises(ValueError, match="broken"):
        await block()
    assert reached


async def test_a_failure_of_the_block_goes_before_one_of_the_work():
    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("broken as well")

    tasks = []

    async def block():
        async with background(work(), name="work") as task:
            tasks.append(task)
            await asyncio.sleep(0)
            raise KeyError("first")

    with pytest.raises(KeyError):
        await block()
    assert isinstance(tasks[0].exception(), ValueError)


async def test_a_cancellation_of_the_block_reaches_it_although_the_work_is_cancelled_too():
    async def block():
        async with background(asyncio.sleep(60), name="work"):
            await asyncio.sleep(60)

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
