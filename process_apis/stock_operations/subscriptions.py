"""What stock operations listen to in the log."""

from __future__ import annotations

from gateway.backbone.consumer import Handler, Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from process_apis.stock_operations.confirming import on_movement


def subscriptions(*others: Handler) -> list[Subscription]:
    """Movements, as availability records them.

    `others` act on movements of other documents and are called beside it: every movement is read once for all of them,
    for most concern none. Each of them counts a movement once, however often it is called.
    """

    async def on_all(connection: Connection, recorded: Recorded) -> None:
        await on_movement(connection, recorded)
        for handler in others:
            await handler(connection, recorded)

    return [
        Subscription(
            name="stock_operations",
            types=frozenset({"stock.movement_recorded", "stock.movements_recorded"}),
            handler=on_all if others else on_movement,
        )
    ]
