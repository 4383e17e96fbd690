"""What is told of kits: their figures change with those of their components."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event, Recorded
from gateway.canonical.kit import ResolvesKits
from gateway.kernel.clock import Clock
from gateway.store import log

_KNOWN_BY_ALL: Final = timedelta(seconds=2)
"""Copies of kits are a second old at most: whoever answers after this knows a kit as it is now."""


class KitNews:
    """Appends `availability.kit_changed` in the consumer's transaction."""

    def __init__(self, kits: ResolvesKits, clock: Clock) -> None:
        self._kits = kits
        self._clock = clock

    async def of_components(self, connection: Connection, events: Sequence[Recorded]) -> None:
        """One for each kit that an item of these `availability.changed` goes into; nothing where there is none.

        The newest change stands for those before it that are handled together.
        """
        newest: dict[tuple[str, str], Recorded] = {}
        for recorded in events:
            event = recorded.event
            book = await self._kits.book(event.tenant, connection)
            for kit in book.users.get(event.data["item"], ()):
                newest[event.tenant, kit] = recorded
        told = [self._event(recorded, kit, recorded.event.data["item"]) for (_, kit), recorded in newest.items()]
        await log.append(connection, told)

    async def of_kit(self, connection: Connection, recorded: Recorded) -> None:
        """One for a kit that is made of something else from now on, when every process knows it."""
        rest = recorded.recorded_at + _KNOWN_BY_ALL - self._clock.now()
        await asyncio.sleep(max(0.0, rest.total_seconds()))
        await log.append(connection, [self._event(recorded, recorded.event.data["item"], None)])

    def _event(self, recorded: Recorded, kit: str, component: str | None) -> Event:
        # What changed it is told once for each kit: its place in the log is the version of what it tells.
        return Event(
            tenant=recorded.event.tenant,
            type="availability.kit_changed",
            aggregate=f"kit_figure/{kit}",
            aggregate_version=recorded.position.event,
            occurred_at=recorded.event.occurred_at,
            correlation_id=recorded.event.correlation_id,
            causation_id=f"{recorded.event.aggregate}/{recorded.event.aggregate_version}",
            data={"item": kit, "component": component},
        )
