"""Sends events to the subscriber: in order, in batches, signed, again and again until a 2xx comes back.

The queue is the event table itself and a watermark, both on disk: a restart or a long silence loses nothing, and
memory holds one batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
import uuid
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from system_apis.regional_wms.warehouse.ledger import Ledger

_BATCH: Final = 100
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 5.0
_WATERMARK: Final = "webhook_watermark"


class Sender:
    """One subscriber at `url`, which may be set later or changed."""

    def __init__(self, ledger: Ledger, journal: Journal, faults: FaultBox, secret: str) -> None:
        self._ledger = ledger
        self._journal = journal
        self._faults = faults
        self._secret = secret.encode()
        self._wake = asyncio.Event()
        self._failures = 0

    @property
    def url(self) -> str:
        """Where webhooks go; empty for nowhere."""
        return self._ledger.get("webhook_url", "")

    @url.setter
    def url(self, value: str) -> None:
        self._ledger.put("webhook_url", value)
        self.wake()

    def wake(self) -> None:
        """There is something new, or a fault was lifted."""
        self._failures = 0
        self._wake.set()

    def backlog(self) -> int:
        """How many events wait."""
        return int(self._ledger.rows("select count(*) n from event where id > ?", self._watermark())[0]["n"])

    async def run(self) -> None:
        """Send until cancelled."""
        async with (
            ClientBuilder().timeout(timedelta(seconds=15)).follow_redirects(enable=False).no_proxy().build() as client
        ):
            while True:
                self._wake.clear()
                if await self._step(client):
                    continue
                delay = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0**self._failures) if self._failures else None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()

    async def _step(self, client: Client) -> bool:
        """Send one batch; True when there may be more to send at once."""
        if not self.url or self._faults.now.webhook_silence:
            return False
        rows = self._ledger.rows(
            f"select id, body from event where id > ? order by id limit {_BATCH}", self._watermark()
        )
        if not rows:
            return False
        if self._faults.now.webhook_delay_ms:
            await asyncio.sleep(self._faults.now.webhook_delay_ms / 1000)
        for batch in self._batches([json.loads(row["body"]) for row in rows]):
            if not await self._post(client, batch):
                self._failures += 1
                return False
        self._failures = 0
        self._ledger.put(_WATERMARK, str(rows[-1]["id"]))
        return True

    def _batches(self, events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        faults = self._faults.now
        kept = [event for event in events if not self._faults.chance(faults.webhook_drop_rate)]
        doubled = [event for event in kept if self._faults.chance(faults.webhook_duplicate_rate)]
        if faults.webhook_reorder:
            return [[event] for event in self._faults.shuffled([*kept, *doubled])]
        return [batch for batch in (kept, doubled) if batch]

    async def _post(self, client: Client, events: list[dict[str, Any]]) -> bool:
        delivery = str(uuid.uuid4())
        body = json.dumps({"delivery_id": delivery, "events": events}).encode()
        stamp = str(int(time.time()))
        signature = hmac.new(self._secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        if self._faults.now.webhook_bad_signatures > 0:
            self._faults.now.webhook_bad_signatures -= 1
            signature = "0" * 64
        headers = {
            "content-type": "application/json",
            "x-wms-delivery": delivery,
            "x-wms-timestamp": stamp,
            "x-wms-signature": f"v1={signature}",
        }
        started = time.time()
        try:
            answer = await client.post(self.url).headers(headers).body_bytes(body).build().send()
            status, why = answer.status, ""
        except PyreqwestError as error:
            status, why = 0, type(error).__name__
        self._journal.write(
            delivery_id=delivery,
            sent_at=started,
            took_ms=round(1000 * (time.time() - started), 1),
            status=status,
            error=why,
            events=[[event["epoch"], event["sequence"]] for event in events],
        )
        return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES

    def _watermark(self) -> int:
        return int(self._ledger.get(_WATERMARK, "0"))
