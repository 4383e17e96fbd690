"""Sends tracking events to the subscriber, signed by Standard Webhooks 1.0, each until a 2xx comes back.

The queue is the event table and a watermark, both on disk: a restart or a long silence loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from standardwebhooks import Webhook as Signer

from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from system_apis.parcel_carrier.carrier.books import Books

_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 5.0
_WATERMARK: Final = "webhook_watermark"


class Sender:
    """One subscriber at `url`, which may be set later or changed."""

    def __init__(self, books: Books, journal: Journal, faults: FaultBox, secret: str) -> None:
        self._books = books
        self._journal = journal
        self._faults = faults
        self._signer = Signer(secret.encode())
        self._wake = asyncio.Event()
        self._failures = 0

    @property
    def url(self) -> str:
        """Where webhooks go; empty for nowhere."""
        return self._books.get("webhook_url", "")

    @url.setter
    def url(self, value: str) -> None:
        self._books.put("webhook_url", value)
        self.wake()

    def wake(self) -> None:
        """There is something new, or a fault was lifted."""
        self._failures = 0
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        builder = ClientBuilder().timeout(timedelta(seconds=15)).follow_redirects(enable=False).no_proxy()
        async with builder.build() as client:
            while True:
                self._wake.clear()
                if await self._step(client):
                    continue
                delay = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0**self._failures) if self._failures else None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()

    async def _step(self, client: Client) -> bool:
        """Send one event; True when there may be more to send at once."""
        faults = self._faults.now
        if not self.url or faults.webhook_silence:
            return False
        rows = self._books.events(int(self._books.get(_WATERMARK, "0")), 1)
        if not rows:
            return False
        number, event = rows[0]
        if faults.webhook_delay_ms:
            await asyncio.sleep(faults.webhook_delay_ms / 1000)
        if not self._faults.chance(faults.webhook_drop_rate):
            for _ in range(2 if self._faults.chance(faults.webhook_duplicate_rate) else 1):
                if not await self._post(client, event):
                    self._failures += 1
                    return False
        self._failures = 0
        self._books.put(_WATERMARK, str(number))
        return True

    async def _post(self, client: Client, event: dict[str, Any]) -> bool:
        body, at = json.dumps(event), datetime.now(UTC)
        signature = self._signer.sign(event["event_id"], at, body)
        if self._faults.now.webhook_bad_signatures > 0:
            self._faults.now.webhook_bad_signatures -= 1
            signature = "v1,AAAA"
        headers = {
            "content-type": "application/json",
            "webhook-id": event["event_id"],
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
        }
        try:
            answer = await client.post(self.url).headers(headers).body_bytes(body.encode()).build().send()
            status, why = answer.status, ""
        except PyreqwestError as error:
            status, why = 0, type(error).__name__
        self._journal.write(event=event["event_id"], code=event["code"], status=status, error=why)
        return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
