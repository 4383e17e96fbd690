"""Work that runs beside a block of code, and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def background(
    work: Coroutine[Any, Any, None], *, name: str, afterwards: Callable[[], object] | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` inside the block; at its end cancel it, wait until it is gone, and call `afterwards` in any case.

    `asyncio.TaskGroup` would not do: it waits for what never ends by itself, and a failure of the work would cancel the
    block, which is serving others. A failure is raised at the end of the block instead, unless the block has failed.
    """
    task = asyncio.create_task(work, name=name)
    try:
        try:
            yield task
        except BaseException:
            await asyncio.gather(ended(task), return_exceptions=True)
            raise
        await ended(task)
    finally:
        if afterwards is not None:
            afterwards()


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel `task` and wait until it is gone; raises what it failed with."""
    task.cancel()
    await asyncio.wait([task])  # unlike `await task`, it tells our own cancellation from the task's
    if not task.cancelled():
        task.result()
