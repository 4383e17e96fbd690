"""Who asks when a command changes the record: the person at the shell, by the name that the audit trail keeps."""

from __future__ import annotations

from typing import Final

from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.ids import new_id
from gateway.kernel.shell import shell_actor

_DEADLINE_S: Final = 60.0


def caller_at_shell(tenant: str, clock: Clock, scopes: frozenset[str]) -> Caller:
    """The caller of a process's command, with a minute to answer."""
    correlation_id = new_id("cli")
    principal = Principal(
        tenant=tenant,
        subject=shell_actor(),
        credential="shell",
        zones=frozenset({Zone.PROCESS}),
        scopes=scopes,
    )
    return Caller(
        principal=principal,
        request_id=correlation_id,
        correlation_id=correlation_id,
        deadline=clock.monotonic() + _DEADLINE_S,
    )
