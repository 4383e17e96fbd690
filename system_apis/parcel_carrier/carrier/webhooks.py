"""Sends tracking events to the subscriber one by one, signed by Standard Webhooks 1.0."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook as Signer

from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from gateway.sandboxes.webhooks import Message, WebhookSender
from system_apis.parcel_carrier.carrier.books import Books


class Sender(WebhookSender):
    """The carrier's webhooks."""

    def __init__(self, books: Books, journal: Journal, faults: FaultBox, secret: str) -> None:
        super().__init__(books, journal, faults)
        self._tracked = books
        self._signer = Signer(secret.encode())

    def page(self, after: int) -> Sequence[tuple[int, dict[str, Any]]]:
        """The next events after a number."""
        return self._tracked.events(after, 1)

    def message(self, events: Sequence[dict[str, Any]]) -> Message:
        """A request that tells `events`."""
        (event,) = events
        body, at = json.dumps(event), datetime.now(UTC)
        headers = {
            "webhook-id": event["event_id"],
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._signer.sign(event["event_id"], at, body),
        }
        forged = {"webhook-signature": "v1,AAAA"}
        return Message(body.encode(), headers, forged, {"event": event["event_id"], "code": event["code"]})
