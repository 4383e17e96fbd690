"""A vendor's webhooks: each event until a 2xx comes back, with whatever fault is due.

The queue is the vendor's event table and a watermark, both on disk: a restart or a long silence loses nothing, and
memory holds one page.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from gateway.sandboxes.books import SqliteBooks
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal

_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 5.0
_WATERMARK: Final = "webhook_watermark"
_URL: Final = "webhook_url"


class Message(Struct, frozen=True):
    """One request to the subscriber, signed; `forged` are the headers that take the place of a good signature."""

    body: bytes
    headers: dict[str, str]
    forged: dict[str, str]
    noted: dict[str, Any]
    """What the log of attempts says of it, besides when and how it went."""


class WebhookSender(ABC):
    """One subscriber at `url`, which may be set later or changed."""

    def __init__(self, books: SqliteBooks, journal: Journal, faults: FaultBox) -> None:
        self._books = books
        self._journal = journal
        self._faults = faults
        self._wake = asyncio.Event()
        self._failures = 0

    @abstractmethod
    def page(self, after: int) -> Sequence[tuple[int, dict[str, Any]]]:
        """The next events after a number, oldest first: as many as are told before the watermark is moved."""

    @abstractmethod
    def message(self, events: Sequence[dict[str, Any]]) -> Message:
        """A request that tells `events`."""

    def requests(self, events: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """How many events a request tells: one, unless the vendor tells more."""
        return [[event] for event in events]

    @property
    def url(self) -> str:
        """Where webhooks go; empty for nowhere."""
        return self._books.remembered(_URL, "")

    @url.setter
    def url(self, value: str) -> None:
        self._books.remember(_URL, value)
        self.wake()

    @property
    def watermark(self) -> int:
        """The number of the last event that was told."""
        return int(self._books.remembered(_WATERMARK, "0"))

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
        """Send one page; True when there may be more to send at once."""
        faults = self._faults.now
        if not self.url or faults.webhook_silence:
            return False
        page = self.page(self.watermark)
        if not page:
            return False
        if faults.webhook_delay_ms:
            await asyncio.sleep(faults.webhook_delay_ms / 1000)
        for events in self._spoilt([event for _, event in page]):
            if not await self._post(client, self.message(events)):
                self._failures += 1
                return False
        self._failures = 0
        self._books.remember(_WATERMARK, str(page[-1][0]))
        return True

    def _spoilt(self, events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        faults = self._faults.now
        kept = [event for event in events if not self._faults.chance(faults.webhook_drop_rate)]
        doubled = [event for event in kept if self._faults.chance(faults.webhook_duplicate_rate)]
        if faults.webhook_reorder:
            return [[event] for event in self._faults.shuffled([*kept, *doubled])]
        return [*self.requests(kept), *self.requests(doubled)]

    async def _post(self, client: Client, message: Message) -> bool:
        headers = {"content-type": "application/json", **message.headers}
        if self._faults.now.webhook_bad_signatures > 0:
            self._faults.now.webhook_bad_signatures -= 1
            headers |= message.forged
        started = time.time()
        try:
            answer = await client.post(self.url).headers(headers).body_bytes(message.body).build().send()
            status, why = answer.status, ""
        except PyreqwestError as error:
            status, why = 0, type(error).__name__
        took = round(1000 * (time.time() - started), 1)
        self._journal.write(sent_at=started, took_ms=took, status=status, error=why, **message.noted)
        return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
