"""The audit entry of an administrative change, whatever was changed: in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.canonical.capabilities import Connection
from gateway.kernel.ids import new_id
from gateway.store.audit import record_audit


async def record_change(
    connection: Connection, tenant: str, actor: str, action: str, subject: str, detail: Mapping[str, Any]
) -> None:
    """Write down who (`actor`) did what (`action`, a dotted name) to what (`subject`, an id)."""
    await record_audit(
        connection,
        tenant=tenant,
        actor=actor,
        action=action,
        subject=subject,
        outcome="done",
        correlation_id=new_id("adm"),
        detail=detail,
    )
