"""Deadlines of whole calls without a timer per request: a sweep ends what is overdue.

A timer costs every request more than all of the limits together; looking once a second costs nothing and is exact
enough for a deadline of half a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from gateway.kernel.background import background

_EVERY: Final = 1.0
_current_task: Final = asyncio.current_task


class Overdue:
    """Who is being served, and until when. `closing`: what has no deadline is not begun any more."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._running: dict[asyncio.Task[Any], float] = {}
        self._struck: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closing = False

    @property
    def running(self) -> int:
        """How many are being served."""
        return len(self._running)

    def enter(self, deadline: float) -> asyncio.Task[Any] | None:
        """Watch the present task until it leaves."""
        # Without a loop given it would be looked up, which asks the kernel for our process id each time (CPython 3.11).
        task = _current_task(self._loop)
        if task is not None:
            self._running[task] = deadline
        return task

    def leave(self, task: asyncio.Task[Any] | None) -> None:
        """Stop watching `task`."""
        if task is None:
            return
        if task in self._running:
            del self._running[task]
        if self._struck:
            self._struck.discard(task)

    def sweep(self) -> int:
        """Cancel everything that is past its deadline, once; returns how many."""
        now = self._monotonic()
        return self.strike([task for task, deadline in self._running.items() if deadline < now])

    def strike(self, tasks: Iterable[asyncio.Task[Any]]) -> int:
        """Cancel these, each once; returns how many."""
        fresh = [task for task in tasks if task not in self._struck]
        for task in fresh:
            self._struck.add(task)
            task.cancel()
        return len(fresh)

    def struck(self) -> bool:
        """Whether the present task's cancellation came from here; takes it back if so."""
        task = asyncio.current_task()
        if task is None or task not in self._struck:
            return False
        self._struck.discard(task)
        self._running.pop(task, None)
        task.uncancel()
        return True

    def watching(self) -> AbstractAsyncContextManager[object]:
        """Sweep every second inside the block."""
        self._loop = asyncio.get_running_loop()
        return background(self._watch(), name="edge-overdue", afterwards=self._unwatched)

    def _unwatched(self) -> None:
        self._loop = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            self.sweep()
