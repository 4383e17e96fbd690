"""Sends events to the subscriber in order, in batches, signed as README.md says."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from gateway.sandboxes.webhooks import Message, WebhookSender
from system_apis.regional_wms.warehouse.ledger import Ledger

_BATCH: Final = 100


class Sender(WebhookSender):
    """The warehouse's webhooks."""

    def __init__(self, ledger: Ledger, journal: Journal, faults: FaultBox, secret: str) -> None:
        super().__init__(ledger, journal, faults)
        self._ledger = ledger
        self._secret = secret.encode()

    def backlog(self) -> int:
        """How many events wait."""
        return int(self._ledger.rows("select count(*) n from event where id > ?", self.watermark)[0]["n"])

    def page(self, after: int) -> Sequence[tuple[int, dict[str, Any]]]:
        """The next events after a number."""
        rows = self._ledger.rows(f"select id, body from event where id > ? order by id limit {_BATCH}", after)
        return [(row["id"], json.loads(row["body"])) for row in rows]

    def requests(self, events: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """All of a page in one request."""
        return [list(events)] if events else []

    def message(self, events: Sequence[dict[str, Any]]) -> Message:
        """A request that tells `events`."""
        delivery, stamp = str(uuid.uuid4()), str(int(time.time()))
        body = json.dumps({"delivery_id": delivery, "events": list(events)}).encode()
        signature = hmac.new(self._secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {"x-wms-delivery": delivery, "x-wms-timestamp": stamp, "x-wms-signature": f"v1={signature}"}
        told = [[event["epoch"], event["sequence"]] for event in events]
        forged = {"x-wms-signature": f"v1={'0' * 64}"}
        return Message(body, headers, forged, {"delivery_id": delivery, "events": told})
