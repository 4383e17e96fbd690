"""What availability listens to in the log."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event, Recorded
from process_apis.availability.parking import ALL, Codes
from process_apis.availability.process import Availability


def _codes(event: Event) -> Codes:
    """The codes of an item or a location that changed; all that waits is tried when the event does not tell."""
    told = event.data.get("codes")
    if told is None:
        return ALL
    pairs = [(each["source"], each["code"]) for each in told]
    return Codes(items=pairs) if event.type == "item.changed" else Codes(places=pairs)


def subscriptions(availability: Availability) -> list[Subscription]:
    """The projection and what kits it concerns, and the mending of what waits for an item's or a location's code."""

    async def mend(connection: Connection, recorded: Recorded) -> None:
        event = recorded.event
        if event.type == "item.kit_changed":
            await availability.kit_news.of_kit(connection, recorded)
        elif event.type == "stock.movement_parked" and event.data.get("again"):  # somebody asked for all of its source
            await availability.unpark(event.tenant, event.data["source"])
        elif event.type == "stock.movement_parked":
            # Whoever parked it may have looked before a code was there, and the code's event come before it was parked.
            await availability.unpark_one(event.tenant, int(event.aggregate.removeprefix("parked/")))
        else:
            await availability.unpark(event.tenant, codes=_codes(event))

    mending = Subscription(
        name="availability.mending",
        types=frozenset({"item.changed", "item.kit_changed", "location.changed", "stock.movement_parked"}),
        handler=mend,
        ordered=False,
    )
    projection = availability.projection

    async def project(connection: Connection, recorded: Recorded) -> None:
        await project_all(connection, [recorded])

    async def project_all(connection: Connection, events: Sequence[Recorded]) -> None:
        if projection is not None:
            await projection.handle_all(connection, events)
        await availability.kit_news.of_components(connection, events)

    projecting = Subscription(
        name="availability.projection",
        types=frozenset({"availability.changed"}),
        handler=project,
        together=project_all,
        batch=500,
        ordered=False,
    )
    return [projecting, mending]
