"""What waits for an item's or a location's code is let in when the log tells of one: a batch of news together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event, Recorded
from process_apis.availability.parking import ALL, Codes, any_of
from process_apis.availability.process import Availability

_PARKED: Final = "stock.movement_parked"
_KIT: Final = "item.kit_changed"


class Mending:
    """A consumer of the log. What it lets in is recorded in transactions of its own, each row once."""

    def __init__(self, availability: Availability) -> None:
        self._availability = availability

    async def hear(self, connection: Connection, recorded: Recorded) -> None:
        """One event."""
        await self.hear_all(connection, [recorded])

    async def hear_all(self, connection: Connection, events: Sequence[Recorded]) -> None:
        """Several: what came before its ten thousand items is let in within some dozens of transactions."""
        for tenant in sorted({recorded.event.tenant for recorded in events}):
            await self._let_in(tenant, [recorded.event for recorded in events if recorded.event.tenant == tenant])
        for recorded in events:  # last, for it is done in the consumer's transaction, which keeps the locks
            if recorded.event.type == _KIT:
                await self._availability.kit_news.of_kit(connection, recorded)

    async def _let_in(self, tenant: str, events: Sequence[Event]) -> None:
        parked = [event for event in events if event.type == _PARKED]
        # Somebody asked for all of its source.
        for source in sorted({event.data["source"] for event in parked if event.data.get("again")}):
            await self._availability.unpark(tenant, source)
        # Whoever parked it may have looked before a code was there, and the code's event come before it was parked.
        if rows := [int(event.aggregate.removeprefix("parked/")) for event in parked if not event.data.get("again")]:
            await self._availability.unpark_some(tenant, rows)
        for kind in ("item.changed", "location.changed"):
            if changed := [_codes(event) for event in events if event.type == kind]:
                await self._availability.unpark(tenant, codes=any_of(changed))


def _codes(event: Event) -> Codes:
    """The codes of an item or a location that changed; all that waits is tried when the event does not tell."""
    told = event.data.get("codes")
    if told is None:
        return ALL
    pairs = [(each["source"], each["code"]) for each in told]
    return Codes(items=pairs) if event.type == "item.changed" else Codes(places=pairs)
