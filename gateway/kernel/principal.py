"""An authenticated caller. A dataclass in a module of its own for the reason that `gateway/kernel/route.py` tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Zone(StrEnum):
    """Which layer of APIs a credential opens."""

    EXPERIENCE = "experience"
    PROCESS = "process"
    SYSTEM = "system"


@dataclass(frozen=True)
class Principal:
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
