"""What is said of places at paced systems: who wants one, who waits where, how long the queues are. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from gateway.pacing.options import Work


class Visit(Struct, frozen=True, kw_only=True):
    """What `subject` wants at `system`. It comes before whoever is as urgent and `since` later.

    `workflow`, `queue`, `args` and `shape` are the turn that is enqueued when it is called.
    """

    system: str
    subject: str
    work: Work
    since: datetime
    workflow: str
    queue: str
    args: tuple[str | int, ...]
    shape: str


class Called(Struct, frozen=True, kw_only=True):
    """Somebody whose turn has come, under a workflow id that is used once."""

    workflow: str
    queue: str
    workflow_id: str
    args: tuple[str | int, ...]
    shape: str


class Waiting(Struct, frozen=True, kw_only=True):
    """A place: 1 is the next, `work` what for. `expected_at` is None while nothing has ended there lately."""

    system: str
    work: Work
    place: int
    expected_at: datetime | None
    since: datetime


class Backlog(Struct, frozen=True, kw_only=True):
    """One system: who waits, who is there, since when the first waits, how many a second have left lately.

    `by_work` are those that wait, the most urgent work first; the last of all is expected at `last_expected_at`, None
    where nobody waits or nothing has ended lately. `counted` calls of `calls` in `window_seconds` count now, `called`
    of `visits` are there. The limits are 0 where there is none.
    """

    system: str
    calls: int
    window_seconds: float
    counted: int
    visits: int
    waiting: int
    by_work: Mapping[Work, int]
    last_expected_at: datetime | None
    called: int
    oldest: datetime | None
    drain_per_second: float | None
    paused_until: datetime | None
