"""The audit trail: durable, in the transaction of the change it records (`semantics.md` 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection

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
