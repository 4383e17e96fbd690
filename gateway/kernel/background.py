"""Work that runs beside a block of code, and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` inside the block; at its end cancel it and wait until it is gone.

    `asyncio.TaskGroup` would not do: it waits for what never ends by itself, and a failure of the work would cancel the
    block, which is serving others. A failure is raised at the end of the block instead, unless the block has failed.
    """
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    except BaseException:
        await asyncio.gather(ended(task), return_exceptions=True)
        raise
    await ended(task)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel `task` and wait until it is gone; raises what it failed with."""
    task.cancel()
    await asyncio.wait([task])  # unlike `await task`, it tells our own cancellation from the task's
    if not task.cancelled():
        task.result()
