"""Who asks, and on whose behalf: handed down explicitly from the edge to processes and adapters."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Zone(StrEnum):
    """Which layer of APIs a credential opens."""

    EXPERIENCE = "experience"
    PROCESS = "process"
    SYSTEM = "system"


class Principal(Struct, frozen=True, gc=False):
    """An authenticated caller.

    `partner` is the party whose orders and prices it sees (none for internal applications); `channel` is the
    sales channel of its plan; `credential` names the key or client for audit, never the secret.
    """

    tenant: str
    subject: str
    credential: str
    zones: frozenset[Zone]
    scopes: frozenset[str]
    plan: str = "standard"
    partner: str | None = None
    channel: str | None = None
    expires_at: float = float("inf")


class Caller(Struct, frozen=True, gc=False):
    """One call in progress, as processes and adapters see it."""

    principal: Principal
    request_id: str
    correlation_id: str
    deadline: float

    @property
    def tenant(self) -> str:
        """The principal's tenant."""
        return self.principal.tenant
