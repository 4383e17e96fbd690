"""What availability listens to in the log."""

from __future__ import annotations

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from process_apis.availability.process import Availability


def subscriptions(availability: Availability) -> list[Subscription]:
    """The projection, and the mending of what waits for an item's or a location's code."""

    async def mend(_: Connection, recorded: Recorded) -> None:
        event = recorded.event
        if event.type == "stock.movement_parked":
            # Whoever parked it may have looked before a code was there, and the code's event come before it was parked.
            await availability.unpark_one(event.tenant, int(event.aggregate.removeprefix("parked/")))
        else:
            await availability.unpark(event.tenant)

    mending = Subscription(
        name="availability.mending",
        types=frozenset({"item.changed", "location.changed", "stock.movement_parked"}),
        handler=mend,
        ordered=False,
    )
    if availability.projection is None:
        return [mending]
    projecting = Subscription(
        name="availability.projection",
        types=frozenset({"availability.changed"}),
        handler=availability.projection.handle,
        together=availability.projection.handle_all,
        batch=500,
        ordered=False,
    )
    return [projecting, mending]
