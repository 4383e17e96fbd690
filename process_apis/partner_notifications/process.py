"""Delivering messages: leased from the record, signed, sent, tried again on the schedule until the partner answers.

At least once: a worker killed between the answer and its record sends again under the same `webhook-id`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.canonical.capabilities import Call
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, NotFound
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.partner_notifications.models import (
    Attempt,
    Endpoint,
    FindsEndpoints,
    Message,
    RendersMessages,
    SendsMessages,
    Verdict,
)
from process_apis.partner_notifications.rules import next_delay

_sql: Final = queries_beside(__file__)
_log: Final = logging.getLogger(__name__)
_LEASE: Final = timedelta(seconds=60)
_BATCH: Final = 64
_ATTEMPT_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.05


class PartnerNotifications:
    """The delivery side. Run it in the worker; several may run at once, each message is leased by one."""

    def __init__(
        self, *, store: Store, clock: Clock, endpoints: FindsEndpoints, renderer: RendersMessages, sender: SendsMessages
    ) -> None:
        self._store = store
        self._clock = clock
        self._endpoints = endpoints
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
            endpoint = await self._endpoints.endpoint(connection, endpoint=message.endpoint)
        if endpoint is None:
            await self._store.execute(_sql.mark_abandoned, message.message, None, "the endpoint was removed")
            return
        body = await self._body(message, endpoint)
        if body is None:
            await self._store.execute(_sql.mark_abandoned, message.message, None, "nothing to tell any more")
            return
        call = Call(
            tenant=message.tenant,
            correlation_id=message.correlation_id,
            deadline=self._clock.monotonic() + _ATTEMPT_SECONDS,
        )
        attempt = await self._sender.send(call, endpoint=endpoint, message=message.message, body=body)
        await self._record(message, attempt)

    async def _body(self, message: Message, endpoint: Endpoint) -> bytes | None:
        """The first attempt fixes the body, before it is sent: every retry says the same."""
        if message.payload is not None:
            return message.payload
        body = await self._renderer.render(message, endpoint)
        if body is not None:
            await self._store.execute(_sql.keep_payload, message.message, body)
        return body

    async def _record(self, message: Message, attempt: Attempt) -> None:
        if attempt.verdict is Verdict.DELIVERED:
            await self._store.execute(_sql.mark_delivered, message.message, attempt.status)
            return
        if attempt.verdict is Verdict.DISABLE:
            async with self._store.transaction() as connection:
                await self._endpoints.disable(connection, endpoint=message.endpoint, reason="it answered 410 Gone")
                await connection.execute(_sql.mark_abandoned, message.message, attempt.status, attempt.error)
            return
        delay = next_delay(message.attempts, jitter=random.random(), retry_after=attempt.retry_after)  # noqa: S311
        if delay is None:
            await self._store.execute(_sql.mark_abandoned, message.message, attempt.status, attempt.error)
        else:
            await self._store.execute(_sql.mark_retry, message.message, delay, attempt.status, attempt.error)

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
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def instant(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
