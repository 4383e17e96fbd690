"""Where requests come in: they meet the door that stands now, and keep it to their end.

A new configuration makes a new door, whole, beside the old one; putting it up is one assignment. Requests in flight
hold the door that they entered by, so no request ever passes half of one chain and half of another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from gateway.edge.front_door import FrontDoor, Receive, Scope, Send
from gateway.kernel.exchange import Policy


class Doorway:
    """The outermost ASGI application. `draining` is True once it was told that the whole gateway will end."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self._enter = door.__call__
        self._leaving = False
        self.draining = False

    @property
    def door(self) -> FrontDoor:
        """The door that stands now."""
        return self._door

    @property
    def in_flight(self) -> int:
        """Requests being served now, by whichever door."""
        return self._door.in_flight

    @property
    def streams(self) -> int:
        """Streams among them."""
        return self._door.streams

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one ASGI connection."""
        return self._enter(scope, receive, send)

    def put_up(self, policies: Sequence[Policy]) -> None:
        """Let who comes from now on pass `policies`; raises `Misconfigured`, and changes nothing, if they are none."""
        self._door = self._door.with_policies(policies)
        if not self._leaving:
            self._enter = self._door.__call__

    def leave(self) -> None:
        """Say with every answer that its connection is the last: clients go on to processes that stay."""
        self._leaving = True
        self._enter = self._enter_for_the_last_time

    def drain(self) -> None:
        """`leave`, and be unready: no process of this gateway stays."""
        self.draining = True
        self.leave()

    def end_streams(self, *, events_only: bool = False) -> int:
        """End the open streams and take none any more, or end those of events; returns how many there were.

        A stream of events ends as one that is complete: its client comes again and says what it saw last. Another
        stream is cut off, so that half of an answer never looks like the whole of it.
        """
        return self._door.close_streams(events_only=events_only)

    async def _enter_for_the_last_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_last(message: object) -> None:
            if isinstance(message, dict) and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self._door(scope, receive, send_last if scope["type"] == "http" else send)
