"""Delivering messages: leased from the record, signed, sent, tried again on the schedule until the partner answers.

At least once: a worker killed between the answer and its record sends again under the same `webhook-id`. Every attempt
says what is so when it is made, and no two about the same order or item are under way to one endpoint at once: the
last that a partner receives is the latest (what a receiver's network holds back beyond our time limit aside; the
`version` in the body tells).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from gateway.identity.webhook_endpoints import WebhookEndpoint, disable_endpoint, find_endpoint
from gateway.kernel.errors import CrossdockError, NotFound
from gateway.kernel.keyring import KeyRing
from gateway.outbound.webhooks import Attempt, Outcome, WebhookSender, next_attempt
from gateway.store.batches import Batches
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.partner_notifications.models import Message, RendersMessages

_sql: Final = queries_beside(__file__)
_log: Final = logging.getLogger(__name__)
_LEASE: Final = timedelta(seconds=60)
_SEND_WITHIN_SECONDS: Final = 30.0  # and the sender takes 15 at most: well within the lease
_BATCH: Final = 64
_AT_ONCE: Final = 256
_PER_ENDPOINT: Final = 32
_ROOM_SECONDS: Final = 0.05
_POLL_SECONDS: Final = 0.25
_RECORD_PAUSE_SECONDS: Final = 1.0


class PartnerNotifications:
    """The delivery side. Run it in the worker; several may run at once, each message is leased by one."""

    def __init__(self, store: Store, ring: KeyRing, *, renderer: RendersMessages, sender: WebhookSender) -> None:
        self._store = store
        self._ring = ring
        self._renderer = renderer
        self._sender = sender
        # What many deliveries at once ask the record for, they ask together.
        self._finding = Batches(self._find_endpoints, largest=_AT_ONCE)
        self._marking = Batches(self._mark_delivered, largest=_AT_ONCE)
        self._news = asyncio.Event()

    def hint(self) -> None:
        """New messages: look at once. What other workers write, and what is due again, is looked for anyway."""
        self._news.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; an unreachable record is waited for, a slow receiver holds up its own only."""
        under_way: dict[asyncio.Task[None], str] = {}
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                try:
                    leased = await self._lease(under_way)
                except CrossdockError:
                    await _pause(stop, _RECORD_PAUSE_SECONDS)
                    continue
                for message in leased:
                    task = group.create_task(self._attempt(message))
                    under_way[task] = message.endpoint
                    task.add_done_callback(under_way.pop)
                if leased:
                    continue
                if under_way:  # room may come before the next look is due
                    await asyncio.wait(under_way, timeout=_ROOM_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await self._idle(stop)

    async def _idle(self, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(self._news.wait())]
        try:
            await asyncio.wait(waits, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        self._news.clear()

    async def deliver_due(self) -> bool:
        """One round over what is due; returns whether there was anything."""
        leased = await self._lease({})
        await asyncio.gather(*(self._attempt(message) for message in leased))
        return bool(leased)

    async def _lease(self, under_way: Mapping[asyncio.Task[None], str]) -> list[Message]:
        room = min(_BATCH, _AT_ONCE - len(under_way))
        if room <= 0:
            return []
        busy = [endpoint for endpoint, count in Counter(under_way.values()).items() if count >= _PER_ENDPOINT]
        try:
            rows = await self._store.fetch(_sql.lease_due, room, _LEASE, busy)
        except asyncpg.UniqueViolationError:  # another worker took something else about the same thing
            return []
        return [Message(**dict(row)) for row in rows]

    async def _attempt(self, message: Message) -> None:
        """One message's failure is its own. While the record is away its lease runs out and it is tried again."""
        try:
            await self._deliver(message)
        except CrossdockError as error:
            _log.warning("message %s waits for its lease to end: %s", message.message, error.detail)
        except Exception as error:  # noqa: BLE001 - a defect in rendering one must not stop the others
            _log.exception("message %s failed in a way nobody foresaw", message.message)
            why = f"internal.{type(error).__name__}"
            with contextlib.suppress(CrossdockError):
                await self._again(message, None, next_attempt(message.attempts), None, why)

    async def _deliver(self, message: Message) -> None:
        send_before = asyncio.get_running_loop().time() + _SEND_WITHIN_SECONDS
        endpoint = await self._finding.ask((message.tenant, message.endpoint))
        # What is so now, at every attempt: a retry that repeated an old body could arrive after newer news.
        body = None if endpoint is None else await self._renderer.render(message, channel=endpoint.channel)
        if endpoint is None or body is None:
            why = "the endpoint was removed" if endpoint is None else "nothing to tell any more"
            await self._store.execute(_sql.mark_abandoned, message.message, message.attempts, None, why, None, False)
            return
        if asyncio.get_running_loop().time() > send_before:
            return  # this process slept: somebody else has the message, or will have it in a moment
        attempt = await self._sender.deliver(
            endpoint.url,
            message_id=message.message,
            body=body,
            secrets=endpoint.secrets[::-1],
            correlation_id=message.correlation_id,
        )
        await self._record(message, body, attempt)

    async def _record(self, message: Message, body: bytes, attempt: Attempt) -> None:
        """What became of it, with what was told: in one statement after the attempt, not one before and one after."""
        if attempt.outcome is Outcome.DELIVERED:
            await self._marking.ask((message.message, message.attempts, attempt.status, body))
            return
        if attempt.outcome is Outcome.DISABLE:
            async with self._store.transaction() as connection:
                await disable_endpoint(
                    connection, tenant=message.tenant, endpoint_id=message.endpoint, reason="it answered 410 Gone"
                )
                await connection.execute(
                    _sql.mark_abandoned, message.message, message.attempts, attempt.status, attempt.detail, body, True
                )
            return
        delay = None if attempt.outcome is Outcome.REFUSED else next_attempt(message.attempts, attempt)
        await self._again(message, body, delay, attempt.status, attempt.detail)

    async def _again(
        self, message: Message, body: bytes | None, delay: timedelta | None, status: int | None, why: str
    ) -> None:
        """Try again after `delay`; None gives the message up."""
        fence = (message.message, message.attempts)
        if delay is None:
            await self._store.execute(_sql.mark_abandoned, *fence, status, why, body, True)
        else:
            await self._store.execute(_sql.mark_retry, *fence, delay, status, why, body)

    async def _find_endpoints(self, asked: Sequence[tuple[str, str]]) -> list[WebhookEndpoint | None]:
        async with self._store.connection() as connection:
            found = {
                (tenant, endpoint): await find_endpoint(connection, self._ring, tenant=tenant, endpoint_id=endpoint)
                for tenant, endpoint in dict.fromkeys(asked)
            }
        return [found[each] for each in asked]

    async def _mark_delivered(self, asked: Sequence[tuple[str, int, int | None, bytes]]) -> list[None]:
        await self._store.execute(_sql.mark_delivered, *map(list, zip(*asked, strict=True)))
        return [None] * len(asked)

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
