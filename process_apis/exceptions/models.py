"""Entries of the queue, their states, and what may be asked for."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct

from gateway.canonical.trouble import Effect, TroubleClass, Verb


class State(StrEnum):
    """`retrying` is tried again now, by itself or because somebody asked; the last two are over."""

    OPEN = "open"
    ASSIGNED = "assigned"
    RETRYING = "retrying"
    RESOLVED = "resolved"
    IGNORED = "ignored"


class Entry(Struct, frozen=True, kw_only=True):
    """One trouble in the queue.

    `kind` and `key` say whose it is and which. `rank` is 0 to 99, the most urgent highest. `seen` counts how often it
    failed anew, `count` how many messages it holds now. `asked_at` is when a person had it retried.
    """

    entry: str
    tenant: str
    kind: str
    key: str
    error_class: TroubleClass
    effect: Effect
    fault_domain: str
    code: str
    detail: str
    about: str
    rank: int
    count: int
    raised_at: datetime
    last_at: datetime
    value: Decimal | None = None
    currency: str | None = None
    verbs: tuple[Verb, ...] = ()
    by_itself_at: datetime | None = None
    seen: int = 1
    state: State = State.OPEN
    assignee: str | None = None
    asked_by: str | None = None
    asked_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None
    reason: str | None = None
    version: int = 1


class Step(Struct, frozen=True, kw_only=True):
    """One line of an entry's history: who did what and why."""

    number: int
    at: datetime
    actor: str
    what: str
    reason: str | None
    code: str | None
    detail: str | None


class Revision(Struct, frozen=True, kw_only=True):
    """What an edit put in place of what."""

    number: int
    at: datetime
    actor: str
    reason: str
    before: dict[str, Any]
    after: dict[str, Any]


class Wanted(Struct, frozen=True, kw_only=True):
    """Which entries are meant; None: whatever it is. Without a state: all that are not over.

    `assignee` is a name, or ``""`` for those that nobody has. Times are half open:
    raised at `raised_from` or later, before `raised_before`.
    """

    state: State | None = None
    kind: str | None = None
    error_class: TroubleClass | None = None
    fault_domain: str | None = None
    code: str | None = None
    about: str | None = None
    assignee: str | None = None
    least_rank: int | None = None
    raised_from: datetime | None = None
    raised_before: datetime | None = None
