"""What is said of places at paced systems: who wants one, who waits where, how long the queues are. Pure."""

from __future__ import annotations

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
    """A place: 1 is the next. `expected_at` is None while nothing has ended there lately to reckon by."""

    system: str
    place: int
    expected_at: datetime | None
    since: datetime


class Backlog(Struct, frozen=True, kw_only=True):
    """One system: who waits, who is there, since when the first waits, how many a second have left lately."""

    system: str
    waiting: int
    called: int
    oldest: datetime | None
    drain_per_second: float | None
    paused_until: datetime | None
