"""The audit trail: durable, in the transaction of the change it records (`semantics.md` 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.kernel.context import Caller

_RECORD: Final = """
insert into store.audit (tenant, actor, action, subject, outcome, correlation_id, detail)
values ($1, $2, $3, $4, $5, $6, $7)
"""


async def record_audit(
    connection: Connection,
    *,
    tenant: str,
    actor: str,
    action: str,
    subject: str,
    outcome: str,
    correlation_id: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one entry: who (`actor`) did what (`action`) to what (`subject`), and how it ended."""
    encoded = msgspec.json.encode(detail or {}).decode()
    await connection.execute(_RECORD, tenant, actor, action, subject, outcome, correlation_id, encoded)


async def record_act(
    connection: Connection,
    caller: Caller,
    action: str,
    subject: str,
    outcome: str = "done",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write what `caller` did, in the transaction that does it."""
    await record_audit(
        connection,
        tenant=caller.tenant,
        actor=caller.principal.subject,
        action=action,
        subject=subject,
        outcome=outcome,
        correlation_id=caller.correlation_id,
        detail=detail,
    )


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One entry that was not written in a transaction of its own: what the door decided about a call."""

    tenant: str
    actor: str
    action: str
    subject: str
    outcome: str
    correlation_id: str
    detail: Mapping[str, Any]


RECORD_MANY: Final = """
insert into store.audit (tenant, actor, action, subject, outcome, correlation_id, detail)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
"""


async def record_many(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Write `entries` in one statement."""
    await connection.execute(RECORD_MANY, *columns_of(entries))


def columns_of(entries: Sequence[AuditEntry]) -> Sequence[list[str]]:
    """The parameters of `RECORD_MANY`."""
    return [
        [entry.tenant for entry in entries],
        [entry.actor for entry in entries],
        [entry.action for entry in entries],
        [entry.subject for entry in entries],
        [entry.outcome for entry in entries],
        [entry.correlation_id for entry in entries],
        [msgspec.json.encode(entry.detail).decode() for entry in entries],
    ]
