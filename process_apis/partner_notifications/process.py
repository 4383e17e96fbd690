"""Delivering messages: leased from the record, signed, sent, tried again on the schedule until the partner answers.

At least once: a worker killed between the answer and its record sends again under the same `webhook-id`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.identity.webhook_endpoints import WebhookEndpoint, disable_endpoint, find_endpoint
from gateway.kernel.errors import CrossdockError, NotFound
from gateway.kernel.keyring import KeyRing
from gateway.outbound.webhooks import Attempt, Outcome, WebhookSender, next_attempt
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.partner_notifications.models import Message, RendersMessages

_sql: Final = queries_beside(__file__)
_log: Final = logging.getLogger(__name__)
_LEASE: Final = timedelta(seconds=60)
_BATCH: Final = 64
_POLL_SECONDS: Final = 0.05


class PartnerNotifications:
    """The delivery side. Run it in the worker; several may run at once, each message is leased by one."""

    def __init__(self, store: Store, ring: KeyRing, *, renderer: RendersMessages, sender: WebhookSender) -> None:
        self._store = store
        self._ring = ring
        self._renderer = renderer
        self._sender = sender

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; an unreachable record is waited for."""
        while not stop.is_set():
            try:
                busy = await self.deliver_due()
            except CrossdockError:
                busy = False
                await _pause(stop, 1.0)
            if not busy:
                await _pause(stop, _POLL_SECONDS)

    async def deliver_due(self) -> bool:
        """One round over what is due; returns whether there was anything."""
        rows = await self._store.fetch(_sql.lease_due, _BATCH, _LEASE)
        messages = [Message(**dict(row)) for row in rows]
        async with asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(self._attempt(message))
        return bool(messages)

    async def _attempt(self, message: Message) -> None:
        """One message's failure is its own: its lease runs out and it is tried again."""
        try:
            await self._deliver(message)
        except CrossdockError as error:
            _log.warning("message %s waits for its lease to end: %s", message.message, error.detail)

    async def _deliver(self, message: Message) -> None:
        async with self._store.connection() as connection:
            endpoint = await find_endpoint(connection, self._ring, tenant=message.tenant, endpoint_id=message.endpoint)
        body = None if endpoint is None else await self._body(message, endpoint)
        if endpoint is None or body is None:
            why = "the endpoint was removed" if endpoint is None else "nothing to tell any more"
            await self._store.execute(_sql.mark_abandoned, message.message, None, why)
            return
        attempt = await self._sender.deliver(
            endpoint.url,
            message_id=message.message,
            body=body,
            secrets=endpoint.secrets[::-1],
            correlation_id=message.correlation_id,
        )
        await self._record(message, attempt)

    async def _body(self, message: Message, endpoint: WebhookEndpoint) -> bytes | None:
        """The first attempt fixes the body, before it is sent: every retry says the same."""
        if message.payload:
            return message.payload
        # Claimed before it is rendered, so that a change from now on gets a message of its own.
        await self._store.execute(_sql.keep_payload, message.message, b"")
        body = await self._renderer.render(message, channel=endpoint.channel)
        if body is not None:
            await self._store.execute(_sql.keep_payload, message.message, body)
        return body

    async def _record(self, message: Message, attempt: Attempt) -> None:
        if attempt.outcome is Outcome.DELIVERED:
            await self._store.execute(_sql.mark_delivered, message.message, attempt.status)
            return
        if attempt.outcome is Outcome.DISABLE:
            async with self._store.transaction() as connection:
                await disable_endpoint(
                    connection, tenant=message.tenant, endpoint_id=message.endpoint, reason="it answered 410 Gone"
                )
                await connection.execute(_sql.mark_abandoned, message.message, attempt.status, attempt.detail)
            return
        delay = None if attempt.outcome is Outcome.REFUSED else next_attempt(message.attempts, attempt)
        if delay is None:
            await self._store.execute(_sql.mark_abandoned, message.message, attempt.status, attempt.detail)
        else:
            await self._store.execute(_sql.mark_retry, message.message, delay, attempt.status, attempt.detail)

    async def list_messages(
        self, tenant: str, *, state: str | None, before: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Messages, newest first; `before` is the last id of the page before."""
        rows = await self._store.fetch(_sql.list_messages, tenant, state, before, limit)
        return [dict(row) for row in rows]

    async def redeliver(self, tenant: str, message: str) -> None:
        """Send a delivered or abandoned message again, under its old id."""
        if await self._store.fetchval(_sql.redeliver, tenant, message) is None:
            raise NotFound(f"no finished message {message}; a waiting one is sent by itself", code="message.not_found")


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def instant(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
