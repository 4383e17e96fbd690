"""Who works at the shell: by name for the audit trail, and as a caller where a command changes the record."""

import getpass
from typing import Final

from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.ids import new_id

_DEADLINE_S: Final = 60.0


def account() -> str:
    """The name of the operating system's account; ``unknown`` where it has none, as a container's may."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def shell_actor() -> str:
    """The actor of what a command does."""
    return f"shell/{account()}"


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
