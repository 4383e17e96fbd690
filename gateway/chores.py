"""What a worker does now and then: each part by itself, so that one part's trouble is not another's."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.kernel.errors import CrossdockError

_log = logging.getLogger("crossdock.worker")

Work = Callable[[], Awaitable[Any]]


async def attempt(name: str, work: Work) -> None:
    """Do `work`; what it raises is logged, as one line where we know the error and with its traceback where not."""
    try:
        await work()
    except* CrossdockError as group:
        _log.warning("%s begins again: %s", name, _first(group))
    except* Exception:  # noqa: BLE001 - the others go on; the traceback is in the log
        _log.exception("%s failed and begins again", name)


async def attempt_all(chores: Mapping[str, Work]) -> None:
    """Each of `chores`, one after the other, whatever became of those before it."""
    for name, work in chores.items():
        await attempt(name, work)


def _first(group: BaseExceptionGroup[CrossdockError]) -> str:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found.detail if isinstance(found, CrossdockError) else str(found)
