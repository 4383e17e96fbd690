"""What availability listens to in the log."""

from __future__ import annotations

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from process_apis.availability.process import Availability


def subscriptions(availability: Availability) -> list[Subscription]:
    """The projection, and the mending of what waits for an item's code."""

    async def mend(_: Connection, recorded: Recorded) -> None:
        await availability.unpark(recorded.event.tenant)

    mending = Subscription(name="availability.mending", types=frozenset({"item.changed"}), handler=mend, ordered=False)
    if availability.projection is None:
        return [mending]
    projecting = Subscription(
        name="availability.projection",
        types=frozenset({"availability.changed"}),
        handler=availability.projection.handle,
        ordered=False,
    )
    return [projecting, mending]
