"""A task: one thing asked of one system, and what an answer, or none, makes of it (`house.md`, outcome sorts). Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.kernel.errors import (
    BrokenUpstream,
    CrossdockError,
    Misconfigured,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)

_PASSING: Final = (Throttled, Unavailable, Misconfigured, NotAllowed)


class TaskState(StrEnum):
    """How far one thing is that a system is asked for. `waiting`: not to be asked yet."""

    WAITING = "waiting"
    PENDING = "pending"
    ASKED = "asked"
    DONE = "done"
    UNDOING = "undoing"
    ABSENT = "absent"
    REFUSED = "refused"


class Task(Struct, frozen=True, kw_only=True):
    """One thing asked of one system; without a `system` we do it ourselves.

    `look`: an earlier attempt may have succeeded, so it is looked up before it is repeated.
    """

    subject: str
    tenant: str
    kind: str
    system: str | None
    state: TaskState = TaskState.WAITING
    look: bool = False
    attempts: int = 0
    not_before: datetime | None = None
    number: str | None = None
    error_code: str | None = None
    error_detail: str | None = None
    turn: int = 0


class Pace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How failed attempts are repeated; seconds. After `alert_after` failures in a row a person is told."""

    first_retry: float = 1.0
    longest_retry: float = 300.0
    settle: float = 5.0
    alert_after: int = 6

    def backoff(self, attempts: int) -> timedelta:
        """Doubling from `first_retry` to `longest_retry`."""
        return timedelta(seconds=min(self.longest_retry, self.first_retry * 2.0 ** min(max(attempts - 1, 0), 20)))


def succeeded(task: Task, number: str | None) -> Task:
    """The system did it, or (`undoing`) holds it no more."""
    state = TaskState.ABSENT if task.state is TaskState.UNDOING else TaskState.DONE
    return replace(
        task, state=state, look=False, attempts=0, not_before=None, error_code=None, error_detail=None,
        number=number or task.number,
    )  # fmt: skip


def failed(task: Task, error: CrossdockError, now: datetime, pace: Pace, settle: timedelta) -> Task:
    """The task after an attempt that raised `error`: looked up after `settle`, tried again later, or a person's."""
    told = replace(task, error_code=error.code, error_detail=error.detail)
    undoing = task.state is TaskState.UNDOING
    if undoing and isinstance(error, NotFound):
        return succeeded(task, None)
    if isinstance(error, (OutcomeUnknown, BrokenUpstream)):
        return replace(told, look=True, not_before=now + max(settle, pace.backoff(task.attempts)))
    if isinstance(error, _PASSING):
        least = timedelta(seconds=error.retry_after if isinstance(error, (Throttled, Unavailable)) else 0)
        state = task.state if undoing or task.look else TaskState.PENDING
        return replace(told, state=state, not_before=now + max(least, pace.backoff(task.attempts)))
    state = TaskState.DONE if undoing else TaskState.REFUSED
    return replace(told, state=state, look=False, attempts=0, not_before=None)
