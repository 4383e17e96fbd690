"""Messages under way, and who renders them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from msgspec import Struct


class Message(Struct, frozen=True, kw_only=True):
    """One message under way.

    `subject` says what it is about: ``order/<id>/<event>``, ``return/<id>/<event>``,
    ``purchase/<id>/<event>``, ``invoice/<order>:<shipment>/<event>`` or ``item/<id>``.
    `version` is the version of the storefront that its endpoint has chosen.
    """

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
    version: str = "v1"

    @property
    def about(self) -> str:
        """The id of what it is about; of an invoice the order's and the shipment's, with a colon between."""
        return self.subject.split("/")[1]


class RendersMessages(Protocol):
    """Turns a message into the body that the partner's API version promises."""

    async def render(self, message: Message, *, channel: str) -> bytes | None:
        """JSON, or None when there is nothing to tell any more."""
        ...
