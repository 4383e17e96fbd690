"""Entries in the record: read, locked, written back with the step that changed them and the event that tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, NotFound
from gateway.store import log
from gateway.store.audit import record_act
from gateway.store.queries import queries_beside
from process_apis.exceptions.models import Entry
from process_apis.exceptions.rules import OVER

sql: Final = queries_beside(__file__)
_FIELDS: Final = (
    "entry", "tenant", "kind", "key", "error_class", "effect", "fault_domain", "code", "detail", "about", "rank",
    "count", "value", "currency", "verbs", "raised_at", "last_at", "by_itself_at", "seen", "state", "assignee",
    "asked_by", "asked_at", "ended_at", "ended_by", "reason", "version",
)  # fmt: skip
_RAISED: Final = frozenset({"raised", "raised_again"})


def entry_of(row: Any) -> Entry:
    """A row of the entries."""
    return msgspec.convert(dict(row), Entry)


async def lock(connection: Connection, tenant: str, entry: str, version: int | None = None) -> Entry:
    """An entry, its row locked until the transaction ends; raises `NotFound`, or `Conflict` for another `version`."""
    row = await connection.fetchrow(sql.lock_entry, tenant, entry)
    if row is None:
        raise NotFound(f"there is no exception {entry[:40]!r}: look it up in the list", code="exceptions.not_found")
    known = entry_of(row)
    if version is not None and known.version != version:
        raise Conflict("it changed meanwhile: read it again, then decide", code="exceptions.changed")
    return known


async def save(
    connection: Connection,
    entry: Entry,
    what: str | None,
    *,
    actor: str,
    reason: str | None = None,
    code: str | None = None,
    detail: str | None = None,
) -> None:
    """Write a new or locked entry, with a line of its history where `what` names one."""
    await connection.execute(sql.save_entry, *(_column(getattr(entry, name)) for name in _FIELDS))
    if what is not None:
        await connection.execute(sql.add_step, entry.entry, actor, what, reason, code, detail)
        await log.append(connection, _events(entry, what, actor))


async def audit(
    connection: Connection, caller: Caller, action: str, entry: Entry, detail: Mapping[str, Any] | None = None
) -> None:
    """Who decided what about which trouble."""
    await record_act(
        connection,
        caller,
        f"exceptions.{action}",
        f"exception/{entry.entry}",
        entry.state.value,
        detail={"kind": entry.kind, "about": entry.about, "code": entry.code, **(detail or {})},
    )


def _events(entry: Entry, what: str, actor: str) -> list[Event]:
    """What the log is told: that it began, or began again, and that it is over."""
    if what in _RAISED:
        kind, at = "exception.raised", entry.last_at
    elif entry.state in OVER and entry.ended_at is not None:
        kind, at = "exception.resolved", entry.ended_at
    else:
        return []
    data = {
        "exception": entry.entry,
        "kind": entry.kind,
        "class": entry.error_class,
        "effect": entry.effect,
        "fault_domain": entry.fault_domain,
        "code": entry.code,
        "detail": entry.detail,
        "about": entry.about,
        "rank": entry.rank,
        "count": entry.count,
        "state": entry.state,
        "by": actor,
    }
    return [
        Event(
            tenant=entry.tenant,
            type=kind,
            aggregate=entry.entry,
            aggregate_version=entry.version,
            occurred_at=at,
            data=data,
            correlation_id=entry.entry,
        )
    ]


def _column(value: Any) -> Any:
    return [each.value for each in value] if isinstance(value, tuple) else value
