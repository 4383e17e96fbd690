"""What stock operations listen to in the log."""

from __future__ import annotations

from gateway.backbone.consumer import Subscription
from process_apis.stock_operations.confirming import on_movement


def subscriptions() -> list[Subscription]:
    """Movements, as availability records them."""
    return [
        Subscription(
            name="stock_operations",
            types=frozenset({"stock.movement_recorded", "stock.movements_recorded"}),
            handler=on_movement,
        )
    ]
