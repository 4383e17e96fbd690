"""How the threads of a process that serves share its core."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_log: Final = logging.getLogger(__name__)
_THREADS: Final = Path("/proc/self/task")


def take_turns() -> None:
    """Let who runs go on when another thread wakes up (Linux: ``SCHED_BATCH``, sched(7)); its share stays the same.

    A worker reads and writes in one thread and decides in another. Every answer wakes the first, and by default it
    then runs at once, for one answer; the second comes back to a cold cache. In turn each does all that is there.
    Holds for the threads that are there and those they start. Where the policy may not be set, nothing changes.
    """
    if not hasattr(os, "SCHED_BATCH"):
        return
    try:
        for thread in _THREADS.iterdir():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setscheduler(int(thread.name), os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        _log.info("threads may not be scheduled as batch work (%s): the gateway is slower, and that is all", error)
