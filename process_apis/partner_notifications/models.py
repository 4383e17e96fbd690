"""Endpoints, messages and what one attempt at delivery came to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from gateway.canonical.capabilities import Call, Connection
from gateway.kernel.secrets import Secret


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where one partner wants to be told, about which message types, signed with which live secrets."""

    endpoint: str
    tenant: str
    partner: str
    channel: str | None
    url: str
    secrets: tuple[Secret, ...]
    types: frozenset[str]


class Message(Struct, frozen=True, kw_only=True):
    """One message under way. `subject` names the order or the item it is about."""

    message: str
    tenant: str
    partner: str
    endpoint: str
    type: str
    subject: str
    event_type: str
    occurred_at: datetime
    correlation_id: str
    payload: bytes | None
    attempts: int


class Verdict(StrEnum):
    """What to do after an attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DISABLE = "disable"


class Attempt(Struct, frozen=True, kw_only=True):
    """What one attempt came to. `status` None means that no answer came; `retry_after` seconds if the receiver said."""

    verdict: Verdict
    status: int | None
    error: str | None = None
    retry_after: float | None = None


class FindsEndpoints(Protocol):
    """Who wants to know."""

    async def interested(
        self, connection: Connection, *, tenant: str, partner: str | None, message_type: str
    ) -> Sequence[Endpoint]:
        """Live endpoints for a type: of one partner, or of all partners of the tenant when `partner` is None."""
        ...

    async def endpoint(self, connection: Connection, *, endpoint: str) -> Endpoint | None:
        """One live endpoint, None once it was removed or disabled."""
        ...

    async def disable(self, connection: Connection, *, endpoint: str, reason: str) -> None:
        """Stop sending to it (it answered 410)."""
        ...


class RendersMessages(Protocol):
    """Turns a message into the body that the partner's API version promises, as JSON bytes; None drops it."""

    async def render(self, message: Message, endpoint: Endpoint) -> bytes | None: ...


class SendsMessages(Protocol):
    """Makes one signed attempt (Standard Webhooks 1.0). Never raises for what the receiver does."""

    async def send(self, call: Call, *, endpoint: Endpoint, message: str, body: bytes) -> Attempt: ...
