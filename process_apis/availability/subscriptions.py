"""What availability listens to in the log."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from process_apis.availability.mending import Mending
from process_apis.availability.process import Availability


def subscriptions(availability: Availability) -> list[Subscription]:
    """The projection and what kits it concerns, and the mending of what waits for an item's or a location's code."""
    mend = Mending(availability)
    mending = Subscription(
        name="availability.mending",
        types=frozenset({"item.changed", "item.kit_changed", "location.changed", "stock.movement_parked"}),
        handler=mend.hear,
        together=mend.hear_all,
        batch=500,
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
