"""Rendering an event once for all streams that tell it to the same audience: a channel, or the order's partner."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.canonical.events import Position, Recorded
from process_apis.partner_notifications.models import Message, RendersMessages
from process_apis.partner_notifications.rules import AVAILABILITY_CHANGED, MESSAGE_OF_EVENT, subject_of

_KEPT: Final = 1_024
Key = tuple[Position, str, str]


class Body:
    """One rendering, under way or done. `begun` and `ended` are turns of one clock: later ones read a later record."""

    def __init__(self, begun: int) -> None:
        self.begun = begun
        self.ended = 0
        self.task: asyncio.Task[bytes | None]


class SharedBodies:
    """What is told is the state now, so a listener must not get one that was read before the last it got."""

    def __init__(self, renderer: RendersMessages) -> None:
        self._renderer = renderer
        self._turn = 0
        self._bodies: dict[Key, Body] = {}

    async def of(
        self, recorded: Recorded, *, version: str, partner: str, channel: str, after: int
    ) -> tuple[bytes | None, int]:
        """The body (None: nothing to tell), and its turn, which the listener passes as `after` next time."""
        message = MESSAGE_OF_EVENT[recorded.event.type]
        audience = channel if message == AVAILABILITY_CHANGED else partner
        key = (recorded.position, version, audience)
        body = self._bodies.get(key)
        if body is None or body.begun < after:
            body = self._bodies[key] = Body(self._next())
            body.task = asyncio.create_task(self._render(body, message_of(recorded, version, partner), channel))
            body.task.add_done_callback(lambda done: self._forget_failed(key, done))
            while len(self._bodies) > _KEPT:
                del self._bodies[next(iter(self._bodies))]
        return await asyncio.shield(body.task), body.ended

    async def _render(self, body: Body, message: Message, channel: str) -> bytes | None:
        try:
            return await self._renderer.render(message, channel=channel)
        finally:
            body.ended = self._next()

    def _forget_failed(self, key: Key, done: asyncio.Task[bytes | None]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._bodies.pop(key, None)

    def _next(self) -> int:
        self._turn += 1
        return self._turn


def message_of(recorded: Recorded, version: str, partner: str) -> Message:
    """The message that a webhook about this event would be."""
    event = recorded.event
    return Message(
        message="",
        tenant=event.tenant,
        partner=partner,
        endpoint="",
        type=MESSAGE_OF_EVENT[event.type],
        subject=subject_of(recorded),
        event_type=event.type,
        occurred_at=event.occurred_at,
        correlation_id=event.correlation_id,
        payload=None,
        attempts=0,
        version=version,
    )
